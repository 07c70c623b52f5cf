import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { shippedFolder } from '../../../examples/digits/ship.js';
import { writeSafetensors } from '../../../examples/digits/training/safetensors.mjs';
import * as custodys from '../../../formats/safetensors.js';
import { DATA, TRAINING, trainVersion } from './releases.js';

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
    const shapes = custodys
      .readSafetensorsHeader(weights, weights.length)
      .tensors.map(({ name, dtype, shape }) => [name, dtype, shape]);
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
    expect(() => trainVersion('1.0.0', out)).toThrow(/cannot create .* give an empty, writable folder/);
  });

  it('lists what is wrong in a file of hyperparameters', async () => {
    const config = join(folder, 'bad.json');
    const refusal = async (text: string): Promise<string> => {
      await writeFile(config, text);
      try {
        trainVersion('1.0.0', join(folder, 'bad'), { config });
      } catch (error) {
        return (error as Error).message.replace(config, 'bad.json');
      }
      throw new Error('it was taken');
    };
    const serving = '{"maxBatch":1,"views":1,"workspaceRows":0.5,"more":1}';
    expect(
      await refusal(
        `{"seed":-1,"hidden":513,"epochs":"1","learningRate":0,"serving":${serving},"extra":1,"__proto__":{}}`,
      ),
    ).toBe(
      'bad.json: seed must be a whole number from 0 to 4294967295; hidden must be a whole number from 1 to 512; ' +
        'epochs must be a whole number from 1 to 500; batchSize must be a whole number from 1 to 1024; ' +
        'learningRate must be a number above 0, at most 1; serving.workspaceRows must be a whole number from 1 to 1024; ' +
        'serving.more is not known; extra is not known; __proto__ is not known',
    );
    expect(await refusal('{"serving":[]}')).toMatch(/serving\.maxBatch must be/);
    expect(await refusal('{"serving":1}')).toMatch(/serving must be an object/);
    expect(await refusal('null')).toBe('bad.json: the file must be an object');
    expect(await refusal('{')).toBe('bad.json is not JSON');
    expect(existsSync(join(folder, 'bad'))).toBe(false);
  });
});

describe('the folder of the training code', () => {
  const run = promisify(execFile);
  const inputs = ['--config', 'hyperparameters/1.0.0.json', '--data', resolve(DATA)];
  /** Copied to where it has nothing of this repository around it. */
  const copied = async (name: string): Promise<string> => {
    const copy = join(folder, name);
    await cp(TRAINING, copy, { recursive: true });
    return copy;
  };
  const train = (cwd: string, args: readonly string[]): Promise<{ stdout: string }> =>
    run(process.execPath, ['train.mjs', ...args], { cwd });

  it('is all that a training needs: a copy elsewhere makes the release that is shipped, and its report', async () => {
    const copy = await copied('copy');
    const { stdout } = await train(copy, [...inputs, '--out', 'release', '--report', 'report.json']);
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { event: string });
    expect(lines.map(({ event }) => event)).toEqual(['started', ...Array<string>(5).fill('epoch'), 'finished']);
    const report = JSON.parse(await readFile(join(copy, 'report.json'), 'utf8')) as unknown;
    expect(report).toEqual(trainVersion('1.0.0', join(folder, 'reported')));
    const shipped = (await digests(shippedFolder('1.0.0'))).filter(([name]) => name !== 'custody.json');
    expect(await digests(join(copy, 'release'))).toEqual(shipped);
  });

  it('attack: a serving script that imports what the lock cannot name is refused', async () => {
    const copy = await copied('unlocked');
    await writeFile(join(copy, 'serve', 'model.mjs'), "import { run } from 'left-pad';\nrun();\n");
    await expect(train(copy, [...inputs, '--out', 'release'])).rejects.toMatchObject({
      code: 1,
      stderr: '{"error":"model.mjs imports left-pad, which is not a module of the release"}\n',
    });
    expect(existsSync(join(copy, 'release'))).toBe(false);
  });

  it.each([
    ['no folder to write to', inputs, /--config, --data and --out are needed/],
    ['an option that there is not', [...inputs, '--out', 'x', '--serving', 'y'], /--serving/],
    ['other data', ['--config', inputs[1], '--data', 'train.mjs', '--out', 'x'], /train\.mjs has the SHA-256/],
  ] as [string, string[], RegExp][])(
    'attack: %s ends with exit code 1 and one line that says why',
    async (_, args, says) => {
      const failed = train(TRAINING, args);
      await expect(failed).rejects.toMatchObject({ code: 1, stderr: expect.stringMatching(/^\{"error":".*"\}\n$/) });
      await expect(failed).rejects.toMatchObject({ stderr: expect.stringMatching(says) });
      expect(existsSync(join(TRAINING, 'x'))).toBe(false);
    },
  );
});

describe('the weights of a release', () => {
  it('attack: values that are not as many as the shape says are no tensor', () => {
    const tensor = { name: 'a', shape: [2, 2], values: new Float32Array(3) };
    expect(() => writeSafetensors([tensor])).toThrow('the tensor a has 3 values, expected 4');
  });

  it('lie as the strict reader wants them, and as the writer of Custody writes them', () => {
    const tensors = [
      { name: 'b', shape: [1, 3], values: Float32Array.of(1, -2.5, 3e-8) },
      { name: 'é', shape: [], values: Float32Array.of(7) },
      { name: 'a', shape: [2], values: Float32Array.of(0, 1) },
    ];
    const file = writeSafetensors(tensors);
    expect(custodys.readSafetensorsHeader(file, file.length).tensors.map(({ name }) => name)).toEqual(['a', 'b', 'é']);
    const theirs = tensors.map(({ values, ...tensor }) => ({
      ...tensor,
      dtype: 'F32' as const,
      data: Buffer.from(values.buffer),
    }));
    expect(file).toEqual(custodys.writeSafetensors(theirs));
  });
});
