import { z } from 'zod';
import type { HoldPredicate } from '../domain/hold.js';
import type { RetentionPredicate } from '../domain/retention.js';
import { count, environment, model, nonce, time, version } from './fields.js';

export const holdSchema: z.ZodType<HoldPredicate> = z.strictObject({
  environment,
  model,
  version,
  nonce,
  reason: z
    .string()
    .max(4000)
    .refine((text) => text.trim().length > 0, 'say why'),
  issuedAt: time,
  expiresAt: time,
});

export const retentionSchema: z.ZodType<RetentionPredicate> = z.strictObject({
  environment,
  startedAt: time,
  endedAt: time,
  checked: count,
  extended: count,
  earliest: time.nullable(),
  troubled: count,
  troubles: z.array(z.string().max(1000)).max(100),
});
