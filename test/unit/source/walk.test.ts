import { execFileSync } from 'node:child_process';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readRelease, walkFolder } from '../../../adapters/source/folder.js';

const LIMITS = { maxFiles: 100_000, maxFileBytes: 2 ** 30 };

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'custody-walk-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

function folderOf(name: string, ...files: readonly string[]): string {
  const folder = join(root, name);
  mkdirSync(folder);
  for (const file of files) writeFileSync(join(folder, file), 'x');
  return folder;
}

const unsafe = (message: RegExp) =>
  expect.objectContaining({ code: 'INPUT_UNSAFE', message: expect.stringMatching(message) });

describe('a folder at its limits', () => {
  it('of 100,000 files is walked to its end, in order, and one file more is refused', () => {
    const folder = folderOf('many');
    execFileSync('sh', ['-c', 'seq -f shard-%06.0f 0 99999 | xargs touch'], { cwd: folder });
    const found = walkFolder(folder, LIMITS);
    expect(found.length).toBe(100_000);
    expect(found[99_999]?.path).toBe('shard-099999');
    // The manifest does not count.
    for (const more of ['custody.json', 'more']) writeFileSync(join(folder, more), '');
    expect(() => walkFolder(folder, LIMITS)).toThrow(unsafe(/more than 100000 files/));
  });

  it('of so many files that their manifest is larger than what is read is refused by that, and so are none left out', async () => {
    const folder = folderOf('listed', 'shard-000000');
    const entry = (at: number): object => ({ path: `shard-${at}`, sha256: 'a'.repeat(64), size: 1 });
    writeFileSync(
      join(folder, 'custody.json'),
      JSON.stringify({ files: Array.from({ length: 100_000 }, (_, at) => entry(at)) }),
    );
    await expect(readRelease(folder, LIMITS)).rejects.toMatchObject({
      code: 'INPUT_UNSAFE',
      message: expect.stringMatching(/custody\.json.* bytes, at most 8388608/) as string,
    });
  });

  it('attack: a file of 10 GiB that takes no room on the disk is refused by its size, unread', () => {
    const folder = folderOf('sparse', 'weights');
    truncateSync(join(folder, 'weights'), 10 * 2 ** 30);
    expect(() => walkFolder(folder, LIMITS)).toThrow(unsafe(/10737418240 bytes/));
  });

  it('attack: a path of more than 1,024 bytes, up to the 4 KiB that the system has, is refused', () => {
    const folder = folderOf('long');
    let at = folder;
    while (at.length + 201 < 4000) {
      at = join(at, 'a'.repeat(200));
      mkdirSync(at);
    }
    writeFileSync(join(at, 'x'), 'x');
    expect(() => walkFolder(folder, LIMITS)).toThrow(unsafe(/longer than 1,024 bytes/));
  });

  it.each([
    ['the same name composed and decomposed', ['\u00e9.json', 'e\u0301.json'], /normal form C/],
    ['names that differ in case alone', ['Config.json', 'config.json'], /same name but for case/],
    ['a name that another tool reads as a shard', ['weights:0:1024'], /colon/],
  ] as const)('attack: %s are never one file: refused', (name, files, message) => {
    expect(() => walkFolder(folderOf(name, ...files), LIMITS)).toThrow(unsafe(message));
  });

  it.runIf(process.getuid?.() === 0)('attack: a device is refused, and not opened', () => {
    const folder = folderOf('device');
    execFileSync('mknod', [join(folder, 'zero'), 'c', '1', '5']);
    expect(() => walkFolder(folder, LIMITS)).toThrow(unsafe(/device, pipe or socket/));
  });

  it('attack: a pipe is refused, and not waited for', () => {
    const folder = folderOf('pipe');
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    expect(() => walkFolder(folder, LIMITS)).toThrow(unsafe(/device, pipe or socket/));
  });
});
