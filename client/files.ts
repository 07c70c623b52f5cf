import { chmodSync, chownSync, renameSync, writeFileSync } from 'node:fs';

/** Replaces a file whole: a reader sees the old text or the new one. */
export function replaceFile(
  path: string,
  text: string | Uint8Array,
  { mode = 0o644, owner = null }: { readonly mode?: number; readonly owner?: number | null } = {},
): void {
  const partial = `${path}.${process.pid}.partial`;
  writeFileSync(partial, text, { mode });
  chmodSync(partial, mode);
  if (owner !== null) chownSync(partial, owner, owner);
  renameSync(partial, path);
}
