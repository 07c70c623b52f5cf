import type { Digest } from './digest.js';
import type { StepVerdict } from './endpoint.js';
import type { Counted } from './gateway.js';

/**
 * What the watch of one step of a rollout came to, signed by control as the zone watch told it. Subject: the release. Counts
 * are of all gateways together, from the first caller of the step to the verdict.
 */
export interface StepVerdictPredicate {
  readonly environment: string;
  readonly model: string;
  readonly version: string;
  /** The routing document that was watched, and its revision. */
  readonly document: Digest;
  readonly revision: number;
  readonly verdict: StepVerdict['kind'];
  /** Why it is not to go on. */
  readonly reason: string | null;
  /** The release and those beside it, in the order of the document. `weight`: percent of the callers. */
  readonly counts: readonly (Counted & {
    readonly release: Digest;
    readonly version: string;
    readonly weight: number;
  })[];
  readonly watchedSince: string;
  readonly issuedAt: string;
}

/** Of the reason, in characters. */
export const MAX_REASON = 2000;

/** A verdict that the log has not got yet. */
export interface UnnotedVerdict {
  readonly verdict: StepVerdict;
  readonly watchedSince: string;
  readonly reachedAt: string;
}
