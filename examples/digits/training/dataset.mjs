import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { seededRandom, shuffledIndices } from './random.mjs';

export const PIXELS = 64;
export const MAX_PIXEL = 16;
export const CLASSES = 10;

/** SHA-256 of `digits.csv.gz`. */
export const DIGITS_SHA256 = '09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22';

const ROWS = 1797;
const TRAINING_ROWS = 1400;
const SPLIT_SEED = 1998;
const MAX_UNPACKED_BYTES = 1024 * 1024;

/**
 * Images row after row, each 64 pixels of 0..16, and their labels 0..9.
 * @typedef {object} Digits
 * @property {number} count
 * @property {Float32Array} images
 * @property {Uint8Array} labels
 */

/**
 * The data set in its fixed split: 1,400 images to train with, and 397 that no training sees. Throws unless the file has
 * exactly the expected bytes, before it unpacks any of them.
 * @param {string} path
 */
export function loadDigits(path) {
  const bytes = readFileSync(path);
  const found = createHash('sha256').update(bytes).digest('hex');
  if (found !== DIGITS_SHA256) {
    throw new Error(`${path} has the SHA-256 ${found}, expected ${DIGITS_SHA256}: restore the original file`);
  }
  const csv = gunzipSync(bytes, { maxOutputLength: MAX_UNPACKED_BYTES });
  return splitDigits(parseDigits(csv.toString('latin1')));
}

/**
 * Reads 65 whole numbers a line: the pixels, then the label. An error names the line.
 * @param {string} csv
 * @returns {Digits}
 */
export function parseDigits(csv) {
  const lines = csv.trimEnd().split('\n');
  const images = new Float32Array(lines.length * PIXELS);
  const labels = new Uint8Array(lines.length);
  lines.forEach((line, row) => {
    const fields = line.trimEnd().split(',');
    if (fields.length !== PIXELS + 1) throw malformed(row, `has ${fields.length} fields, expected ${PIXELS + 1}`);
    fields.forEach((field, column) => {
      const limit = column === PIXELS ? CLASSES - 1 : MAX_PIXEL;
      const value = Number(field);
      if (!/^\d{1,2}$/.test(field) || value > limit) {
        throw malformed(
          row,
          `has ${JSON.stringify(field)} in field ${column + 1}, expected a number from 0 to ${limit}`,
        );
      }
      if (column === PIXELS) labels[row] = value;
      else images[row * PIXELS + column] = value;
    });
  });
  return { count: lines.length, images, labels };
}

/**
 * One image; a view, not a copy.
 * @param {Digits} digits
 * @param {number} row
 */
export function imageAt(digits, row) {
  return digits.images.subarray(row * PIXELS, (row + 1) * PIXELS);
}

/** @param {Digits} digits */
function splitDigits(digits) {
  if (digits.count !== ROWS) throw new Error(`the digits data set has ${digits.count} rows, expected ${ROWS}`);
  const order = shuffledIndices(ROWS, seededRandom(SPLIT_SEED));
  return {
    training: pick(digits, order.subarray(0, TRAINING_ROWS)),
    heldOut: pick(digits, order.subarray(TRAINING_ROWS)),
  };
}

/**
 * @param {Digits} digits
 * @param {Uint32Array} rows
 * @returns {Digits}
 */
function pick(digits, rows) {
  const images = new Float32Array(rows.length * PIXELS);
  const labels = new Uint8Array(rows.length);
  rows.forEach((row, at) => {
    images.set(imageAt(digits, row), at * PIXELS);
    labels[at] = /** @type {number} */ (digits.labels[row]);
  });
  return { count: rows.length, images, labels };
}

/**
 * @param {number} row
 * @param {string} problem
 */
function malformed(row, problem) {
  return new Error(`line ${row + 1} of the digits data set ${problem}`);
}
