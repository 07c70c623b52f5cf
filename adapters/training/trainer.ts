import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { CustodyError } from '../../domain/errors.js';
import { isModelName } from '../../domain/names.js';
import { destinations } from '../../formats/fields.js';
import { checkShape, parseJson } from '../../formats/json.js';
import { readSmall } from '../source/file.js';

const MAX_FILE_BYTES = 1024 * 1024;
const path = z.string().min(1).max(4096);
const limit = z.int().min(1).max(1_000_000);
const name = z.string().refine(isModelName, 'not a name: a-z, 0-9 and dashes');

/**
 * What a training zone has for a name: everything but the code, which says itself how it is run. Sources are absolute paths,
 * or relative to the trainer's file.
 */
const schema = z.strictObject({
  /** As the policy calls it. */
  repository: name,
  /** In its commits: the file that says how a run goes. */
  recipe: path,
  /** What the code needs of this host, read-only: a runtime, its packages. */
  mounts: z.array(z.strictObject({ source: path, target: path })),
  /** What is trained on: a source that is registered, and the folder where its files lie. */
  data: z.strictObject({ source: name, folder: path }),
  /** Where on this host the files of releases are that runs may be made with, by `<model>@<version>`. */
  models: z.record(z.string(), path).exactOptional(),
  limits: z.strictObject({ wallSeconds: limit, memoryMb: limit, outputMb: limit }),
  /** What a run may reach, of what the policy lists. Without it there is no network. */
  destinations: destinations.exactOptional(),
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
  const { models } = trainer;
  const absolute = (source: string): string => resolve(dirname(file), source);
  return {
    ...trainer,
    mounts: trainer.mounts.map(({ source, target }) => ({ source: absolute(source), target })),
    data: { ...trainer.data, folder: absolute(trainer.data.folder) },
    ...(models === undefined
      ? {}
      : { models: Object.fromEntries(Object.entries(models).map(([of, folder]) => [of, absolute(folder)])) }),
  };
}
