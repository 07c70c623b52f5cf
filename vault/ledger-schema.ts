import { z } from 'zod';
import type { DestroyAnswer } from '../domain/vault.js';
import { digestSchema } from '../formats/in-toto.js';

export const blobSchema = z.string().regex(/^[0-9a-f]{32}$/, 'expected 32 hex digits');
const size = z.int().min(0);

/** Where the ciphertext lies. */
const ciphertextSchema = z.strictObject({
  versionId: z.string().min(1).max(1024),
  ciphertext: digestSchema,
  ciphertextSize: size,
});

/** One plaintext: its blob, who needs it, and its ciphertext, `null` until somebody has stored it. */
export const entrySchema = z.strictObject({
  sha256: digestSchema,
  size,
  blob: blobSchema,
  holders: z.array(digestSchema),
  stored: ciphertextSchema.nullable(),
  /** Goes up with every change. */
  generation: z.int().min(1),
});
export type Entry = z.infer<typeof entrySchema>;

/** What stays of a destroyed key. */
export const tombstoneSchema = z.strictObject({
  blob: blobSchema,
  sha256: digestSchema,
  release: digestSchema,
  request: digestSchema,
  destroyedAt: z.string(),
});

const answerSchema: z.ZodType<DestroyAnswer> = z.strictObject({
  destroyed: z.array(z.strictObject({ path: z.string(), sha256: digestSchema, blob: blobSchema })),
  kept: z.array(z.strictObject({ path: z.string(), sha256: digestSchema, holders: z.array(digestSchema) })),
  remains: z.array(z.strictObject({ blob: blobSchema, versionId: z.string(), size })),
  destroyedAt: z.string(),
});

/** A destruction as decided, before anything is destroyed; `done` once all of it was. */
export const destructionSchema = z.strictObject({
  release: digestSchema,
  request: digestSchema,
  revocation: digestSchema,
  answer: answerSchema,
  done: z.boolean(),
});
export type Destruction = z.infer<typeof destructionSchema>;

/** The legal holds of one release, each with the request that ended it: one that has ended does nothing any more. */
export const holdsSchema = z.strictObject({
  release: digestSchema,
  holds: z.array(z.strictObject({ hold: digestSchema, lifted: digestSchema.nullable() })),
});

export const claimSchema = z.strictObject({ sha256: digestSchema, size, release: digestSchema });
export const storedSchema = z.strictObject({
  sha256: digestSchema,
  blob: blobSchema,
  ...ciphertextSchema.shape,
});
