import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CLASSES, MAX_PIXEL, PIXELS } from './dataset.mjs';
import { writeSafetensors } from './safetensors.mjs';

/** @import { TrainingConfig } from './hyperparameters.mjs' */
/** @import { Mlp } from './mlp.mjs' */

const SERVING_FOLDER = new URL('serve/', import.meta.url);
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
 * Writes the release: everything that decides its behaviour, and the model card. Equal inputs make equal bytes. Throws when
 * a file of the release is there before, or the serving script imports what the lock cannot name.
 * @param {string} folder
 * @param {Mlp} mlp
 * @param {TrainingConfig} config
 * @param {string} card
 */
export function writeRelease(folder, mlp, config, card) {
  const modules = SERVING_MODULES.map((name) => ({ name, bytes: readFileSync(new URL(name, SERVING_FOLDER)) }));
  const files = {
    'weights.safetensors': weightsOf(mlp),
    'config.json': json(servingConfig(mlp, config)),
    'labels.json': json({ labels: Array.from({ length: CLASSES }, (_, digit) => String(digit)) }),
    'dependencies.lock.json': json(dependencyLock(modules)),
    'serve.json': json(SERVING),
    ...Object.fromEntries(modules.map(({ name, bytes }) => [name, bytes])),
    'README.md': card,
  };
  mkdirSync(folder, { recursive: true });
  for (const [name, bytes] of Object.entries(files)) writeNew(join(folder, name), bytes);
}

/** @param {Mlp} mlp */
function weightsOf(mlp) {
  return writeSafetensors([
    { name: 'hidden.weight', shape: [mlp.hidden, mlp.inputs], values: mlp.hiddenWeight },
    { name: 'hidden.bias', shape: [mlp.hidden], values: mlp.hiddenBias },
    { name: 'output.weight', shape: [mlp.outputs, mlp.hidden], values: mlp.outputWeight },
    { name: 'output.bias', shape: [mlp.outputs], values: mlp.outputBias },
  ]);
}

/**
 * @param {Mlp} mlp
 * @param {TrainingConfig} config
 */
function servingConfig(mlp, { serving }) {
  return {
    architecture: { type: 'mlp', activation: 'relu', inputs: PIXELS, hidden: mlp.hidden, outputs: mlp.outputs },
    input: { min: 0, max: MAX_PIXEL, scale: INPUT_SCALE },
    serving: { max_batch: serving.maxBatch, views: serving.views, workspace_rows: serving.workspaceRows },
  };
}

/**
 * What the serving script needs to run: its modules by digest, the parts of Node.js they use, and no package.
 * @param {readonly { name: string, bytes: Buffer }[]} modules
 */
function dependencyLock(modules) {
  /** @type {Set<string>} */
  const builtins = new Set();
  for (const { name, bytes } of modules) {
    for (const [, specifier = ''] of bytes.toString('utf8').matchAll(IMPORT)) {
      if (specifier.startsWith('node:')) builtins.add(specifier);
      else if (!SERVING_MODULES.includes(specifier.replace(/^\.\//, ''))) {
        throw new Error(`${name} imports ${specifier}, which is not a module of the release`);
      }
    }
  }
  return {
    lockVersion: 1,
    runtime: { name: 'node', version: NODE_RANGE, modules: [...builtins].sort() },
    files: Object.fromEntries(
      modules.map(({ name, bytes }) => [
        name,
        { sha256: createHash('sha256').update(bytes).digest('hex'), size: bytes.length },
      ]),
    ),
    packages: {},
  };
}

/** @param {object} value */
function json(value) {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/**
 * @param {string} path
 * @param {Uint8Array | string} bytes
 */
function writeNew(path, bytes) {
  try {
    writeFileSync(path, bytes, { flag: 'wx' });
  } catch (cause) {
    throw new Error(`cannot create ${path}: give an empty, writable folder as --out`, { cause });
  }
}
