import { reviewsSeen } from '../activities/seen-reviews.js';
import { createTrainingActivities } from '../activities/train.js';
import { readTrainer, type Trainer } from '../adapters/training/trainer.js';
import { githubOf, loadKey, type ConfigOf } from './config.js';
import type { Zone, ZoneBase } from './zone.js';

/** Runs the trainers of its configuration in the sandbox, and signs what comes out as its producer. */
export async function wireTraining(config: ConfigOf<'training'>, { records }: ZoneBase): Promise<Zone> {
  const trainers: Record<string, Trainer> = {};
  for (const [name, file] of Object.entries(config.trainers)) trainers[name] = await readTrainer(file);
  const producerKey = loadKey(config.key);
  return {
    activities: createTrainingActivities({
      records,
      producerKey,
      trainers,
      repositories: config.repositories,
      outputs: config.outputs,
      further: reviewsSeen({ records, key: producerKey, github: githubOf(config) }),
      tracer: config.tracer,
    }),
    stop: async () => undefined,
  };
}
