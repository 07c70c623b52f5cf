import { createHash } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Digest } from '../../domain/digest.js';
import { CustodyError } from '../../domain/errors.js';
import { quote } from '../../formats/json.js';

/** Large enough that Node hashes at the processor's own rate, small enough to hold two of them. */
export const CHUNK_BYTES = 1024 * 1024;
/** A pipe or device must not keep us waiting, and a link must not lead elsewhere. */
export const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** The path on this host behind a `file://` URL or an absolute path. USAGE for anything else. */
export function localPath(reference: string): string {
  if (isAbsolute(reference)) return reference;
  try {
    if (reference.startsWith('file:///')) return fileURLToPath(reference);
  } catch (cause) {
    throw new CustodyError('USAGE', `${quote(reference)} is not a path: ${String(cause)}`, { cause });
  }
  throw new CustodyError('USAGE', `${quote(reference)} cannot be read: give a file:// URL or an absolute path`);
}

/**
 * Opens a regular file without following a link and without waiting for one that is none. INPUT_MISSING: it is not there or
 * not readable. INPUT_UNSAFE: a link, a device, a pipe, or a file that has a second name somewhere.
 */
export async function openRegular(path: string): Promise<{ handle: FileHandle; size: number }> {
  const handle = await openUnfollowed(path);
  try {
    const stats = await handle.stat();
    assertRegular(path, stats);
    return { handle, size: stats.size };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function openUnfollowed(path: string): Promise<FileHandle> {
  try {
    return await open(path, OPEN_FLAGS);
  } catch (cause) {
    throw cannotOpen(path, cause);
  }
}

/** INPUT_UNSAFE unless what was opened is a file that has no second name somewhere. */
export function assertRegular(path: string, stats: Stats): void {
  if (!stats.isFile()) throw unsafe(path, 'it is not a regular file');
  if (stats.nlink > 1) throw unsafe(path, 'it has a second name (a hard link), by which it could change: copy it');
}

/** Why opening with OPEN_FLAGS failed. */
export function cannotOpen(path: string, cause: unknown): CustodyError {
  const { code } = cause as NodeJS.ErrnoException;
  if (code === 'ELOOP' || code === 'EMLINK') return unsafe(path, 'it is a symbolic link', cause);
  if (code === 'ENXIO' || code === 'EISDIR') return unsafe(path, 'it is not a regular file', cause);
  return new CustodyError('INPUT_MISSING', `cannot read ${quote(path)}: ${code ?? String(cause)}`, {
    details: { path },
    cause,
  });
}

/**
 * The bytes of an open file from its beginning, the next chunk being read while one is used. At most `limit` bytes and one
 * more are read, so that a file that grows has an end. A chunk is valid until the next one is asked for.
 */
export async function* readChunks(handle: FileHandle, limit: number): AsyncGenerator<Buffer> {
  const buffers = [Buffer.allocUnsafe(CHUNK_BYTES), Buffer.allocUnsafe(CHUNK_BYTES)] as const;
  let position = 0;
  const read = async (buffer: Buffer): Promise<Buffer> => {
    const wanted = Math.min(buffer.length, limit + 1 - position);
    const { bytesRead } = wanted > 0 ? await handle.read(buffer, 0, wanted, position) : { bytesRead: 0 };
    position += bytesRead;
    return buffer.subarray(0, bytesRead);
  };
  let turn: 0 | 1 = 0;
  let pending = read(buffers[turn]);
  try {
    for (;;) {
      const chunk = await pending;
      if (chunk.length === 0) return;
      turn = turn === 0 ? 1 : 0;
      pending = read(buffers[turn]);
      yield chunk;
    }
  } finally {
    // Nobody may close the file, or use the buffer, under a read that is still on its way.
    await Promise.allSettled([pending]);
  }
}

/** The whole of a small file. INPUT_UNSAFE when it is larger than `maxBytes`. */
export async function readSmall(path: string, maxBytes: number): Promise<Buffer> {
  const { handle, size } = await openRegular(path);
  try {
    if (size > maxBytes) throw unsafe(path, `it has ${size} bytes, at most ${maxBytes} are read`);
    const chunks: Buffer[] = [];
    for await (const chunk of readChunks(handle, maxBytes)) chunks.push(Buffer.from(chunk));
    const bytes = Buffer.concat(chunks);
    if (bytes.length > maxBytes) throw unsafe(path, `it grew beyond ${maxBytes} bytes while it was read`);
    return bytes;
  } finally {
    await handle.close();
  }
}

/** The same of one that may be missing: then `null`. */
export async function readSmallIfThere(path: string, maxBytes: number): Promise<Buffer | null> {
  try {
    return await readSmall(path, maxBytes);
  } catch (error) {
    if (error instanceof CustodyError && error.code === 'INPUT_MISSING') return null;
    throw error;
  }
}

export interface ExpectedFile {
  readonly path: string;
  readonly size: number;
  readonly sha256: Digest;
}

export interface ReadOptions {
  readonly onBytes?: (bytes: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * The bytes of a file that must be what was expected: size and hash are checked before the iteration ends, so whoever reads
 * on to its end holds exactly those bytes. DIGEST_MISMATCH otherwise. `path` is where it lies, `expected.path` its name.
 */
export async function* expectedBytes(
  path: string,
  expected: ExpectedFile,
  options: ReadOptions = {},
): AsyncGenerator<Buffer> {
  const { handle, size } = await openRegular(path);
  try {
    if (size !== expected.size) throw mismatch(expected, `has ${size} bytes, the manifest says ${expected.size}`);
    yield* checkedBytes(readChunks(handle, expected.size), expected, options);
  } finally {
    await handle.close();
  }
}

/** The same of bytes that come from anywhere. */
export async function* checkedBytes(
  bytes: AsyncIterable<Buffer>,
  expected: ExpectedFile,
  { onBytes, signal }: ReadOptions = {},
): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  let read = 0;
  for await (const chunk of bytes) {
    signal?.throwIfAborted();
    hash.update(chunk);
    read += chunk.length;
    onBytes?.(chunk.length);
    if (read > expected.size) throw mismatch(expected, `has more than the ${expected.size} bytes it should have`);
    yield chunk;
  }
  const found = hash.digest('hex');
  if (found !== expected.sha256) throw mismatch(expected, `has the SHA-256 ${found}, expected ${expected.sha256}`);
}

function mismatch({ path, sha256 }: ExpectedFile, problem: string): CustodyError {
  return new CustodyError('DIGEST_MISMATCH', `the file ${quote(path)} ${problem}: it is not what was signed`, {
    details: { path, expected: sha256 },
  });
}

/** How much an open file holds, and the SHA-256 of it. What comes next is read while this is hashed. */
export async function hashOf(handle: FileHandle): Promise<{ readonly size: number; readonly sha256: Digest }> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of readChunks(handle, Number.MAX_SAFE_INTEGER - 1)) {
    hash.update(chunk);
    size += chunk.length;
  }
  return { size, sha256: hash.digest('hex') };
}

export function unsafe(path: string, problem: string, cause?: unknown): CustodyError {
  return new CustodyError('INPUT_UNSAFE', `${quote(path)} cannot be part of a release: ${problem}`, {
    details: { path },
    ...(cause === undefined ? {} : { cause }),
  });
}
