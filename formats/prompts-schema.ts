import { z } from 'zod';
import type { PromptsFound } from '../domain/prompts.js';
import { count, id, model } from './fields.js';
import { digestSchema as digest } from './in-toto.js';
import { commitSchema } from './review-schema.js';

export const promptsSchema: z.ZodType<PromptsFound> = z.strictObject({
  files: count,
  from: z
    .strictObject({
      repository: model,
      commit: commitSchema,
      folder: z.string().max(1024),
      branch: z.string().min(1).max(255),
      list: digest,
      reviewers: z.array(id).max(1000),
      reviews: z.array(digest).max(1000),
    })
    .nullable(),
});
