import type { Stats } from 'node:fs';
import { lchown, lstat, opendir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';

/** Below it, what a path names can no longer be named: the kernel takes 4,096 bytes. */
const DEEPEST_PATH = 3000;
/** An entry takes room in the file system even where it holds nothing. */
const ENTRY_BYTES = 512;

/**
 * Bytes that regular files and folders under the paths take on disk, each at least a block. Files that vanish meanwhile count
 * nothing; a tree that is nested deeper than can be named, or closed to its owner, is without bound.
 */
export async function measure(paths: readonly string[]): Promise<number> {
  let total = 0;
  for (const path of paths) {
    const isWhole = await walk(path, async (entry) => {
      total += Math.max(ENTRY_BYTES, (await lstat(entry)).blocks * 512);
    });
    if (!isWhole) return Infinity;
  }
  return total;
}

/** Tells of everything under the paths that is neither a plain file nor a folder, or would run with its owner's rights. */
export async function oddities(paths: readonly string[], tell: (what: string) => void): Promise<void> {
  for (const path of paths)
    await walk(path, async (entry) => {
      const odd = oddityOf(await lstat(entry));
      if (odd !== null) tell(`${odd} ${entry.slice(path.length + 1)}`);
    });
}

function oddityOf(stats: Stats): string | null {
  if (stats.isSymbolicLink()) return 'link';
  if (stats.isFile()) return (stats.mode & 0o6000) === 0 ? null : 'setuid';
  if (stats.isDirectory()) return null;
  if (stats.isSocket()) return 'socket';
  return stats.isFIFO() ? 'pipe' : 'device';
}

/** Gives the paths and all that can be named in them to a user and group. Links are changed themselves and never followed. */
export async function giveTo(paths: readonly string[], uid: number, gid: number): Promise<void> {
  for (const path of paths) await walk(path, (entry) => lchown(entry, uid, gid));
}

/** Removes a folder with whatever a program has left in it: nested deeper than can be named, or closed to its owner. */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch {
    // These go from folder to folder, and need no path to get there.
    await execa('chmod', ['-R', 'u+rwx', '--', path], { reject: false });
    await execa('rm', ['-rf', '--', path]);
  }
}

/** Answers whether it has come to everything there is. */
async function walk(path: string, visit: (entry: string) => Promise<void>): Promise<boolean> {
  try {
    await visit(path);
    if (!(await lstat(path)).isDirectory()) return true;
    if (path.length > DEEPEST_PATH) return false;
    let isWhole = true;
    for await (const entry of await opendir(path)) isWhole = (await walk(join(path, entry.name), visit)) && isWhole;
    return isWhole;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EACCES') return false;
    if (code !== 'ENOENT') throw error;
    return true;
  }
}
