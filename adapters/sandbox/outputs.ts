import { lchown, lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';

/** Bytes that regular files and folders under the paths take on disk. Files that vanish meanwhile count nothing. */
export async function measure(paths: readonly string[]): Promise<number> {
  let total = 0;
  for (const path of paths) {
    await walk(path, async (entry) => {
      total += (await lstat(entry)).blocks * 512;
    });
  }
  return total;
}

/** Gives the paths and all they hold to a user and group. Links are changed themselves and never followed. */
export async function giveTo(paths: readonly string[], uid: number, gid: number): Promise<void> {
  for (const path of paths) await walk(path, (entry) => lchown(entry, uid, gid));
}

async function walk(path: string, visit: (entry: string) => Promise<void>): Promise<void> {
  try {
    await visit(path);
    if (!(await lstat(path)).isDirectory()) return;
    for await (const entry of await opendir(path)) await walk(join(path, entry.name), visit);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
