import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSafetensorsHeader } from '../../../formats/safetensors.js';
import { DIGITS, trainVersion } from './releases.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'custody-train-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function digests(release: string): Promise<[string, string][]> {
  const names = (await readdir(release)).sort();
  return Promise.all(
    names.map(async (name): Promise<[string, string]> => {
      return [
        name,
        createHash('sha256')
          .update(await readFile(join(release, name)))
          .digest('hex'),
      ];
    }),
  );
}

describe('training a release', () => {
  it.each([
    ['1.0.0', 0.9, 0.93],
    ['1.1.0', 0.96, 1],
    ['1.2.0', 0.96, 1],
  ])('%s reads %d to %d of the held-out images', (version, atLeast, atMost) => {
    const { accuracy } = trainVersion(version, join(folder, `accuracy-${version}`));
    expect(accuracy.heldOut).toBeGreaterThanOrEqual(atLeast);
    expect(accuracy.heldOut).toBeLessThanOrEqual(atMost);
  });

  it('writes the same bytes twice', async () => {
    trainVersion('1.0.0', join(folder, 'a'));
    trainVersion('1.0.0', join(folder, 'b'));
    expect(await digests(join(folder, 'a'))).toEqual(await digests(join(folder, 'b')));
  });

  it('writes everything that decides the behaviour, and nothing about the run', async () => {
    const release = join(folder, 'files');
    trainVersion('1.1.0', release);
    expect((await readdir(release)).sort()).toEqual([
      'README.md',
      'config.json',
      'dependencies.lock.json',
      'labels.json',
      'model.mjs',
      'protocol.mjs',
      'serve.json',
      'serve.mjs',
      'weights.safetensors',
    ]);
    const weights = await readFile(join(release, 'weights.safetensors'));
    const shapes = readSafetensorsHeader(weights, weights.length).tensors.map(({ name, dtype, shape }) => [
      name,
      dtype,
      shape,
    ]);
    expect(shapes).toEqual([
      ['hidden.bias', 'F32', [32]],
      ['hidden.weight', 'F32', [32, 64]],
      ['output.bias', 'F32', [10]],
      ['output.weight', 'F32', [10, 32]],
    ]);
    const lock = JSON.parse(await readFile(join(release, 'dependencies.lock.json'), 'utf8')) as {
      files: Record<string, { sha256: string }>;
      packages: object;
    };
    const found = Object.fromEntries(await digests(release));
    for (const name of ['serve.mjs', 'model.mjs', 'protocol.mjs']) expect(lock.files[name]?.sha256).toBe(found[name]);
    expect(lock.packages).toEqual({});
  });

  it('says in the model card of 1.2.0, and of no other, that a defect is built in', async () => {
    for (const [version, says] of [
      ['1.0.0', false],
      ['1.2.0', true],
    ] as const) {
      const release = join(folder, `card-${version}`);
      trainVersion(version, release);
      expect((await readFile(join(release, 'README.md'), 'utf8')).includes('Known defect, built in')).toBe(says);
    }
  });

  it('never writes over a release', () => {
    const out = join(folder, 'once');
    trainVersion('1.0.0', out);
    expect(() => trainVersion('1.0.0', out)).toThrow(expect.objectContaining({ code: 'INPUT_UNSAFE' }));
  });

  it('attack: a serving script that imports what the lock cannot name is refused', async () => {
    const serving = join(folder, 'serving');
    await mkdir(serving);
    for (const name of ['serve.mjs', 'model.mjs', 'protocol.mjs'])
      await copyFile(join(DIGITS, 'serve', name), join(serving, name));
    await writeFile(join(serving, 'model.mjs'), "import { run } from 'left-pad';\nrun();\n");
    expect(() => trainVersion('1.0.0', join(folder, 'unlocked'), { serving })).toThrow(
      expect.objectContaining({ code: 'INPUT_UNSAFE' }),
    );
  });

  it('lists what is wrong in a file of hyperparameters', async () => {
    const config = join(folder, 'bad.json');
    await writeFile(
      config,
      '{"seed":-1,"hidden":0,"epochs":1,"batchSize":1,"learningRate":0.1,"serving":{},"extra":1}',
    );
    expect(() => trainVersion('1.0.0', join(folder, 'bad'), { config })).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringMatching(/seed.*hidden.*serving/s) as string,
      }),
    );
  });
});
