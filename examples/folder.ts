import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CustodyError } from '../domain/errors.js';

/** The folder of an example: the same one whether the code runs compiled, under `dist/`, or from its source. */
export function exampleFolder(name: string): string {
  const wanted = join('examples', name);
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, wanted, 'data'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new CustodyError('INPUT_MISSING', `found no ${wanted}/data above ${import.meta.url}`);
    folder = parent;
  }
  return join(folder, wanted);
}
