import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { partsOfRelease, type ReleaseDescription } from '../adapters/source/pack.js';
import { CustodyError } from '../domain/errors.js';
import { checkShape, parseJson } from '../formats/json.js';

const schema = z.object(partsOfRelease);

/** Reads the parts of a release and how it is served: a file of its own, or a recipe's, which says the same. */
export function readComponents(file: string): Pick<ReleaseDescription, 'components' | 'serving'> {
  if (!existsSync(file)) throw new CustodyError('INPUT_MISSING', `there is no file ${file}`);
  return checkShape(schema, parseJson(readFileSync(file), file), file);
}
