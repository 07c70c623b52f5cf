import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CustodyError } from '../../../domain/errors.js';
import { decryptStream } from '../../../formats/streaming-aead.js';

const KEY_BYTES = 32;
/** Of files no larger than this every place is looked at, of larger ones what is written as text. */
const SMALL_BYTES = 4096;
const CHUNK_BYTES = 8 * 1024 * 1024;
/** A key as text: base64 of either alphabet, or hexadecimal. */
const WRITTEN = /[A-Za-z0-9+/_-]{43}|[0-9a-fA-F]{64}/g;

/** A blob that somebody wants to read, who has every file of the stack. */
export interface Wanted {
  readonly ciphertext: Buffer;
  /** Of its plaintext. */
  readonly sha256: string;
}

/**
 * Whoever can read every file of a stack: all credentials, the store, caches, Temporal's history. Tries everything in there that
 * can be a key; answers which of the blobs it could read.
 */
export async function steal(folder: string, wanted: readonly Wanted[]): Promise<readonly boolean[]> {
  const keys = candidatesIn(folder);
  return Promise.all(wanted.map((blob) => opens(blob, keys)));
}

async function opens({ ciphertext, sha256 }: Wanted, keys: ReadonlySet<string>): Promise<boolean> {
  for (const key of keys)
    if (await decrypts(ciphertext, Buffer.from(key, 'hex'), Buffer.from(sha256, 'hex'))) return true;
  return false;
}

async function decrypts(ciphertext: Buffer, key: Buffer, associated: Buffer): Promise<boolean> {
  const whole = async function* (): AsyncGenerator<Buffer> {
    yield ciphertext;
  };
  try {
    for await (const _ of decryptStream(whole(), key, associated)) return true;
    return true;
  } catch (error) {
    if (error instanceof CustodyError && error.code === 'DIGEST_MISMATCH') return false;
    throw error;
  }
}

function candidatesIn(folder: string): ReadonlySet<string> {
  const found = new Set<string>();
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    for (const chunk of chunksOf(path)) {
      if (chunk.length <= SMALL_BYTES)
        for (let at = 0; at + KEY_BYTES <= chunk.length; at += 1)
          found.add(chunk.subarray(at, at + KEY_BYTES).toString('hex'));
      for (const [text] of chunk.toString('latin1').matchAll(WRITTEN)) {
        const bytes = Buffer.from(text, text.length === 64 ? 'hex' : 'base64');
        if (bytes.length >= KEY_BYTES) found.add(bytes.subarray(0, KEY_BYTES).toString('hex'));
      }
    }
  }
  return found;
}

/** Overlapping, so that nothing is missed between them. */
function* chunksOf(path: string): Generator<Buffer> {
  const file = openSync(path, 'r');
  try {
    const { size } = statSync(path);
    for (let at = 0; at < size || at === 0; at += CHUNK_BYTES - 128) {
      const chunk = Buffer.alloc(Math.min(CHUNK_BYTES, Math.max(0, size - at)));
      readSync(file, chunk, 0, chunk.length, at);
      yield chunk;
      if (size <= CHUNK_BYTES) return;
    }
  } finally {
    closeSync(file);
  }
}
