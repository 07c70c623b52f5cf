import { randomUUID } from 'node:crypto';
import { closeSync, fchmodSync, fchownSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
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
