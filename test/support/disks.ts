import { execFile } from 'node:child_process';
import { mkdtemp, rmdir, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { onTestFinished, type TestContext } from 'vitest';

const run = promisify(execFile);

/** Whatever is opened there: the system answers every read, and every write at its start, with EIO. */
const FAILING = '/proc/self/mem';

/** A file whose disk fails, whoever uses it. */
export function failingFile(file: string): Promise<void> {
  return symlink(FAILING, file);
}

/** A small disk, by the options of a tmpfs, until the test has ended; where nobody may mount one, the test is skipped. */
export async function disk(options: string, { skip }: Pick<TestContext, 'skip'>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'custody-disk-'));
  onTestFinished(() => rmdir(folder));
  try {
    await run('mount', ['-t', 'tmpfs', '-o', options, 'none', folder]);
  } catch (error) {
    skip(`nobody may mount a disk here: ${String(error)}`);
  }
  // Before the folder goes: the newest is done first.
  onTestFinished(() => run('umount', [folder]).then(() => undefined));
  return folder;
}

/** The same disk, otherwise. */
export async function remount(folder: string, options: string): Promise<void> {
  await run('mount', ['-o', `remount,${options}`, folder]);
}
