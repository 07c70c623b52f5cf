import { readFileSync } from 'node:fs';

/** @import { Hyperparameters } from './mlp.mjs' */

/**
 * How the release serves: the largest batch, the views of test-time augmentation, the rows of its workspace.
 * @typedef {object} ServingOptions
 * @property {number} maxBatch
 * @property {number} views
 * @property {number} workspaceRows
 */

/** @typedef {Hyperparameters & { serving: ServingOptions }} TrainingConfig */

/**
 * Says what is wrong with a value, and nothing of one that fits.
 * @typedef {(value: unknown, name: string) => string[]} Check
 */

const check = object({
  seed: whole(0, 2 ** 32 - 1),
  hidden: whole(1, 512),
  epochs: whole(1, 500),
  batchSize: whole(1, 1024),
  learningRate: share,
  serving: object({ maxBatch: whole(1, 1024), views: whole(1, 10_000), workspaceRows: whole(1, 1024) }),
});

/**
 * Reads a file of `hyperparameters/`. The error lists every member that does not fit.
 * @param {string} path
 */
export function readTrainingConfig(path) {
  const config = parse(readFileSync(path, 'utf8'), path);
  const wrong = check(config, '');
  if (wrong.length > 0) throw new Error(`${path}: ${wrong.join('; ')}`);
  return /** @type {TrainingConfig} */ (config);
}

/**
 * @param {string} text
 * @param {string} path
 * @returns {unknown}
 */
function parse(text, path) {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error(`${path} is not JSON`, { cause });
  }
}

/**
 * @param {number} min
 * @param {number} max
 * @returns {Check}
 */
function whole(min, max) {
  return (value, name) =>
    Number.isInteger(value) && Number(value) >= min && Number(value) <= max
      ? []
      : [`${name} must be a whole number from ${min} to ${max}`];
}

/** @type {Check} */
function share(value, name) {
  return typeof value === 'number' && value > 0 && value <= 1 ? [] : [`${name} must be a number above 0, at most 1`];
}

/**
 * Exactly these members, each as its own check wants it.
 * @param {Readonly<Record<string, Check>>} checks
 * @returns {Check}
 */
function object(checks) {
  return (value, name) => {
    if (typeof value !== 'object' || value === null) return [`${name || 'the file'} must be an object`];
    const members = new Map(Object.entries(/** @type {Record<string, unknown>} */ (value)));
    const inside = (/** @type {string} */ member) => (name === '' ? member : `${name}.${member}`);
    return [
      ...Object.entries(checks).flatMap(([member, fits]) => fits(members.get(member), inside(member))),
      ...[...members.keys()]
        .filter((member) => !Object.hasOwn(checks, member))
        .map((member) => `${inside(member)} is not known`),
    ];
  };
}
