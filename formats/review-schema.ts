import { z } from 'zod';
import { isCommit, type ReviewPredicate } from '../domain/code-review.js';
import { environment, model, time } from './fields.js';

export const commitSchema = z.string().refine(isCommit, 'not the id of a commit');

export const reviewSchema: z.ZodType<ReviewPredicate> = z.strictObject({
  environment,
  // As models are named.
  repository: model,
  commit: commitSchema,
  decision: z.enum(['approve', 'reject']),
  reason: z.string().max(4000),
  seen: z
    .strictObject({
      on: z.literal('github'),
      ...{ pull: z.int().min(1), review: z.int().min(1), user: z.int().min(1) },
      submittedAt: time,
    })
    .exactOptional(),
  issuedAt: time,
});
