import { z } from 'zod';
import { CRITICALITIES, identityKey, type ConsumerPredicate } from '../domain/consumers.js';
import { isId } from '../domain/names.js';
import { environment, model, time } from './fields.js';
import { digestSchema } from './in-toto.js';

const plainId = z.string().refine(isId, 'lower-case letters, digits, dots and dashes within');
const identity = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('token'), sha256: digestSchema }),
  z.strictObject({ kind: z.literal('certificate'), spki: digestSchema }),
  z.strictObject({ kind: z.literal('subject'), subject: z.string().regex(/^\P{C}{1,1024}$/u, 'not printable') }),
]);
/** What is said of a consumer. Addresses of people have no place in it: they never get into what cannot be erased. */
export const consumerSchema: z.ZodType<ConsumerPredicate> = z
  .strictObject({
    environment,
    consumer: plainId,
    sequence: z.int().min(1).max(999_999_999),
    models: z.array(model).max(1000),
    endpoint: model.nullable(),
    owner: plainId,
    criticality: z.enum(CRITICALITIES),
    contact: plainId,
    identities: z.array(identity).max(16),
    issuedAt: time,
    expiresAt: time,
  })
  .refine(({ models }) => new Set(models).size === models.length, 'a model stands twice')
  .refine(
    ({ identities }) => new Set(identities.map(identityKey)).size === identities.length,
    'an identity stands twice',
  )
  .refine(
    ({ models, identities }) => models.length > 0 || identities.length === 0,
    'what was removed is known by nothing',
  );
