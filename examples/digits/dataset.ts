import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { CustodyError } from '../../domain/errors.js';
import { digitsFolder, readVerified } from './assets.js';
import { seededRandom, shuffledIndices } from './random.js';

export const PIXELS = 64;
export const MAX_PIXEL = 16;
export const CLASSES = 10;

/** SHA-256 of `data/digits/digits.csv.gz`. */
export const DIGITS_SHA256 = '09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22';

const ROWS = 1797;
const TRAINING_ROWS = 1400;
const SPLIT_SEED = 1998;
const MAX_UNPACKED_BYTES = 1024 * 1024;

/** Images row after row, each 64 pixels of 0..16, and their labels 0..9. */
export interface Digits {
  readonly count: number;
  readonly images: Float32Array;
  readonly labels: Uint8Array;
}

export interface SplitDigits {
  /** 1,400 images. */
  readonly training: Digits;
  /** 397 images that no training sees. */
  readonly heldOut: Digits;
}

/**
 * The data set in its fixed split. DIGEST_MISMATCH unless the file has exactly the expected bytes, MALFORMED when they
 * are not what the README of the data says.
 */
export function loadDigits(path: string = join(digitsFolder(), 'data', 'digits', 'digits.csv.gz')): SplitDigits {
  const csv = gunzipSync(readVerified(path, DIGITS_SHA256), { maxOutputLength: MAX_UNPACKED_BYTES });
  return splitDigits(parseDigits(csv.toString('latin1')));
}

/** Reads 65 whole numbers a line: the pixels, then the label. MALFORMED names the line. */
export function parseDigits(csv: string): Digits {
  const lines = csv.trimEnd().split('\n');
  const images = new Float32Array(lines.length * PIXELS);
  const labels = new Uint8Array(lines.length);
  lines.forEach((line, row) => {
    const fields = line.trimEnd().split(',');
    if (fields.length !== PIXELS + 1) {
      throw malformed(row, `has ${fields.length} fields, expected ${PIXELS + 1}`);
    }
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

/** One image; a view, not a copy. */
export function imageAt(digits: Digits, row: number): Float32Array {
  return digits.images.subarray(row * PIXELS, (row + 1) * PIXELS);
}

function splitDigits(digits: Digits): SplitDigits {
  if (digits.count !== ROWS) {
    throw new CustodyError('MALFORMED', `the digits data set has ${digits.count} rows, expected ${ROWS}`);
  }
  const order = shuffledIndices(ROWS, seededRandom(SPLIT_SEED));
  return {
    training: pick(digits, order.subarray(0, TRAINING_ROWS)),
    heldOut: pick(digits, order.subarray(TRAINING_ROWS)),
  };
}

function pick(digits: Digits, rows: Uint32Array): Digits {
  const images = new Float32Array(rows.length * PIXELS);
  const labels = new Uint8Array(rows.length);
  rows.forEach((row, at) => {
    images.set(imageAt(digits, row), at * PIXELS);
    labels[at] = digits.labels[row] as number;
  });
  return { count: rows.length, images, labels };
}

function malformed(row: number, problem: string): CustodyError {
  return new CustodyError('MALFORMED', `line ${row + 1} of the digits data set ${problem}`);
}
