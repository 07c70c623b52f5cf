import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { CustodyError } from '../../domain/errors.js';
import { parseConfig } from '../../formats/json.js';
import type { Scanner } from './external.js';

const path = z.string().startsWith('/');
const codes = z.array(z.int().min(0).max(255));
const pattern = z.string().min(1).refine(isPattern, 'not a regular expression');
const scanner: z.ZodType<Scanner> = z.strictObject({
  command: z.tuple([z.string().min(1)], z.string()).refine((words) => words.some((word) => word.includes('{file}')), {
    message: 'it does not say where {file} goes',
  }),
  mounts: z.array(path).exactOptional(),
  env: z.record(z.string(), z.string()).exactOptional(),
  limits: z.strictObject({ wallSeconds: z.int().min(1), memoryMb: z.int().min(1) }),
  answers: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('sarif') }),
    z.strictObject({ kind: z.literal('exit-code'), clean: codes.min(1), findings: codes, scanned: pattern }),
  ]),
});

/** Scanners of other people's that a host can run, by the name by which a policy demands them. */
export const scannersSchema = z.record(z.string(), scanner);

const fileSchema = z.strictObject({ scanners: scannersSchema });

/** Those that a file names, as intake's configuration does. INPUT_MISSING: there is no such file. CONFIG_INVALID: it is none. */
export async function readScanners(file: string): Promise<Readonly<Record<string, Scanner>>> {
  let text: Buffer;
  try {
    text = await readFile(file);
  } catch (cause) {
    throw new CustodyError('INPUT_MISSING', `${file} cannot be read`, { cause });
  }
  return parseConfig(fileSchema, text, file).scanners;
}

function isPattern(text: string): boolean {
  try {
    return new RegExp(text) instanceof RegExp;
  } catch {
    return false;
  }
}
