import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { CustodyError } from '../domain/errors.js';

/*
 * Tink's streaming AEAD with the key template AES256_GCM_HKDF_1MB and output prefix RAW
 * (developers.google.com/tink/streaming-aead/aes_gcm_hkdf_streaming).
 *
 *   ciphertext = header || segment 0 || segment 1 || ...      header = 0x28 || salt (32) || nonce prefix (7)
 *   segment i  = AES-256-GCM(HKDF-SHA256(key, salt, associated data), prefix || u32(i) || last ? 1 : 0, plaintext i)
 *
 * Every MiB of ciphertext but the last is full; the header counts to the first.
 */
const SEGMENT_SIZE = 1024 * 1024;
const SALT_SIZE = 32;
const PREFIX_SIZE = 7;
const HEADER_SIZE = 1 + SALT_SIZE + PREFIX_SIZE;
const TAG_SIZE = 16;
const KEY_SIZE = 32;
const CIPHER = 'aes-256-gcm';
const MAX_SEGMENTS = 2 ** 32;
/** OpenSSL's bound on the info of HKDF, as Node passes it on. */
const MAX_ASSOCIATED_DATA = 1024;

interface Segment {
  readonly index: number;
  readonly isLast: boolean;
  /** Valid until the next segment is asked for. */
  readonly bytes: Buffer;
}

/**
 * Encrypts a stream of chunks of any size, one segment in memory. `key` is 32 bytes, `associatedData` at most 1,024
 * (MALFORMED otherwise). The same plaintext never gives the same ciphertext twice.
 */
export async function* encryptStream(
  plain: AsyncIterable<Buffer>,
  key: Buffer,
  associatedData: Buffer,
): AsyncGenerator<Buffer> {
  assertParameters(key, associatedData);
  const salt = randomBytes(SALT_SIZE);
  const prefix = randomBytes(PREFIX_SIZE);
  const segmentKey = deriveKey(key, salt, associatedData);
  yield Buffer.concat([Buffer.of(HEADER_SIZE), salt, prefix]);
  for await (const { index, isLast, bytes } of segmentsOf(plain, plaintextCapacity)) {
    const cipher = createCipheriv(CIPHER, segmentKey, nonceOf(prefix, index, isLast));
    const body = cipher.update(bytes);
    cipher.final();
    if (body.length > 0) yield body;
    yield cipher.getAuthTag();
  }
}

/**
 * Decrypts what `encryptStream` or Tink wrote, one segment in memory. Every chunk that comes out is authentic and in its
 * place, but the plaintext as a whole is valid only when the iteration has ended without an error: DIGEST_MISMATCH when
 * the ciphertext was changed, truncated, extended or reordered, or is not of this key and associated data.
 */
export async function* decryptStream(
  cipher: AsyncIterable<Buffer>,
  key: Buffer,
  associatedData: Buffer,
): AsyncGenerator<Buffer> {
  assertParameters(key, associatedData);
  let segmentKey: Buffer = Buffer.alloc(0);
  let prefix: Buffer = Buffer.alloc(0);
  for await (const { index, isLast, bytes } of segmentsOf(cipher, () => SEGMENT_SIZE)) {
    const start = index === 0 ? HEADER_SIZE : 0;
    if (bytes.length < start + TAG_SIZE) {
      throw mismatch(index, `it is cut off: ${bytes.length} bytes, expected at least ${start + TAG_SIZE}`);
    }
    if (index === 0) {
      if (bytes[0] !== HEADER_SIZE)
        throw mismatch(index, `its header begins with ${bytes[0]}, expected ${HEADER_SIZE}`);
      segmentKey = deriveKey(key, bytes.subarray(1, 1 + SALT_SIZE), associatedData);
      prefix = Buffer.from(bytes.subarray(1 + SALT_SIZE, HEADER_SIZE));
    }
    const body = openSegment(segmentKey, nonceOf(prefix, index, isLast), bytes.subarray(start), index);
    if (body.length > 0) yield body;
  }
}

/** Bytes of ciphertext for that many bytes of plaintext. */
export function ciphertextSize(plainSize: number): number {
  if (!Number.isSafeInteger(plainSize) || plainSize < 0) {
    throw new CustodyError('INTERNAL', `not a size in bytes: ${plainSize}`);
  }
  const segments = Math.max(1, Math.ceil((HEADER_SIZE + plainSize) / (SEGMENT_SIZE - TAG_SIZE)));
  return HEADER_SIZE + plainSize + segments * TAG_SIZE;
}

function plaintextCapacity(index: number): number {
  return SEGMENT_SIZE - TAG_SIZE - (index === 0 ? HEADER_SIZE : 0);
}

/** Cuts a stream into full segments and a last one, which is empty only when the whole stream is. */
async function* segmentsOf(
  source: AsyncIterable<Buffer>,
  capacity: (index: number) => number,
): AsyncGenerator<Segment> {
  const buffer = Buffer.allocUnsafe(SEGMENT_SIZE);
  let index = 0;
  let filled = 0;
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length;) {
      // A full segment waits for one more byte: only then is it known not to be the last.
      if (filled === capacity(index)) {
        yield { index, isLast: false, bytes: buffer.subarray(0, filled) };
        index += 1;
        filled = 0;
      }
      const copied = chunk.copy(buffer, filled, at, at + capacity(index) - filled);
      filled += copied;
      at += copied;
    }
  }
  yield { index, isLast: true, bytes: buffer.subarray(0, filled) };
}

function openSegment(key: Buffer, nonce: Buffer, sealed: Buffer, index: number): Buffer {
  const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_SIZE });
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_SIZE));
  const body = decipher.update(sealed.subarray(0, sealed.length - TAG_SIZE));
  try {
    decipher.final();
  } catch (cause) {
    throw mismatch(index, 'it was changed, cut off or moved, or the key or the associated data is another', cause);
  }
  return body;
}

function deriveKey(key: Buffer, salt: Buffer, associatedData: Buffer): Buffer {
  return Buffer.from(hkdfSync('sha256', key, salt, associatedData, KEY_SIZE));
}

function nonceOf(prefix: Buffer, index: number, isLast: boolean): Buffer {
  if (index >= MAX_SEGMENTS) throw new CustodyError('MALFORMED', `the stream has more than ${MAX_SEGMENTS} segments`);
  const nonce = Buffer.alloc(PREFIX_SIZE + 5);
  prefix.copy(nonce);
  nonce.writeUInt32BE(index, PREFIX_SIZE);
  nonce.writeUInt8(isLast ? 1 : 0, PREFIX_SIZE + 4);
  return nonce;
}

function assertParameters(key: Buffer, associatedData: Buffer): void {
  if (key.length !== KEY_SIZE) {
    throw new CustodyError('MALFORMED', `the encryption key has ${key.length} bytes, expected ${KEY_SIZE}`);
  }
  if (associatedData.length > MAX_ASSOCIATED_DATA) {
    const found = associatedData.length;
    throw new CustodyError('MALFORMED', `the associated data has ${found} bytes, at most ${MAX_ASSOCIATED_DATA}`);
  }
}

function mismatch(segment: number, problem: string, cause?: unknown): CustodyError {
  return new CustodyError('DIGEST_MISMATCH', `segment ${segment} of the ciphertext does not verify: ${problem}`, {
    details: { segment },
    ...(cause === undefined ? {} : { cause }),
  });
}
