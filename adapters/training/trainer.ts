import { readdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import type { Digest } from '../../domain/digest.js';
import { CustodyError } from '../../domain/errors.js';
import { isModelName } from '../../domain/names.js';
import { checkShape, parseJson } from '../../formats/json.js';
import { sha256 } from '../../formats/sha256.js';
import { readSmall } from '../source/file.js';
import { partsOfRelease } from '../source/pack.js';

const MAX_FILE_BYTES = 1024 * 1024;
const path = z.string().min(1).max(4096);
const limit = z.int().min(1).max(1_000_000);

/**
 * What a training zone runs for a name. The command sees its mounts, `/input/hyperparameters.json`, `/input/data`, and writes
 * the release's files, and nothing else, to `/output/release`. Sources are absolute paths, or relative to the trainer's file.
 */
const schema = z.strictObject({
  command: z.array(z.string().min(1)).min(1),
  /** Read-only. */
  mounts: z.array(z.strictObject({ source: path, target: path })),
  /** What is trained on: a source that is registered, and the folder where its files lie. */
  data: z.strictObject({ source: z.string().refine(isModelName, 'not the name of a source'), folder: path }),
  /** The folder of the files that may be asked for, each by its digest. */
  hyperparameters: path,
  ...partsOfRelease,
  limits: z.strictObject({ wallSeconds: limit, memoryMb: limit, outputMb: limit }),
});

export type Trainer = z.infer<typeof schema>;

/** Reads a trainer's file; every source in it becomes absolute. CONFIG_INVALID lists what is wrong with it. */
export async function readTrainer(file: string): Promise<Trainer> {
  const bytes = await readSmall(file, MAX_FILE_BYTES);
  let trainer: Trainer;
  try {
    trainer = checkShape(schema, parseJson(bytes, file), file);
  } catch (cause) {
    throw new CustodyError('CONFIG_INVALID', cause instanceof Error ? cause.message : String(cause), { cause });
  }
  const absolute = (source: string): string => resolve(dirname(file), source);
  return {
    ...trainer,
    mounts: trainer.mounts.map(({ source, target }) => ({ source: absolute(source), target })),
    data: { ...trainer.data, folder: absolute(trainer.data.folder) },
    hyperparameters: absolute(trainer.hyperparameters),
  };
}

/** The file of hyperparameters that has this digest. POLICY_REFUSED when the zone has none such. */
export async function findHyperparameters({ hyperparameters }: Trainer, wanted: Digest): Promise<Buffer> {
  for (const name of (await readdir(hyperparameters)).sort()) {
    const bytes = await readSmall(join(hyperparameters, name), MAX_FILE_BYTES);
    if (sha256(bytes) === wanted) return bytes;
  }
  throw new CustodyError('POLICY_REFUSED', `no file in ${hyperparameters} has the SHA-256 ${wanted}`);
}
