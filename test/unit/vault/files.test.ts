import { link, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { z } from 'zod';
import { disk } from '../../support/disks.js';
import { readIfThere, readJson, shred, sweep, writeDurably, writeJson } from '../../../vault/files.js';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'custody-vault-files-'));
});

afterEach(() => rm(folder, { recursive: true }));

it('replaces a file whole, readable by its owner alone, and leaves nothing else', async () => {
  const path = join(folder, 'key');
  await writeDurably(path, Buffer.from('a much longer first content'));
  await writeDurably(path, Buffer.from('second'));
  expect(await readFile(path, 'utf8')).toBe('second');
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(await readdir(folder)).toEqual(['key']);
});

it('says that a disk is full, keeps what was there, and leaves nothing of what did not fit', async (context) => {
  const full = await disk('size=64k', context);
  const path = join(full, 'key');
  await writeDurably(path, Buffer.from('first'));
  await expect(writeDurably(path, Buffer.alloc(128 * 1024))).rejects.toMatchObject({ code: 'NO_SPACE' });
  expect(await readFile(path, 'utf8')).toBe('first');
  expect(await readdir(full)).toEqual(['key']);
  await writeDurably(path, Buffer.from('second'));
  expect(await readFile(path, 'utf8')).toBe('second');
});

it('overwrites the bytes where they lie before it removes the file', async () => {
  const path = join(folder, 'key');
  const secret = Buffer.alloc(32, 'k');
  await writeDurably(path, secret);
  // A second name for the same bytes on disk shows what became of them.
  await link(path, join(folder, 'same'));
  await shred(path);
  expect(await readIfThere(path)).toBeNull();
  const left = await readFile(join(folder, 'same'));
  expect(left).toHaveLength(32);
  expect(left.includes(secret.subarray(0, 8))).toBe(false);
  await shred(path);
});

it('sweeps away what a write that never finished has left, and only that', async () => {
  await writeFile(join(folder, 'key.new'), 'half a ke');
  await writeFile(join(folder, 'key'), 'key');
  await sweep(folder);
  expect(await readdir(folder)).toEqual(['key']);
});

it('answers null for a file that is not there, and MALFORMED for one that is not what it should be', async () => {
  const shape = z.strictObject({ a: z.int() });
  const path = join(folder, 'entry.json');
  expect(await readJson(path, shape)).toBeNull();
  await writeJson(path, { a: 1 });
  expect(await readJson(path, shape)).toEqual({ a: 1 });
  for (const text of ['', '{"a":1', '{"a":"1"}', '{"a":1,"b":2}']) {
    await writeFile(path, text);
    await expect(readJson(path, shape)).rejects.toMatchObject({ code: 'MALFORMED' });
  }
});
