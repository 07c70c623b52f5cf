import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Bucket, Lock } from '../adapters/object-store/port.js';
import type { Records } from '../adapters/records.js';
import { expectedBytes } from '../adapters/source/file.js';
import type { SourceRelease } from '../adapters/source/folder.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { ManifestFile } from '../domain/manifest.js';
import { storeKeys } from '../domain/store-keys.js';
import type { BlobRef, ClaimAnswer, ClaimRequest, StoredRequest } from '../domain/vault.js';
import { decryptStream, encryptStream } from '../formats/streaming-aead.js';

/** What intake may ask of the vault: a key for bytes that are not stored yet, and to note where they lie. */
export interface BlobKeys {
  claim(request: ClaimRequest): Promise<ClaimAnswer<Buffer>>;
  stored(request: StoredRequest): Promise<unknown>;
}

/**
 * Encrypts and uploads one file, unless its bytes are stored already. The bytes are hashed again on their way: what is not
 * what was checked before never becomes a whole object, nor is it told to the vault.
 */
export async function storeFile(
  { records, vault }: { readonly records: Records; readonly vault: BlobKeys },
  { folder }: SourceRelease,
  file: ManifestFile,
  release: Digest,
  signal: AbortSignal,
): Promise<void> {
  const { sha256: digest, size } = file;
  const claimed = await vault.claim({ sha256: digest, size, release });
  const key = storeKeys.blob(claimed.blob);
  const lock = await records.lock();
  if (claimed.state === 'stored') await records.bucket.extendLock(key, claimed.versionId, lock);
  else {
    const target: Target = { bucket: records.bucket, lock, key, signal };
    const plain = expectedBytes(join(folder, file.path), file, { signal });
    const ciphertext = (await adopt(target, file, claimed.key)) ?? (await upload(target, plain, file, claimed.key));
    await vault.stored({ sha256: digest, blob: claimed.blob, ...ciphertext });
  }
}

interface Target {
  readonly bucket: Bucket;
  readonly lock: Lock;
  readonly key: string;
  readonly signal: AbortSignal;
}
type Ciphertext = Omit<BlobRef, 'blob'>;

/** A blob is bound to its plaintext: the associated data is the raw SHA-256, so that none can stand in for another. */
function associatedData({ sha256: digest }: ManifestFile): Buffer {
  return Buffer.from(digest, 'hex');
}

async function upload(
  { bucket, lock, key, signal }: Target,
  plain: AsyncIterable<Buffer>,
  file: ManifestFile,
  secret: Buffer,
): Promise<Ciphertext> {
  const {
    versionId,
    sha256: ciphertext,
    size,
  } = await bucket.upload(key, encryptStream(plain, secret, associatedData(file)), { lock, signal });
  return { versionId: versioned(versionId, key), ciphertext, ciphertextSize: size };
}

/**
 * What an attempt before this one has uploaded and not lived to report: whole, since an object appears only as a whole, and
 * believed once it decrypts to the file. `null` where there is nothing yet.
 */
async function adopt(
  { bucket, lock, key, signal }: Target,
  file: ManifestFile,
  secret: Buffer,
): Promise<Ciphertext | null> {
  const head = await bucket.head(key, null);
  if (head === null) return null;
  const versionId = versioned(head.versionId, key);
  const sealed = createHash('sha256');
  const opened = createHash('sha256');
  const stream = await bucket.readStream(key, versionId);
  const cipher = async function* (): AsyncGenerator<Buffer> {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      signal.throwIfAborted();
      sealed.update(chunk);
      yield chunk;
    }
  };
  for await (const chunk of decryptStream(cipher(), secret, associatedData(file))) opened.update(chunk);
  if (opened.digest('hex') !== file.sha256)
    throw new CustodyError('WORM_VIOLATED', `${key} holds something else than ${file.sha256}`, { details: { key } });
  await bucket.extendLock(key, versionId, lock);
  return { versionId, ciphertext: sealed.digest('hex'), ciphertextSize: head.size };
}

function versioned(versionId: string | null, key: string): string {
  if (versionId === null)
    throw new CustodyError('STORE_NOT_WORM', `${key} has no version: the bucket needs versioning and Object Lock`);
  return versionId;
}
