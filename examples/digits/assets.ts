import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CustodyError } from '../../domain/errors.js';
import { sha256 } from '../../formats/sha256.js';

const FOLDER = join('examples', 'digits');

/** The folder of this example: the same one whether the code runs compiled, under `dist/`, or from its source. */
export function digitsFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, FOLDER, 'data', 'digits', 'digits.csv.gz'))) {
    const parent = dirname(folder);
    if (parent === folder) {
      throw new CustodyError('INPUT_MISSING', `found no ${FOLDER}/data/digits/digits.csv.gz above ${import.meta.url}`);
    }
    folder = parent;
  }
  return join(folder, FOLDER);
}

/** The bytes of a file, once they are known to be the expected ones. INPUT_MISSING or DIGEST_MISMATCH otherwise. */
export function readVerified(path: string, expected: string): Buffer {
  const bytes = readInput(path);
  const found = sha256(bytes);
  if (found !== expected) {
    throw new CustodyError(
      'DIGEST_MISMATCH',
      `${path} has the SHA-256 ${found}, expected ${expected}: restore the original file`,
      { details: { path, expected, found } },
    );
  }
  return bytes;
}

export function readInput(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new CustodyError('INPUT_MISSING', `cannot read ${path}`, { details: { path }, cause });
  }
}
