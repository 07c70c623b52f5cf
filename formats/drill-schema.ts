import { z } from 'zod';
import { DRILL_STEPS, type DrillPredicate, type DrillRules } from '../domain/drill.js';
import { environment, model, time } from './fields.js';
import { digestSchema } from './in-toto.js';

const ms = z.int().min(1).max(3_600_000);
const YEAR = 366 * 86_400;

/** What the policy says of drills. */
export const drillRulesSchema: z.ZodType<DrillRules> = z.strictObject({
  model,
  everySeconds: z.int().min(60).max(YEAR),
  rollbackMs: ms,
  killMs: ms,
  restoreMs: ms,
});

export const drillSchema: z.ZodType<DrillPredicate> = z.strictObject({
  environment,
  model,
  startedAt: time,
  endedAt: time,
  serving: digestSchema.nullable(),
  earlier: digestSchema.nullable(),
  steps: z
    .array(
      z.strictObject({
        step: z.enum(DRILL_STEPS),
        ms: z.int().min(0).nullable(),
        agreedMs: ms,
        trouble: z.string().max(1000).nullable(),
      }),
    )
    .max(DRILL_STEPS.length),
  outcome: z.enum(['within', 'over', 'failed', 'postponed']),
  reason: z.string().max(4000),
});
