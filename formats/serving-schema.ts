import { z } from 'zod';
import { retiringSchema } from './ending-schema.js';
import { environment, id, model, nonce, time, version } from './fields.js';
import { digestSchema as digest } from './in-toto.js';

const timed = { issuedAt: time, expiresAt: time };

/** What processes say of what serves: what must not, where it runs, and what was refused. */
export const servingSchemas = {
  status: z.strictObject({
    environment,
    version: z.int().min(1),
    ...timed,
    revoked: z.array(digest).max(10_000),
    kills: z.array(z.strictObject({ model, order: digest })).max(10_000),
    retiring: retiringSchema.exactOptional(),
  }),
  replica: z.strictObject({ environment, model, version, host: id, port: z.int().min(1).max(65_535), ...timed }),
  incident: z.strictObject({
    environment,
    model,
    version,
    kind: z.literal('load.refused'),
    nonce,
    reason: z.string().max(4000),
    issuedAt: time,
  }),
} as const;
