import { z } from 'zod';
import { planFlaw } from '../domain/plan.js';
import type { PlanStep } from '../domain/statements.js';
import { readYaml } from './yaml.js';

const step: z.ZodType<PlanStep> = z.strictObject({
  weight: z.int().min(0).max(100),
  bakeSeconds: z
    .number()
    .positive()
    .max(30 * 86_400),
  pause: z.literal(true).exactOptional(),
});

/** The steps of a rollout, in a policy and in every request that asks for one. */
export const planSchema = z
  .array(step)
  .min(1)
  .max(32)
  .superRefine((steps, context) => {
    const flaw = planFlaw(steps);
    if (flaw !== null) context.addIssue({ code: 'custom', message: flaw });
  });

/** Reads the YAML in which people write a plan of a release's own. CONFIG_INVALID names file, line and column. */
export function parsePlan(text: string, file: string): readonly PlanStep[] {
  return readYaml(planSchema, text, file).value;
}
