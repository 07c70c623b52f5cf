import { randomBytes } from 'node:crypto';
import { chmod, mkdir, open, readFile, readdir, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { z } from 'zod';
import { CustodyError } from '../domain/errors.js';
import { canonicalBytes } from '../formats/jcs.js';
import { checkShape, parseJson } from '../formats/json.js';

/** What a write leaves behind when the process dies in it; never read. */
const UNFINISHED = '.new';
/** Room for the destruction of a release of the most files that there may be. */
const MAX_FILE_BYTES = 128 * 1024 * 1024;

/** Makes a folder that only this user may enter, where it is missing. */
export async function ensureFolder(path: string): Promise<void> {
  const isNew = (await mkdir(path, { recursive: true, mode: 0o700 })) !== undefined;
  await chmod(path, 0o700);
  if (isNew) await syncFolder(dirname(path));
}

/**
 * Once it returns, the file has these bytes even if the power fails; before, it has its old ones. Mode 0600. NO_SPACE: the disk
 * is full, and nothing is left of the attempt.
 */
export async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  const partial = `${path}${UNFINISHED}`;
  try {
    await writeWhole(partial, bytes);
    await rename(partial, path);
  } catch (cause) {
    const { code = '' } = cause as NodeJS.ErrnoException;
    if (!['ENOSPC', 'EDQUOT'].includes(code)) throw cause;
    await shred(partial);
    throw new CustodyError('NO_SPACE', `no room is left for ${path}: free some`, { cause });
  }
  await syncFolder(dirname(path));
}

async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'w', 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

export async function writeJson(path: string, value: unknown): Promise<void> {
  await writeDurably(path, canonicalBytes(value));
}

export async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T | null> {
  const bytes = await readIfThere(path);
  return bytes === null ? null : checkShape(schema, parseJson(bytes, path, { maxBytes: MAX_FILE_BYTES }), path);
}

export async function readIfThere(path: string): Promise<Buffer | null> {
  return unlessMissing(readFile(path), null);
}

export async function removeDurably(path: string): Promise<void> {
  await unlessMissing(unlink(path), undefined);
  await syncFolder(dirname(path));
}

/** Overwrites the bytes where they lie, then removes the file. A file that is not there is done already. */
export async function shred(path: string): Promise<void> {
  const file = await unlessMissing(open(path, 'r+'), null);
  if (file !== null) {
    try {
      const { size } = await file.stat();
      await file.write(randomBytes(size), 0, size, 0);
      await file.sync();
    } finally {
      await file.close();
    }
  }
  await removeDurably(path);
}

/** Overwrites and removes what writes that never finished have left in a folder. */
export async function sweep(folder: string): Promise<void> {
  for (const name of await readdir(folder)) if (name.endsWith(UNFINISHED)) await shred(join(folder, name));
}

/** Makes names that were added to a folder, or taken from it, outlast a power failure. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function unlessMissing<T, U>(result: Promise<T>, otherwise: U): Promise<T | U> {
  try {
    return await result;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return otherwise;
    throw error;
  }
}
