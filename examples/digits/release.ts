import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CustodyError } from '../../domain/errors.js';
import { writeSafetensors, type Tensor } from '../../formats/safetensors.js';
import { sha256 } from '../../formats/sha256.js';
import { readInput } from './assets.js';
import { CLASSES, MAX_PIXEL, PIXELS } from './dataset.js';
import type { TrainingConfig } from './hyperparameters.js';
import type { Mlp } from './mlp.js';

const SERVING_MODULES = ['serve.mjs', 'model.mjs', 'protocol.mjs'];
const NODE_RANGE = '>=20.20.0';
const IMPORT = /^import\s[^'"]*['"]([^'"]+)['"];$/gm;

/** How a serving host starts the release in its folder, and the options by which it says where and under which name. */
const SERVING = {
  command: ['node', 'serve.mjs'],
  options: { name: '--name', version: '--version', port: '--port', socket: '--socket' },
  protocol: 'open-inference-v2',
};

/** Features are pixels brought from 0..16 to 0..1. */
export const INPUT_SCALE = 1 / MAX_PIXEL;

/**
 * Writes the release: everything that decides its behaviour, and the model card. Equal inputs make equal bytes.
 * INPUT_UNSAFE when the folder is not empty before, or the serving script imports what the lock cannot name.
 */
export function writeRelease(
  folder: string,
  mlp: Mlp,
  config: TrainingConfig,
  servingFolder: string,
  card: string,
): void {
  const modules = SERVING_MODULES.map((name) => ({ name, bytes: readInput(join(servingFolder, name)) }));
  const files: [string, Uint8Array | string][] = [
    ['weights.safetensors', writeSafetensors(tensorsOf(mlp))],
    ['config.json', json(servingConfig(mlp, config))],
    ['labels.json', json({ labels: Array.from({ length: CLASSES }, (_, digit) => String(digit)) })],
    ['dependencies.lock.json', json(dependencyLock(modules))],
    ['serve.json', json(SERVING)],
    ...modules.map(({ name, bytes }): [string, Uint8Array] => [name, bytes]),
    ['README.md', card],
  ];
  mkdirSync(folder, { recursive: true });
  for (const [name, bytes] of files) writeNew(join(folder, name), bytes);
}

function tensorsOf(mlp: Mlp): Tensor[] {
  const tensor = (name: string, shape: number[], values: Float32Array): Tensor => {
    const data = Buffer.alloc(values.length * 4);
    values.forEach((value, at) => data.writeFloatLE(value, at * 4));
    return { name, dtype: 'F32', shape, data };
  };
  return [
    tensor('hidden.weight', [mlp.hidden, mlp.inputs], mlp.hiddenWeight),
    tensor('hidden.bias', [mlp.hidden], mlp.hiddenBias),
    tensor('output.weight', [mlp.outputs, mlp.hidden], mlp.outputWeight),
    tensor('output.bias', [mlp.outputs], mlp.outputBias),
  ];
}

function servingConfig(mlp: Mlp, { serving }: TrainingConfig): object {
  return {
    architecture: { type: 'mlp', activation: 'relu', inputs: PIXELS, hidden: mlp.hidden, outputs: mlp.outputs },
    input: { min: 0, max: MAX_PIXEL, scale: INPUT_SCALE },
    serving: { max_batch: serving.maxBatch, views: serving.views, workspace_rows: serving.workspaceRows },
  };
}

/** What the serving script needs to run: its modules by digest, the parts of Node.js they use, and no package. */
function dependencyLock(modules: readonly { name: string; bytes: Buffer }[]): object {
  const builtins = new Set<string>();
  for (const { name, bytes } of modules) {
    for (const [, specifier = ''] of bytes.toString('utf8').matchAll(IMPORT)) {
      if (specifier.startsWith('node:')) builtins.add(specifier);
      else if (!SERVING_MODULES.includes(specifier.replace(/^\.\//, ''))) {
        throw new CustodyError('INPUT_UNSAFE', `${name} imports ${specifier}, which is not a module of the release`);
      }
    }
  }
  return {
    lockVersion: 1,
    runtime: { name: 'node', version: NODE_RANGE, modules: [...builtins].sort() },
    files: Object.fromEntries(modules.map(({ name, bytes }) => [name, { sha256: sha256(bytes), size: bytes.length }])),
    packages: {},
  };
}

function json(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

function writeNew(path: string, bytes: Uint8Array | string): void {
  try {
    writeFileSync(path, bytes, { flag: 'wx' });
  } catch (cause) {
    throw new CustodyError('INPUT_UNSAFE', `cannot create ${path}: give an empty, writable folder as --out`, {
      details: { path },
      cause,
    });
  }
}
