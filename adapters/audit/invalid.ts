import { CustodyError } from '../../domain/errors.js';

/** The log is not what was acknowledged, from this index on (`details.index`). */
export function invalidFrom(index: number, problem: string, cause?: unknown): CustodyError {
  return new CustodyError('LOG_INVALID', `the audit log is not valid from index ${index} on: ${problem}`, {
    details: { index },
    ...(cause === undefined ? {} : { cause }),
  });
}
