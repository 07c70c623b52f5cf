import { randomBytes } from 'node:crypto';
import { link, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NO_LIMITS, walkFolder } from '../../../adapters/source/folder.js';
import { hashFiles } from '../../../adapters/source/hashing.js';
import { sha256 } from '../../../formats/sha256.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'custody-hashing-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Around what one read gets: a chunk of 1 MiB. */
it.each([0, 1, 2 ** 20 - 1, 2 ** 20, 2 ** 20 + 1, 3 * 2 ** 20])(
  'answers a file of %i bytes by all of them',
  async (size) => {
    const bytes = randomBytes(size);
    await writeFile(join(folder, 'weights'), bytes);
    const hashed = await hashFiles(folder, walkFolder(folder, NO_LIMITS));
    expect(hashed).toEqual([{ path: 'weights', size, sha256: sha256(bytes) }]);
  },
);

it('answers large files by all of their bytes, in threads', async () => {
  const files = ['one', 'two'].map((name) => ({ path: name, bytes: Buffer.alloc(65 * 2 ** 20, name) }));
  for (const { path, bytes } of files) await writeFile(join(folder, path), bytes);
  const hashed = await hashFiles(folder, walkFolder(folder, NO_LIMITS));
  expect(hashed).toEqual(files.map(({ path, bytes }) => ({ path, size: bytes.length, sha256: sha256(bytes) })));
});

/** So many that they are shared out between threads. */
const MANY = 4096;

describe.each([
  ['a few files, at once', 3],
  ['many files, in threads', MANY],
])('hashing %s', (_, count) => {
  beforeEach(async () => {
    await mkdir(join(folder, 'deep'));
    for (let at = 0; at < count; at += 1) await writeFile(join(folder, at % 2 === 0 ? 'deep' : '', `${at}`), `${at}`);
  });

  it('answers each by the bytes that it holds, in the order of the walk', async () => {
    const found = walkFolder(folder, NO_LIMITS);
    const hashed = await hashFiles(folder, found);
    expect(hashed.map(({ path, size }) => ({ path, size }))).toEqual(found.map(({ path, size }) => ({ path, size })));
    for (const { path, sha256: digest } of hashed) expect(digest).toBe(sha256(path.replace('deep/', '')));
  });

  it('attack: a file that has become a link, or has got a second name, since the walk is refused', async () => {
    const found = walkFolder(folder, NO_LIMITS);
    await rm(join(folder, '1'));
    await symlink('deep/0', join(folder, '1'));
    await expect(hashFiles(folder, found)).rejects.toMatchObject({ code: 'INPUT_UNSAFE' });
    await rm(join(folder, '1'));
    await link(join(folder, 'deep', '0'), join(folder, '1'));
    await expect(hashFiles(folder, found)).rejects.toMatchObject({ code: 'INPUT_UNSAFE' });
    await rm(join(folder, '1'));
    await expect(hashFiles(folder, found)).rejects.toMatchObject({ code: 'INPUT_MISSING' });
  });
});
