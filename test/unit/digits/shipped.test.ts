import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SHIPPED_VERSIONS, shippedFolder, trainAndPack } from '../../../examples/digits/ship.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'custody-shipped-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('the releases that are shipped already trained', () => {
  it.each(SHIPPED_VERSIONS)('%s is, byte for byte, what the trainer makes', async (version) => {
    const made = join(folder, version);
    await trainAndPack(version, made);
    const names = (await readdir(made)).sort();
    expect((await readdir(shippedFolder(version))).sort()).toEqual(names);
    for (const name of names)
      expect(await readFile(join(shippedFolder(version), name)), name).toEqual(await readFile(join(made, name)));
  });
});
