import { randomBytes } from 'node:crypto';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { BlobRef, ClaimAnswer, ClaimRequest, StoredRequest } from '../domain/vault.js';
import { encodeBase64 } from '../formats/base64.js';
import { buried } from './open.js';
import type { Vault } from './vault.js';
import type { Entry } from './ledger-schema.js';

/** Makes `release` a holder of the bytes, and answers who encrypts them: the caller, or somebody who already has. */
export function claim(vault: Vault, { sha256, size, release }: ClaimRequest): Promise<ClaimAnswer<string>> {
  const { ledger, seen, locks } = vault;
  return locks.hold([sha256], async () => {
    if (ledger.isDestroyed(release)) throw new CustodyError('ERASED', `the release ${release} has been destroyed`);
    if (seen.isRevoked(release)) throw new CustodyError('REVOKED', `the release ${release} has been revoked`);
    const found = await ledger.living(sha256);
    if (found !== null && found.size !== size)
      throw new CustodyError('DIGEST_MISMATCH', `${sha256} has been claimed with ${found.size} bytes, not ${size}`);
    const entry = found === null ? await begin(vault, { sha256, size, release }) : await hold(vault, found, release);
    if (entry.stored !== null) return { state: 'stored', blob: entry.blob, ...entry.stored };
    return { state: 'new', blob: entry.blob, key: encodeBase64(await ledger.keyForWriting(entry.blob)) };
  });
}

/** Keeps where the ciphertext lies; the first report counts. ERASED when the key was destroyed meanwhile. */
export function stored({ ledger, locks }: Vault, { sha256, blob, ...place }: StoredRequest): Promise<BlobRef> {
  return locks.hold([sha256], async () => {
    if (await ledger.isBuried(blob)) throw buried(blob);
    const entry = await ledger.entry(sha256);
    if (entry?.blob !== blob) throw new CustodyError('REPLAYED', `${sha256} has not been claimed as blob ${blob}`);
    if (entry.stored !== null) return { blob, ...entry.stored };
    await ledger.replace(entry, { ...entry, stored: place });
    return { blob, ...place };
  });
}

async function begin({ ledger }: Vault, { sha256, size, release }: ClaimRequest): Promise<Entry> {
  const blob = randomBytes(16).toString('hex');
  // What the entry of a destroyed key left behind is replaced.
  const before = await ledger.entry(sha256);
  return ledger.replace(before, { sha256, size, blob, holders: [release], stored: null });
}

export async function hold({ ledger }: Vault, entry: Entry, release: Digest): Promise<Entry> {
  const doomed = entry.holders.find((holder) => ledger.isDestroyed(holder));
  if (doomed !== undefined)
    throw new CustodyError(
      'VAULT_UNAVAILABLE',
      `the destruction of ${doomed}, which holds ${entry.sha256}, has failed half-way: ask for it again, then claim`,
    );
  if (entry.holders.includes(release)) return entry;
  return ledger.replace(entry, { ...entry, holders: [...entry.holders, release] });
}
