import { CustodyError } from '../domain/errors.js';
import type { Digest } from '../domain/digest.js';
import { decodeBase64, encodeBase64 } from './base64.js';
import { quote } from './json.js';
import type { SigningKey } from './keys.js';
import { openNote, signNote, type LogVerifier } from './signed-note.js';
import { HASH_SIZE } from './tlog.js';

/** What a log commits to: C2SP tlog-checkpoint. The origin is the name of the keys that sign. */
export interface Checkpoint {
  readonly origin: string;
  /** Entries. */
  readonly size: number;
  readonly root: Digest;
}

const WHAT = 'the checkpoint';
const SIZE = /^(0|[1-9]\d{0,15})$/;

/** The checkpoint as a signed note. */
export function signCheckpoint({ origin, size, root }: Checkpoint, key: SigningKey): Buffer {
  return signNote(`${origin}\n${size}\n${encodeBase64(Buffer.from(root, 'hex'))}\n`, origin, [key]);
}

/**
 * Reads a checkpoint that `verifier` has signed. SIGNATURE_INVALID without a valid signature of a key that counts for this size;
 * MALFORMED for another origin or form. Custody's logs have no extension lines.
 */
export function openCheckpoint(note: Buffer, verifier: LogVerifier): Checkpoint {
  const { body, by } = openNote(note, WHAT, verifier);
  const checkpoint = parseBody(body, verifier.name);
  if (!by.some(({ until }) => until === null || checkpoint.size <= until))
    throw new CustodyError(
      'SIGNATURE_INVALID',
      `${WHAT} of ${checkpoint.size} entries is signed by a key that had signed for the last time by then`,
    );
  return checkpoint;
}

function parseBody(body: string, name: string): Checkpoint {
  const [origin, size, encoded, ...rest] = body.split('\n');
  if (origin !== name) throw malformed(`its origin is ${quote(origin ?? '')}, expected ${quote(name)}`);
  if (size === undefined || !SIZE.test(size) || !Number.isSafeInteger(Number(size)))
    throw malformed('its second line must be the size in decimal digits');
  const root = decodeBase64(encoded ?? '', 'the root hash of the checkpoint');
  if (root.length !== HASH_SIZE || encodeBase64(root) !== encoded) throw malformed('its root is not a SHA-256');
  if (rest.length !== 1 || rest[0] !== '') throw malformed('it has extension lines');
  return { origin, size: Number(size), root: root.toString('hex') };
}

function malformed(problem: string): CustodyError {
  return new CustodyError('MALFORMED', `${WHAT} is not acceptable: ${problem}`, { details: { what: WHAT } });
}
