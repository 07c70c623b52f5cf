import type { Digest } from './digest.js';
import type { Policy } from './policy.js';
import { isoTime } from './time.js';

const DAY_MS = 86_400_000;

/** How often locks are extended. */
export const PERIOD_MS = DAY_MS;
/** How much longer than until the next run every lock must last; a run that is late by more is an alarm. */
export const MARGIN_MS = DAY_MS;
/** So many troubles are told in words; of the others only how many there are. */
const SAMPLES = 10;

/** What a run that extends locks has found. Subject: what it says. Signed by control. */
export interface RetentionPredicate {
  readonly environment: string;
  readonly startedAt: string;
  readonly endedAt: string;
  readonly checked: number;
  readonly extended: number;
  /** When the first lock ends of all that must stay longer; `null` where nothing must. */
  readonly earliest: string | null;
  readonly troubled: number;
  readonly troubles: readonly string[];
}

/** What one pass over part of the store has done so far. */
export type LockTally = Pick<RetentionPredicate, 'checked' | 'extended' | 'earliest' | 'troubled' | 'troubles'>;

export const NOTHING_YET: LockTally = { checked: 0, extended: 0, earliest: null, troubled: 0, troubles: [] };

/** Until when something must stay, and by how much its lock may fall short of that before it is extended again. */
export interface Need {
  readonly until: number;
  readonly slack: number;
}

/** Of what is in use: for the whole time from now on. Its lock is not moved every day, but when a tenth of the time is gone. */
export function inUse(now: number, days: number): Need {
  return { until: now + days * DAY_MS, slack: (days * DAY_MS) / 10 };
}

/** Of what nothing uses any more: for so long after it was written, or after its end. */
export function after(time: string, days: number): Need {
  return { until: Date.parse(time) + days * DAY_MS, slack: 0 };
}

/** A version as the store has it. */
export interface LockFound {
  readonly lock: { readonly mode: 'COMPLIANCE' | 'GOVERNANCE'; readonly retainUntil: string } | null;
}

/** What is to be done about a version that must stay: until when its lock goes, `null` where it is long enough. */
export function lockToSet({ lock }: LockFound, { until, slack }: Need): string | null {
  const has = lock?.mode === 'COMPLIANCE' ? Date.parse(lock.retainUntil) : -Infinity;
  return has >= until - slack ? null : isoTime(until);
}

/** What is wrong with a lock as it was found, before anything is done about it; `null` where nothing is. */
export function lockFlaw({ lock }: LockFound, { until }: Need, now: number): string | null {
  if (lock === null) return 'had no lock';
  if (lock.mode !== 'COMPLIANCE') return 'had a lock that can be taken off';
  const has = Date.parse(lock.retainUntil);
  if (has >= until) return null;
  if (has <= now) return `had a lock that ended at ${lock.retainUntil}`;
  return has < now + MARGIN_MS ? `had a lock that was about to end, at ${lock.retainUntil}` : null;
}

export function addTrouble(tally: LockTally, trouble: string): LockTally {
  const { troubled, troubles } = tally;
  return {
    ...tally,
    troubled: troubled + 1,
    troubles: troubles.length < SAMPLES ? [...troubles, trouble.slice(0, 500)] : troubles,
  };
}

export function addTallies(a: LockTally, b: LockTally): LockTally {
  const earliest = [a.earliest, b.earliest].filter((each) => each !== null).sort();
  return {
    checked: a.checked + b.checked,
    extended: a.extended + b.extended,
    earliest: earliest[0] ?? null,
    troubled: a.troubled + b.troubled,
    troubles: [...a.troubles, ...b.troubles].slice(0, SAMPLES),
  };
}

/** What of the policy no daily run can keep. */
export function shortRetention({ retention }: Policy): string[] {
  return (['releasesDays', 'auditDays'] as const)
    .filter((name) => retention[name] * DAY_MS < PERIOD_MS + MARGIN_MS)
    .map((name) => `retention.${name} is ${retention[name]}: a lock that is extended once a day needs 2 or more`);
}

/** Before this no run may be the last: `null` where the newest one is not too long ago. */
export function overdue(newest: string, now: number): string | null {
  return now - Date.parse(newest) <= PERIOD_MS + MARGIN_MS
    ? null
    : `locks have not been extended since ${newest}: the schedule "retention" runs once a day`;
}

/** The newest run in the store, by the digest of its statement. */
export interface LastRun extends RetentionPredicate {
  readonly statement: Digest;
}

/** Where in the custody bucket lies what is in use for as long as the environment is: chains, and what keeps others out. */
const IN_USE = [
  'policies/',
  'routes/',
  'records/routes/',
  'records/lifted/',
  'versions/',
  'revocations/',
  'notices/',
  'kills/',
  'consumers/',
  'holds/',
  'lifts/',
] as const;

export const OWN_PROBES = 'records/locks/';

/** The parts of the custody bucket that are gone through as a whole. Ciphertext is kept release by release. */
export const KEPT_PREFIXES = [
  'consumers/',
  'facts/',
  'holds/',
  'kills/',
  'lifts/',
  'manifests/',
  'nonces/',
  'notices/',
  'overrides/',
  'policies/',
  'records/',
  'requests/',
  'revocations/',
  'routes/',
  'statements/',
  'status/',
  'versions/',
] as const;

/** Until when what lies under a key must stay at least; a release that is in use keeps more of it. */
export function needOfRecord(key: string, written: string, { retention, validation }: Policy, now: number): Need {
  if (key.startsWith('status/')) return after(written, retention.statusDays);
  // What control tries its own locks with, when it starts.
  if (key.startsWith(OWN_PROBES)) return after(written, 0);
  const isSuite = validation.suites.some(({ sha256 }) => key === `statements/${sha256}`);
  if (isSuite || IN_USE.some((prefix) => key.startsWith(prefix))) return inUse(now, retention.releasesDays);
  return after(written, retention.releasesDays);
}
