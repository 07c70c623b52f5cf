import { ActivityFailure, ApplicationFailure } from '@temporalio/workflow';
import { isErrorCode, needsHands, type ErrorCode } from '../domain/errors.js';

export interface Failure {
  readonly code: ErrorCode;
  readonly reason: string;
  /** The log has not taken the refusal so far. */
  readonly unnoted?: boolean;
}

/** The refusal behind a failed activity, or `null` when it failed for another reason. */
export function refusalOf(error: unknown): Failure | null {
  if (!(error instanceof ActivityFailure) || !(error.cause instanceof ApplicationFailure)) return null;
  if (error.cause.nonRetryable !== true) return null;
  const { type: code, message: reason, details } = error.cause;
  const [told] = (details ?? []) as readonly unknown[];
  const unnoted = typeof told === 'object' && told !== null && 'unnoted' in told && told.unnoted === true;
  return { code: isErrorCode(code) ? code : 'INTERNAL', reason, ...(unnoted ? { unnoted } : {}) };
}

/** What keeps an activity from going on until somebody lends a hand; `null` when it failed for another reason. */
export function obstacleOf(error: unknown): Failure | null {
  if (!(error instanceof ActivityFailure) || !(error.cause instanceof ApplicationFailure)) return null;
  const { type: code, message: reason } = error.cause;
  return isErrorCode(code) && needsHands(code) ? { code, reason } : null;
}

/** Why an activity failed for good, refused or not; `null` for every other error, which is a defect of the workflow. */
export function failureOf(error: unknown): Failure | null {
  if (!(error instanceof ActivityFailure)) return null;
  return refusalOf(error) ?? obstacleOf(error) ?? { code: 'INTERNAL', reason: error.cause?.message ?? error.message };
}

/** Why something did not come about, whatever it was. */
export function reasonOf(error: unknown): string {
  const failure = failureOf(error);
  if (failure !== null) return `${failure.code}: ${failure.reason}`;
  return error instanceof Error ? error.message : String(error);
}
