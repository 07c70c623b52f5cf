import { z } from 'zod';
import { count, environment, id, model, time, version } from './fields.js';
import { digestSchema as digest } from './in-toto.js';

/** What is said of the end of a release: told to those who depend on it, and proved afterwards. */
export const endingSchemas = {
  notice: z.strictObject({
    environment,
    model,
    version,
    consumers: z.array(
      z.strictObject({ id, how: z.enum(['mail', 'none']), messageId: z.string().max(1000).nullable() }),
    ),
    retiresAt: time,
    request: digest,
    issuedAt: time,
  }),
  acknowledgement: z.strictObject({ environment, consumer: id, issuedAt: time }),
  destruction: z.strictObject({
    environment,
    model,
    version,
    method: z.literal('cryptographic erase'),
    request: digest,
    approvals: z.array(digest).min(1),
    revocation: digest,
    destroyed: z.array(z.strictObject({ path: z.string(), sha256: digest, blob: id })),
    kept: z.array(z.strictObject({ path: z.string(), sha256: digest, holders: z.array(digest) })),
    probes: z.array(z.strictObject({ path: z.string(), refused: z.boolean(), answer: z.string().max(1000) })),
    remains: z.array(z.strictObject({ blob: id, size: count, until: time })),
    destroyedAt: time,
  }),
} as const;
