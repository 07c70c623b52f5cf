import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
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

const OVERWRITTEN_AT_ONCE = 1024 * 1024;

/**
 * Removes a tree, read-only folders included, once the bytes of every file are overwritten on disk: whoever reads it afterwards
 * finds random ones, where file system and disk write in place. Follows no link. Absent is removed, and what a crash leaves can
 * be given to it again.
 */
export async function shredTree(path: string): Promise<void> {
  await unlock(path);
  await overwrite(path, randomBytes(OVERWRITTEN_AT_ONCE));
  await rm(path, { recursive: true, force: true });
}

async function overwrite(path: string, noise: Buffer): Promise<void> {
  const found = await lstat(path).catch(absent);
  if (found?.isDirectory() === true) {
    for (const name of await readdir(path)) await overwrite(join(path, name), noise);
    return;
  }
  if (found?.isFile() !== true) return;
  await chmod(path, 0o600);
  const file = await open(path, constants.O_WRONLY | constants.O_NOFOLLOW);
  try {
    for (let at = 0; at < found.size;)
      at += (await file.write(noise, 0, Math.min(noise.length, found.size - at), at)).bytesWritten;
    await file.sync();
  } finally {
    await file.close();
  }
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
