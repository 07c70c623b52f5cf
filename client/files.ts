import { chmodSync, chownSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { CustodyError } from '../domain/errors.js';

/** Replaces a file whole: a reader sees the old text or the new one, also after a crash. A failure leaves the old one. */
export function replaceFile(
  path: string,
  text: string | Uint8Array,
  { mode = 0o644, owner = null }: { readonly mode?: number; readonly owner?: number | null } = {},
): void {
  const partial = `${path}.${process.pid}.partial`;
  try {
    writeFileSync(partial, text, { mode, flush: true });
    chmodSync(partial, mode);
    if (owner !== null) chownSync(partial, owner, owner);
    renameSync(partial, path);
  } catch (cause) {
    rmSync(partial, { force: true });
    if ((cause as NodeJS.ErrnoException).code !== 'ENOSPC') throw cause;
    throw new CustodyError('NO_SPACE', `no room is left for ${path}: free some and run this again`, { cause });
  }
}
