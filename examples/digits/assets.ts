import { join } from 'node:path';
import { exampleFolder } from '../folder.js';

/** The folder of this example. */
export function digitsFolder(): string {
  return exampleFolder('digits');
}

/** The images and their labels, as they are registered. */
export function digitsData(): string {
  return join(digitsFolder(), 'data', 'digits', 'digits.csv.gz');
}

/** What a version is trained with, as a path inside the example. */
export function hyperparametersOf(version: string): string {
  return join('training', 'hyperparameters', `${version}.json`);
}
