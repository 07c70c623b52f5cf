import { z } from 'zod';
import { templateProblem } from '../domain/metrics.js';
import type { Triggers } from '../domain/routing.js';

const MAX_QUERY_CHARS = 2000;

const query = z
  .string()
  .min(1)
  .max(MAX_QUERY_CHARS)
  .superRefine((text, context) => {
    const problem = templateProblem(text);
    if (problem !== null) context.addIssue({ code: 'custom', message: problem });
  });
const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'lower-case letters, digits and dashes');
const requires = z.array(query).max(10);

const metric = z
  .strictObject({
    name,
    query,
    atMost: z.number().exactOptional(),
    atLeast: z.number().exactOptional(),
    requires: requires.exactOptional(),
  })
  .refine(({ atMost, atLeast }) => atMost !== undefined || atLeast !== undefined, {
    message: 'it says neither `atMost` nor `atLeast`: it could never fail',
  });

/** In the policy, in routing documents, and in what gateways say of the document they serve by. */
export const triggersSchema: z.ZodType<Triggers> = z.strictObject({
  minimumSamples: z.int().min(1),
  maxErrorRate: z.number().min(0).max(1),
  maxLatencyMs: z.number().positive(),
  comparison: z
    .strictObject({ maxFalseAlarmRate: z.number().min(1e-9).max(0.5), tolerance: z.number().min(0).max(0.5) })
    .exactOptional(),
  metrics: unique(z.array(metric).max(20)).exactOptional(),
  alerts: unique(z.array(z.strictObject({ name, query, requires: requires.min(1) })).max(20)).exactOptional(),
});

function unique<T extends { readonly name: string }>(rules: z.ZodType<readonly T[]>): z.ZodType<readonly T[]> {
  return rules.superRefine((held, context) => {
    held.forEach((rule, at) => {
      if (held.findIndex((other) => other.name === rule.name) < at)
        context.addIssue({ code: 'custom', message: `the name ${rule.name} stands twice`, path: [at, 'name'] });
    });
  });
}
