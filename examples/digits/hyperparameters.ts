import { z } from 'zod';
import { CustodyError } from '../../domain/errors.js';
import { checkShape, parseJson } from '../../formats/json.js';
import { readInput } from './assets.js';
import type { Hyperparameters } from './mlp.js';

const MAX_BYTES = 64 * 1024;

const whole = (min: number, max: number): z.ZodInt => z.int().min(min).max(max);

const schema = z.strictObject({
  seed: whole(0, 2 ** 32 - 1),
  hidden: whole(1, 512),
  epochs: whole(1, 500),
  batchSize: whole(1, 1024),
  learningRate: z.number().positive().max(1),
  serving: z.strictObject({ maxBatch: whole(1, 1024), views: whole(1, 10_000), workspaceRows: whole(1, 1024) }),
});

/** How the release serves: the largest batch, the views of test-time augmentation, the rows of its workspace. */
export interface ServingOptions {
  readonly maxBatch: number;
  readonly views: number;
  readonly workspaceRows: number;
}

export interface TrainingConfig extends Hyperparameters {
  readonly serving: ServingOptions;
}

/** Reads a file of `releases/`. CONFIG_INVALID lists every member that does not fit. */
export function readTrainingConfig(path: string): TrainingConfig {
  const bytes = readInput(path);
  try {
    return checkShape(schema, parseJson(bytes, path, { maxBytes: MAX_BYTES }), path);
  } catch (cause) {
    throw new CustodyError('CONFIG_INVALID', `${path}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      details: { path },
      cause,
    });
  }
}
