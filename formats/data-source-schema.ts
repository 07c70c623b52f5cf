import { z } from 'zod';
import type { DataSourcePredicate, HandoverPredicate } from '../domain/data-source.js';
import { environment, id, model, time } from './fields.js';
import { digestSchema } from './in-toto.js';

const words = z.string().min(1).max(2000);
/** That one statement about data can name. */
export const MAX_HANDOVERS = 100;
/** As models are named. */
const source = model;

export const dataSourceSchema: z.ZodType<DataSourcePredicate> = z.strictObject({
  environment,
  source,
  publisher: id,
  licence: z.string().min(1).max(200),
  origin: words,
  files: z.int().min(1),
  croissant: digestSchema.nullable(),
  chain: z.array(digestSchema).max(MAX_HANDOVERS),
  issuedAt: time,
});

export const handoverSchema: z.ZodType<HandoverPredicate> = z.strictObject({
  environment,
  source,
  from: id,
  to: id,
  previous: digestSchema.nullable(),
  reason: words,
  issuedAt: time,
});
