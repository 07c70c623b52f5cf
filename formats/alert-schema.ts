import { z } from 'zod';
import { SEVERITIES, type AlertPredicate } from '../domain/alert.js';
import { environment, model, nonce, time, version } from './fields.js';
import { digestSchema } from './in-toto.js';

/** What a monitor says. The reason is shown to people, and stands in the audit log as it is. */
export const alertSchema: z.ZodType<AlertPredicate> = z.strictObject({
  environment,
  model,
  version: version.nullable(),
  release: digestSchema.nullable(),
  severity: z.enum(SEVERITIES),
  nonce,
  reason: z.string().min(1).max(500),
  issuedAt: time,
  expiresAt: time,
});
