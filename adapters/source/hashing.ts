import { createHash } from 'node:crypto';
import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { ManifestFile } from '../../domain/manifest.js';
import { CustodyError, type ErrorCode, type ErrorDetails } from '../../domain/errors.js';
import { assertRegular, CHUNK_BYTES, cannotOpen, OPEN_FLAGS } from './file.js';
import type { FoundFile } from './folder.js';

/** What a file costs beside its bytes, in bytes that could be hashed meanwhile; and what a thread costs. */
const FILE_COST = 32 * 1024;
const THREAD_COST = 64 * 1024 * 1024;

export interface Share {
  readonly folder: string;
  readonly files: readonly FoundFile[];
}

/** What a thread answers: the class of an error does not survive the way. */
export type ShareAnswer =
  | { readonly files: readonly ManifestFile[] }
  | { readonly code: ErrorCode; readonly message: string; readonly details: ErrorDetails };

/**
 * Hashes the files that `walkFolder` has found, in its order: in threads, as many as pay off, so that a heartbeat is never
 * late; a few small files at once. INPUT_UNSAFE: a file has become a link, or got a second name.
 */
export async function hashFiles(folder: string, files: readonly FoundFile[]): Promise<ManifestFile[]> {
  const total = files.reduce((sum, file) => sum + cost(file), 0);
  if (total < THREAD_COST) return hashShare({ folder, files });
  const threads = sharesOf(files, total).map((share) => inThread({ folder, files: share }));
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

/** Largest first, each to the share that has least to do. */
function sharesOf(files: readonly FoundFile[], total: number): FoundFile[][] {
  const count = Math.min(availableParallelism(), files.length, Math.floor(total / THREAD_COST));
  const shares = Array.from({ length: count }, () => ({ cost: 0, files: [] as FoundFile[] }));
  for (const file of [...files].sort((a, b) => b.size - a.size)) {
    const least = shares.reduce((a, b) => (b.cost < a.cost ? b : a));
    least.files.push(file);
    least.cost += cost(file);
  }
  return shares.map((share) => share.files);
}

/** On this thread, one after the other: a small file costs no more than the calls it needs. */
export function hashShare({ folder, files }: Share): ManifestFile[] {
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  return files.map(({ path }) => {
    const place = join(folder, path);
    const file = openNow(place);
    try {
      assertRegular(place, fstatSync(file));
      const hash = createHash('sha256');
      let size = 0;
      for (let read = readSync(file, buffer); read > 0; read = readSync(file, buffer)) {
        hash.update(buffer.subarray(0, read));
        size += read;
      }
      return { path, size, sha256: hash.digest('hex') };
    } finally {
      closeSync(file);
    }
  });
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
