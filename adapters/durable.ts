import { randomBytes } from 'node:crypto';
import { chmod, lstat, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** Replaces a file whole; once it answers, the new content outlives a crash of the machine. A failure leaves the old one alone. */
export async function writeDurably(path: string, content: string | Buffer): Promise<void> {
  const fresh = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`);
  const file = await open(fresh, 'wx', 0o600);
  try {
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(fresh, path);
  } catch (error) {
    await rm(fresh, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

/** Makes the names in a folder outlive a crash. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Gives a folder its name, unless another one has it: that one stays. Both are whole. */
export async function nameOnce(folder: string, name: string): Promise<void> {
  try {
    await rename(folder, name);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
  }
}

/** Removes a tree, read-only folders included; follows no link. Absent is removed. */
export async function removeTree(path: string): Promise<void> {
  await unlock(path);
  await rm(path, { recursive: true, force: true });
}

async function unlock(path: string): Promise<void> {
  const found = await lstat(path).catch(absent);
  if (found === null || !found.isDirectory()) return;
  await chmod(path, 0o700);
  for (const entry of await readdir(path, { withFileTypes: true }))
    if (entry.isDirectory()) await unlock(join(path, entry.name));
}

/** For `catch`: `null` where there is no such file, every other error as it came: what cannot be read may well be there. */
export function absent(error: unknown): null {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
  throw error;
}
