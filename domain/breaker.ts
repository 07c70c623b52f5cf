import { breachOf, type Counted } from './gateway.js';
import type { TrafficLimits } from './routing.js';

/** Limits that the gateway applies to what it has seen of a release in the last `windowSeconds`, by itself. */
export interface BreakerLimits extends TrafficLimits {
  readonly windowSeconds: number;
  /** So many failed answers in a row open it, however few there are in the window. */
  readonly consecutiveFailures: number;
  /** For how long nobody is sent to the release; then some callers try it. */
  readonly openSeconds: number;
  /** How many callers try it at a time; as many good answers close the breaker, one bad answer opens it again. */
  readonly probes: number;
}

/** Times are milliseconds of a clock that only goes forward. */
export type BreakerState =
  | { readonly kind: 'closed' }
  | { readonly kind: 'open'; readonly reason: string; readonly failedTries: number; readonly until: number }
  | {
      readonly kind: 'half-open';
      readonly reason: string;
      /** How often it has been tried, and found no better, since it was last closed. */
      readonly failedTries: number;
      /** From then on others may try in the place of those whose outcome is still not known. */
      readonly until: number;
      readonly admitted: number;
      readonly succeeded: number;
    };

export const CLOSED: BreakerState = { kind: 'closed' };

/** What a window shows, and how many answers in a row have failed last. */
export interface Seen extends Counted {
  readonly consecutive: number;
}

/** Why a breaker that is closed opens, in words; `null` while it stays. */
export function tripOf(seen: Seen, limits: BreakerLimits): string | null {
  if (seen.consecutive >= limits.consecutiveFailures) return `${seen.consecutive} answers in a row failed`;
  return breachOf(seen, limits);
}

export function opened(
  before: BreakerState,
  reason: string,
  now: number,
  { openSeconds }: BreakerLimits,
): BreakerState {
  const failedTries = before.kind === 'closed' ? 0 : before.failedTries + 1;
  return { kind: 'open', reason, failedTries, until: now + openSeconds * 1000 };
}

/** The state once one more caller has been let through; `null`: nobody is, now. */
export function admit(state: BreakerState, now: number, limits: BreakerLimits): BreakerState | null {
  if (state.kind === 'closed') return state;
  if (state.kind === 'half-open' && state.admitted < limits.probes) return { ...state, admitted: state.admitted + 1 };
  if (now < state.until) return null;
  const until = now + limits.openSeconds * 1000;
  const { reason, failedTries } = state;
  return { kind: 'half-open', reason, failedTries, until, admitted: 1, succeeded: 0 };
}

/** The state once a caller that tried has had its answer. */
export function settle(state: BreakerState, good: boolean, now: number, limits: BreakerLimits): BreakerState {
  if (state.kind !== 'half-open') return state;
  if (!good) return opened(state, state.reason, now, limits);
  const succeeded = state.succeeded + 1;
  return succeeded >= limits.probes ? CLOSED : { ...state, succeeded };
}
