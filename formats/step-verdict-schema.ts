import { z } from 'zod';
import { MAX_REASON, type StepVerdictPredicate } from '../domain/step-verdict.js';
import { count, environment, model, time, version } from './fields.js';
import { digestSchema } from './in-toto.js';

export const stepVerdictSchema: z.ZodType<StepVerdictPredicate> = z.strictObject({
  environment,
  model,
  version,
  document: digestSchema,
  revision: z.int().min(1),
  verdict: z.enum(['pass', 'fail', 'inconclusive']),
  reason: z.string().max(MAX_REASON).nullable(),
  counts: z
    .array(
      z.strictObject({
        release: digestSchema,
        version,
        weight: z.number().min(0).max(100),
        requests: count,
        failures: count,
        slow: count,
      }),
    )
    .max(1000),
  watchedSince: time,
  issuedAt: time,
});
