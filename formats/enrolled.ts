import type { AuthorityKey } from '../domain/policy.js';
import { importPublicKey, type SignatureVerifier } from './keys.js';
import { importSshKey } from './ssh-keys.js';

const MAX_KNOWN_KEYS = 10_000;
const known = new Map<string, SignatureVerifier>();

/** The public key of an authority. MALFORMED says why it may not be enrolled. A text is checked once: points take time. */
export function enrolledKey(held: AuthorityKey): SignatureVerifier {
  const text = 'pem' in held ? held.pem : held.ssh;
  const found = known.get(text);
  if (found !== undefined) return found;
  const key = 'pem' in held ? importPublicKey(text) : importSshKey(text);
  if (known.size >= MAX_KNOWN_KEYS) known.clear();
  known.set(text, key);
  return key;
}
