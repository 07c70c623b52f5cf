import { randomUUID } from 'node:crypto';
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { CustodyError } from '../domain/errors.js';

/**
 * Replaces a file whole: a reader sees the old text or the new one, also after a crash. A failure leaves the old one. The folder may be
 * somebody else's: nothing that lies in it beforehand is written to or changes hands, and the text is nobody's but the owner's.
 */
export function replaceFile(
  path: string,
  text: string | Uint8Array,
  { mode = 0o644, owner = null }: { readonly mode?: number; readonly owner?: number | null } = {},
): void {
  const partial = `${path}.${randomUUID()}.partial`;
  try {
    write(partial, text, { mode, owner });
    renameSync(partial, path);
  } catch (cause) {
    rmSync(partial, { force: true });
    if ((cause as NodeJS.ErrnoException).code !== 'ENOSPC') throw cause;
    throw new CustodyError('NO_SPACE', `no room is left for ${path}: free some and run this again`, { cause });
  }
}

/**
 * Makes a folder that is not there yet, whole or not at all: `fill` writes into one beside it, which then gets its name. USAGE: there
 * is something in its place.
 */
export async function makeFolder<T>(folder: string, fill: (partial: string) => Promise<T>): Promise<T> {
  const target = resolve(folder);
  const partial = `${target}.${randomUUID()}.partial`;
  try {
    const filled = await fill(partial);
    renameSync(partial, target);
    return filled;
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'ENOTDIR') throw error;
    throw new CustodyError('USAGE', `there is something at ${target}: name another folder with --out`, {
      cause: error,
    });
  }
}

/** Writes a file below a folder, and the folders that lead to it. */
export function writeBelow(folder: string, path: string, bytes: Uint8Array): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), bytes);
}

function write(
  file: string,
  text: string | Uint8Array,
  { mode, owner }: { readonly mode: number; readonly owner: number | null },
): void {
  const fd = openSync(file, 'wx', mode);
  try {
    writeFileSync(fd, text);
    fchmodSync(fd, mode);
    if (owner !== null) fchownSync(fd, owner, owner);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
