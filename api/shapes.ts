import { z } from 'zod';
import { isModelName, isVersion } from '../domain/names.js';
import { planSchema } from '../formats/plan-schema.js';
import type { SignedEnvelope } from '../domain/statements.js';

/** What comes in and goes out, from which the OpenAPI document is made. */
const reference = z
  .string()
  .min(1)
  .max(4096)
  .meta({ description: 'Where intake reads it: a file:// URL or an absolute path on its host' });

export const releaseBody = z.strictObject({
  model: z
    .string()
    .refine(isModelName, 'lower-case letters, digits and dashes, at most 63')
    .meta({ pattern: '^[a-z0-9][a-z0-9-]{0,62}$', examples: ['digits'] }),
  version: z
    .string()
    .max(64)
    .refine(isVersion, 'not Semantic Versioning 2.0.0 without build metadata')
    .meta({ description: 'Semantic Versioning 2.0.0, without build metadata', examples: ['1.4.0'] }),
  source: reference,
  bundle: reference.meta({ description: "The producer's signature over the source, likewise" }),
  provenance: reference.meta({ description: 'How it was made, signed by its producer, likewise' }),
  promotion: reference
    .exactOptional()
    .meta({ description: 'The verification summary of the environment that it comes from, likewise' }),
  plan: planSchema.exactOptional().meta({
    description: "Steps of a rollout of its own, no weaker than the policy's: slower, more of them, or with pauses",
  }),
});

const envelope: z.ZodType<SignedEnvelope> = z
  .strictObject({
    payloadType: z.string(),
    payload: z.base64(),
    signatures: z.array(z.strictObject({ keyid: z.string(), sig: z.base64() })).min(1),
  })
  .meta({ description: 'A DSSE envelope around an in-toto statement' });

export const askedBody = z.strictObject({
  request: envelope,
  workflowId: z.string(),
  input: z.strictObject({ request: envelope }).meta({ description: 'What the workflow is started with' }),
});

export const errorBody = z
  .strictObject({ code: z.string(), message: z.string() })
  .meta({ description: 'The code is stable, the message is for people' });

export const healthBody = z.strictObject({ ok: z.literal(true) });
export const readyBody = z.strictObject({ ready: z.literal(true), policyVersion: z.int() });

export const alertsBody = z
  .strictObject({ signed: z.int(), known: z.int(), resolved: z.int() })
  .meta({ description: 'How many were signed and handed on, had been before, and fire no more' });
