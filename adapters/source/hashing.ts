import { createHash, hash } from 'node:crypto';
import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { ManifestFile } from '../../domain/manifest.js';
import { CustodyError, type ErrorCode, type ErrorDetails } from '../../domain/errors.js';
import { assertRegular, CHUNK_BYTES, cannotOpen, hashOf, openRegular, OPEN_FLAGS } from './file.js';
import type { FoundFile } from './folder.js';

/** What a file costs beside its bytes, in bytes that could be hashed meanwhile; and what a thread costs. */
const FILE_COST = 32 * 1024;
const THREAD_COST = 64 * 1024 * 1024;
/** Small files that are hashed before anything else has its turn. */
const AT_A_TIME = 64;

export interface Share {
  readonly folder: string;
  readonly files: readonly FoundFile[];
}

/** What a thread answers: the class of an error does not survive the way. */
export type ShareAnswer =
  | { readonly files: readonly ManifestFile[] }
  | { readonly code: ErrorCode; readonly message: string; readonly details: ErrorDetails };

/**
 * Hashes the files that `walkFolder` has found, in its order: in threads where several pay off, else here, a little at a time, so
 * that a heartbeat is never late. INPUT_UNSAFE: a file has become a link, or got a second name.
 */
export async function hashFiles(folder: string, files: readonly FoundFile[]): Promise<ManifestFile[]> {
  const shares = sharesOf(files);
  if (shares.length === 1) return hashHere({ folder, files });
  const threads = shares.map((share) => inThread({ folder, files: share }));
  try {
    const digests = new Map((await Promise.all(threads)).flat().map((file) => [file.path, file]));
    return files.flatMap(({ path }) => digests.get(path) ?? []);
  } finally {
    await Promise.allSettled(threads);
  }
}

function cost({ size }: FoundFile): number {
  return size + FILE_COST;
}

/** Largest first, each to the share that has least to do. No thread has less to do than one is worth, or waits for the largest file. */
function sharesOf(files: readonly FoundFile[]): FoundFile[][] {
  const total = files.reduce((sum, file) => sum + cost(file), 0);
  const largest = files.reduce((most, file) => Math.max(most, cost(file)), 1);
  const worth = Math.min(Math.floor(total / THREAD_COST), Math.round(total / largest));
  const count = Math.max(1, Math.min(availableParallelism(), worth));
  const shares = Array.from({ length: count }, () => ({ cost: 0, files: [] as FoundFile[] }));
  for (const file of [...files].sort((a, b) => b.size - a.size)) {
    const least = shares.reduce((a, b) => (b.cost < a.cost ? b : a));
    least.files.push(file);
    least.cost += cost(file);
  }
  return shares.map((share) => share.files);
}

/** On a thread that has other things to do as well. */
async function hashHere({ folder, files }: Share): Promise<ManifestFile[]> {
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  const hashed: ManifestFile[] = [];
  for (const [at, { path, size }] of files.entries()) {
    if (at % AT_A_TIME === 0) await setImmediate();
    const place = join(folder, path);
    hashed.push({ path, ...(size > buffer.length ? await hashLarge(place) : hashAtOnce(place, buffer)) });
  }
  return hashed;
}

/** On a thread of its own, while others hash as much. */
export function hashShare({ folder, files }: Share): ManifestFile[] {
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  return files.map(({ path }) => ({ path, ...hashAtOnce(join(folder, path), buffer) }));
}

type Hashed = Omit<ManifestFile, 'path'>;

/** A small file costs no more than the calls it needs. */
function hashAtOnce(place: string, buffer: Buffer): Hashed {
  const file = openNow(place);
  try {
    const stats = fstatSync(file);
    assertRegular(place, stats);
    let read = readSync(file, buffer);
    if (read === stats.size) return { size: read, sha256: hash('sha256', buffer.subarray(0, read)) };
    const whole = createHash('sha256');
    let size = 0;
    for (; read > 0; read = readSync(file, buffer)) {
      whole.update(buffer.subarray(0, read));
      size += read;
    }
    return { size, sha256: whole.digest('hex') };
  } finally {
    closeSync(file);
  }
}

async function hashLarge(place: string): Promise<Hashed> {
  const { handle } = await openRegular(place);
  try {
    return await hashOf(handle);
  } finally {
    await handle.close();
  }
}

function openNow(path: string): number {
  try {
    return openSync(path, OPEN_FLAGS);
  } catch (cause) {
    throw cannotOpen(path, cause);
  }
}

/** Compiled code runs in threads; from its source it does so too, since it is compiled beforehand. */
function threadFile(): string {
  const beside = fileURLToPath(new URL('./hash-thread.js', import.meta.url));
  const compiled = fileURLToPath(new URL('../../dist/adapters/source/hash-thread.js', import.meta.url));
  return existsSync(beside) ? beside : compiled;
}

function inThread(share: Share): Promise<readonly ManifestFile[]> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(threadFile(), { workerData: share });
    worker.once('message', (answer: ShareAnswer) => {
      if ('files' in answer) resolve(answer.files);
      else reject(new CustodyError(answer.code, answer.message, { details: answer.details }));
    });
    worker.once('error', reject);
    // Whoever has answered has settled this already.
    worker.once('exit', (code) => reject(new CustodyError('INTERNAL', `a hashing thread ended with ${code}`)));
  });
}
