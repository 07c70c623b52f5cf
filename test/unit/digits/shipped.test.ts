import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dependenciesOf } from '../../../domain/provenance.js';
import { SHIPPED_VERSIONS, shippedFolder, shippedProvenance, trainAndPack } from '../../../examples/digits/ship.js';
import { readProvenance } from '../../../formats/provenance.js';
import { sha256 } from '../../../formats/sha256.js';
import { DIGITS, TRAINING } from './releases.js';

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

  it.each(SHIPPED_VERSIONS)('%s comes with a provenance that names its code as it is', async (version) => {
    const release = sha256(await readFile(join(shippedFolder(version), 'custody.json')));
    const said = shippedProvenance(version);
    const provenance = readProvenance(await readFile(said), said, release);
    const named = (['training-code', 'hyperparameters'] as const).flatMap((kind) => dependenciesOf(provenance, kind));
    const modules = (await readdir(TRAINING)).filter((name) => name.endsWith('.mjs'));
    expect(named.map(({ name }) => name).sort()).toEqual(
      [...modules, `hyperparameters/${version}.json`].map((name) => `training/${name}`).sort(),
    );
    for (const { name, sha256: digest } of named)
      expect(digest, `${name}: run ship.ts`).toBe(sha256(await readFile(join(DIGITS, name))));
  });
});
