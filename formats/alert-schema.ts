import { z } from 'zod';
import { SEVERITIES, type AlertPredicate } from '../domain/alert.js';
import { isModelName, isVersion } from '../domain/names.js';
import { isIsoTime } from '../domain/time.js';
import { digestSchema } from './in-toto.js';

const time = z.string().refine(isIsoTime, 'expected a time like 2026-01-31T12:00:00.000Z');

/** What a monitor says. The reason is shown to people, and stands in the audit log as it is. */
export const alertSchema: z.ZodType<AlertPredicate> = z.strictObject({
  environment: z.string().regex(/^[a-z][a-z0-9-]{0,15}$/),
  model: z.string().refine(isModelName, 'not a model name'),
  version: z.string().refine(isVersion, 'not SemVer').nullable(),
  release: digestSchema.nullable(),
  severity: z.enum(SEVERITIES),
  nonce: z.string().regex(/^[A-Za-z0-9_-]{16,64}$/, 'expected 16 to 64 URL-safe characters'),
  reason: z.string().min(1).max(500),
  issuedAt: time,
  expiresAt: time,
});
