import { createHash } from 'node:crypto';
import { CustodyError } from '../domain/errors.js';
import { storeKeys } from '../domain/store-keys.js';
import type { OpenedFile } from '../domain/vault.js';
import { quote } from '../formats/json.js';
import { decryptStream } from '../formats/streaming-aead.js';
import type { Bucket } from './object-store/port.js';

/**
 * The bytes of a file in custody, from the one version that the vault names. Whoever reads on to the end has read the
 * ciphertext that intake uploaded: DIGEST_MISMATCH otherwise. The hash of the plaintext is for the reader to check.
 */
export async function* openSealed(bucket: Bucket, blob: OpenedFile<Buffer>, path: string): AsyncGenerator<Buffer> {
  const cipher = await bucket.readStream(storeKeys.blob(blob.blob), blob.versionId);
  yield* decryptStream(sameCiphertext(cipher, blob, path), blob.key, Buffer.from(blob.sha256, 'hex'));
}

/** Passes the ciphertext on; when it has ended, it was the one that intake uploaded. */
async function* sameCiphertext(
  source: AsyncIterable<Buffer>,
  blob: OpenedFile<Buffer>,
  path: string,
): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const bytes of atMost(source, blob.ciphertextSize, path)) {
    hash.update(bytes);
    size += bytes.length;
    yield bytes;
  }
  const sha256 = hash.digest('hex');
  if (size !== blob.ciphertextSize || sha256 !== blob.ciphertext)
    throw mismatch(
      path,
      `its ciphertext has ${size} bytes with sha256 ${sha256}, expected ${blob.ciphertextSize} with ${blob.ciphertext}`,
    );
}

export async function* atMost(source: AsyncIterable<Buffer>, limit: number, path: string): AsyncGenerator<Buffer> {
  let size = 0;
  for await (const bytes of source) {
    size += bytes.length;
    if (size > limit) throw mismatch(path, `more than the ${limit} bytes it should have`);
    yield bytes;
  }
}

export function mismatch(path: string, problem: string): CustodyError {
  return new CustodyError('DIGEST_MISMATCH', `${quote(path)}: ${problem}`, { details: { path } });
}
