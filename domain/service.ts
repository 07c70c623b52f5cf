import { atRevision, countedOf, type Seen, type Sight, type Tally, type Watched } from './analysis.js';
import { breachOf, type Counted } from './gateway.js';
import type { Triggers } from './routing.js';
import { evidenceAbove, isProved } from './sequential.js';

/** Since when, and from which counts on, a release in service is judged. */
export interface ServiceWindow {
  readonly since: number;
  readonly base: Counted;
}

/** A trouble that begins is not diluted by more than this much of what went well before it. */
const WINDOW_MS = 60_000;
/** A release serves for months: of so many looks few may be wrong. */
const FALSE_ALARM_RATE = 0.001;
/** Of the answers, that may take longer than `maxLatencyMs`: the limit is on the 95th percentile. */
export const MAX_SLOW = 0.05;

/**
 * Whether a release that serves all callers breaks the limits it was rolled out with, and the window from which it is judged
 * next. A window ends when it is old, has samples enough and keeps the limits: one in which they are broken goes on until that
 * is proved or over. So few callers take longer, and chance alone rolls nothing back.
 */
export function judgeService(
  window: ServiceWindow,
  total: Counted,
  triggers: Triggers,
  now: number,
): { readonly window: ServiceWindow; readonly breach: string | null } {
  const { base, since } = window;
  const counted = {
    requests: total.requests - base.requests,
    failures: total.failures - base.failures,
    slow: total.slow - base.slow,
  };
  const breach = breachOf(counted, triggers);
  if (breach !== null) {
    const isProvedAbove = (bad: number, limit: number): boolean =>
      isProved(evidenceAbove({ of: counted.requests, bad }, limit), FALSE_ALARM_RATE);
    const proved = isProvedAbove(counted.failures, triggers.maxErrorRate) || isProvedAbove(counted.slow, MAX_SLOW);
    return { window, breach: proved ? breach : null };
  }
  const isOver = now - since >= WINDOW_MS && counted.requests >= triggers.minimumSamples;
  return { window: isOver ? { since: now, base: total } : window, breach: null };
}

/** What the gateways that serve by this very document say; `null` while there is nothing to judge by. */
export function inService(
  seen: readonly Seen[],
  { revision, release }: Watched,
  tally: Tally,
): { readonly triggers: Triggers; readonly version: string; readonly counted: Counted } | null {
  const known = seen.filter((state) => state !== null && state !== 'unknown');
  if (known.some(({ killedBy }) => killedBy.length > 0)) return null;
  const current = atRevision(seen, revision).find(({ triggers }) => triggers !== null);
  const version = current?.serving.find((entry) => entry.release === release)?.version;
  if (current?.triggers == null || version === undefined) return null;
  return { triggers: current.triggers, version, counted: countedOf(tally, release) };
}

/**
 * Why a release is broken although too few answers are counted to prove it: at least half of the gateways that serve it send
 * it nobody any more, and whoever tried it since found it no better. One gateway alone among several may be what is wrong.
 */
export function shutOut(seen: readonly Seen[], { revision, release }: Watched): string | null {
  const current = atRevision(seen, revision);
  const open = current.flatMap(({ breakers }) =>
    breakers.filter((breaker) => breaker.release === release && breaker.failedTries > 0),
  );
  const [first] = open;
  if (first === undefined || 2 * open.length < current.length) return null;
  const tries = Math.min(...open.map(({ failedTries }) => failedTries));
  return `${open.length} of ${current.length} gateways have stopped sending callers to it: ${first.reason}, and so it was when it was tried again, ${tries} ${tries === 1 ? 'time' : 'times'}`;
}

/** What fails among several sights; whatever does not is no breach in service. */
export function breachIn(sights: readonly Sight[]): string | null {
  const failed = sights.find((sight) => sight.kind === 'fail');
  return failed?.kind === 'fail' ? failed.reason : null;
}
