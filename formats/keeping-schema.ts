import { z } from 'zod';
import type { DossierPredicate } from '../domain/dossier.js';
import type { HoldPredicate } from '../domain/hold.js';
import type { RetentionPredicate } from '../domain/retention.js';
import { count, environment, model, nonce, time, version } from './fields.js';
import { digestSchema as digest } from './in-toto.js';

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

export const dossierSchema: z.ZodType<DossierPredicate> = z.strictObject({
  environment,
  model,
  version,
  release: digest.nullable(),
  log: z.strictObject({ origin: z.string().max(1024), size: count, root: digest }),
  files: z
    .array(
      z.strictObject({
        path: z.string().min(1).max(1024),
        size: count,
        sha256: digest,
        stored: z.strictObject({ key: z.string().min(1).max(1024), at: time }).nullable(),
      }),
    )
    .min(1)
    .max(20_000),
  issuedAt: time,
});
