import { ApplicationFailure } from '@temporalio/common';
import { CustodyError, isPermanent } from '../domain/errors.js';

/** The one place where errors become Temporal's: a permanent code is a refusal, everything else is tried again. */
export function toFailure(error: unknown): unknown {
  if (!(error instanceof CustodyError)) return error;
  return ApplicationFailure.create({
    message: error.message,
    type: error.code,
    nonRetryable: isPermanent(error.code),
    details: [error.details],
  });
}

/** A zone's activities as its worker registers them. */
export function asActivities<T extends object>(implementation: T): T {
  const wrapped = Object.entries(implementation as Record<string, (...args: unknown[]) => Promise<unknown>>).map(
    ([name, act]) => [
      name,
      async (...args: unknown[]): Promise<unknown> => {
        try {
          return await act(...args);
        } catch (error) {
          throw toFailure(error);
        }
      },
    ],
  );
  return Object.fromEntries(wrapped) as T;
}
