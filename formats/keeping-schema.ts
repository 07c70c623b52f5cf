import { z } from 'zod';
import type { HoldPredicate } from '../domain/hold.js';
import { isModelName, isVersion } from '../domain/names.js';
import type { RetentionPredicate } from '../domain/retention.js';
import { isIsoTime } from '../domain/time.js';

const time = z.string().refine(isIsoTime, 'expected a time like 2026-01-31T12:00:00.000Z');
const environment = z.string().regex(/^[a-z][a-z0-9-]{0,15}$/);
const count = z.int().min(0);

export const holdSchema: z.ZodType<HoldPredicate> = z.strictObject({
  environment,
  model: z.string().refine(isModelName, 'not a model name'),
  version: z.string().refine(isVersion, 'not SemVer'),
  nonce: z.string().regex(/^[A-Za-z0-9_-]{16,64}$/, 'expected 16 to 64 URL-safe characters'),
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
