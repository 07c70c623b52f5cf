import { z } from 'zod';
import type { ProvisionalEvidence } from '../domain/evidence.js';
import { parseEnvelope } from './dsse.js';

export const envelopeSchema = z.unknown().transform(parseEnvelope);
export const approvalsSchema = z.array(envelopeSchema).max(100);

const MAX_OVERRIDES = 1000;

/** The shape of what a deployment provisionally rests on, on its way from one process to another. */
export const provisionalSchema: z.ZodType<ProvisionalEvidence> = z.strictObject({
  override: z
    .strictObject({ request: envelopeSchema, statements: z.array(envelopeSchema).max(MAX_OVERRIDES) })
    .nullable(),
  emergency: z
    .strictObject({
      assessment: envelopeSchema,
      review: z.strictObject({ request: envelopeSchema, approvals: approvalsSchema }).nullable(),
    })
    .nullable(),
});
