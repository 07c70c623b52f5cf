import type { Digest } from './digest.js';
import { breachOf, type Counted, type ModelState } from './gateway.js';
import type { Triggers } from './routing.js';
import { evidenceOfWorse, isProved } from './sequential.js';

/** What one source, or all of them together, say of a release at one moment. */
export type Sight =
  /** Nothing speaks against it. */
  | { readonly kind: 'sound' }
  /** Nothing decides yet. `vanished`: the release has no live replica behind some gateway. */
  | { readonly kind: 'hold'; readonly reason: string; readonly vanished?: true }
  | { readonly kind: 'fail'; readonly reason: string }
  /** This step can never be judged any more. */
  | { readonly kind: 'inconclusive'; readonly reason: string };

/** Fails if any fails, and is sound only if there is something and all of it is. Waiting turns into neither. */
export function combine(sights: readonly Sight[]): Sight {
  const worst = (kind: Sight['kind']): Sight | undefined => sights.find((sight) => sight.kind === kind);
  const decided = worst('fail') ?? worst('inconclusive');
  if (decided !== undefined) return decided;
  const held = sights.flatMap((sight) => (sight.kind === 'hold' ? [sight] : []));
  if (held.length > 0) {
    const reason = held.map((sight) => sight.reason).join('; ');
    return held.some(({ vanished }) => vanished) ? { kind: 'hold', reason, vanished: true } : { kind: 'hold', reason };
  }
  return sights.length > 0 ? { kind: 'sound' } : { kind: 'hold', reason: 'nothing was asked' };
}

export interface Watched {
  readonly model: string;
  readonly revision: number;
  readonly release: Digest;
}

/** What a gateway says of the model; `null`: it does not answer, `unknown`: it knows no such model. */
export type Seen = ModelState | 'unknown' | null;

/** What the gateways say that serve by the document of this revision. */
export function atRevision(seen: readonly Seen[], revision: number): readonly ModelState[] {
  return seen.flatMap((state) => (state !== null && state !== 'unknown' && state.revision === revision ? [state] : []));
}

/** Counts of one release under one revision by one gateway, through its restarts: they begin at 0 again. */
interface Running {
  readonly before: Counted;
  readonly latest: Counted;
}
/** By gateway (its place in the list) and release: plain JSON, so that a later attempt goes on with it. */
export type Tally = Readonly<Record<string, Running>>;

/** Whether a value, from wherever, is a tally. */
export function isTally(value: unknown): value is Tally {
  const isCount = (count: unknown): boolean => Number.isSafeInteger(count) && Number(count) >= 0;
  const isCounted = (counted: unknown): boolean => {
    const { requests, failures, slow } = (counted ?? {}) as Partial<Record<keyof Counted, unknown>>;
    return isCount(requests) && isCount(failures) && isCount(slow);
  };
  if (typeof value !== 'object' || value === null) return false;
  return Object.values(value).every((running: Partial<Running> | null) =>
    [running?.before, running?.latest].every(isCounted),
  );
}

export const NOTHING_COUNTED: Counted = { requests: 0, failures: 0, slow: 0 };

/** The tally with what the gateways say now. What a gateway counted before it restarted stays counted. */
export function tallied(before: Tally, seen: readonly Seen[], { revision }: Pick<Watched, 'revision'>): Tally {
  const next: Record<string, Running> = { ...before };
  seen.forEach((state, gateway) => {
    if (state === null || state === 'unknown') return;
    for (const { release, requests, failures, slow, ...of } of state.counters) {
      if (of.revision !== revision) continue;
      const key = `${gateway} ${release}`;
      const running = next[key] ?? { before: NOTHING_COUNTED, latest: NOTHING_COUNTED };
      const latest = { requests, failures, slow };
      const fell = requests < running.latest.requests || failures < running.latest.failures;
      next[key] = { before: fell ? plus(running.before, running.latest) : running.before, latest };
    }
  });
  return next;
}

export function countedOf(tally: Tally, release: Digest): Counted {
  return countsOf(tally)[release] ?? NOTHING_COUNTED;
}

/** By release, all gateways together. */
export function countsOf(tally: Tally): Readonly<Record<Digest, Counted>> {
  const counts: Record<Digest, Counted> = {};
  for (const [key, { before, latest }] of Object.entries(tally)) {
    const release = key.slice(key.indexOf(' ') + 1);
    counts[release] = plus(counts[release] ?? NOTHING_COUNTED, plus(before, latest));
  }
  return counts;
}

/**
 * What follows from what each gateway says of the model. A breach that any of them has seen fails the step, and so does one
 * that only shows in the sum, or beside the stable release.
 */
export function judgeStep(seen: readonly Seen[], { revision, release }: Watched, tally: Tally): Sight {
  const known = seen.filter((state) => state !== null && state !== 'unknown');
  for (const { breach } of known) if (breach?.release === release) return { kind: 'fail', reason: breach.reason };
  const newest = Math.max(0, ...known.map((state) => state.revision));
  if (newest > revision) return { kind: 'inconclusive', reason: `revision ${newest} is in force, not ${revision}` };
  if (known.some(({ killedBy }) => killedBy.length > 0))
    return { kind: 'inconclusive', reason: 'a kill order stops the model' };

  const current = atRevision(seen, revision);
  const triggers = triggersOf(current);
  const counted = countedOf(tally, release);
  const breach = triggers === null ? null : breachOf(counted, triggers);
  if (breach !== null) return { kind: 'fail', reason: breach };
  const compared = triggers === null ? null : compare(counted, current, triggers, tally);
  if (compared?.kind === 'fail') return compared;

  const hold = (reason: string): Sight => ({ kind: 'hold', reason });
  const alive = current.filter(({ replicas }) => replicas.some((replica) => replica.release === release));
  if (alive.length < current.length)
    return { kind: 'hold', reason: 'no replica of the release is alive', vanished: true };
  const missing = seen.length - current.length;
  if (seen.length === 0 || missing > 0)
    return hold(`${missing} of ${seen.length} gateways do not serve revision ${revision}`);
  if (triggers === null) return hold('the document in force has no triggers');
  if (counted.requests < triggers.minimumSamples)
    return hold(`${counted.requests} of ${triggers.minimumSamples} samples were seen`);
  return compared ?? { kind: 'sound' };
}

/** Those of the document in force. */
export function triggersOf(current: readonly ModelState[]): Triggers | null {
  return current.find((state) => state.triggers !== null)?.triggers ?? null;
}

/** Beside the stable release, while both have callers; `null` where there is nothing to compare with, or nobody asks for it. */
function compare(
  counted: Counted,
  current: readonly ModelState[],
  { comparison, minimumSamples }: Triggers,
  tally: Tally,
): Sight | null {
  const [fresh, stable] = current.find(({ plan }) => plan !== null)?.serving ?? [];
  // Who asks for a preview is nobody's sample of all callers: the two have nothing in common to compare.
  if (comparison === undefined || stable === undefined || stable.weight === 0 || fresh?.weight === 0) return null;
  const { tolerance, maxFalseAlarmRate } = comparison;
  const beside = countedOf(tally, stable.release);
  for (const [what, of] of COMPARED) {
    const [bad, badBeside] = [of(counted), of(beside)];
    const evidence = evidenceOfWorse({ of: counted.requests, bad }, { of: beside.requests, bad: badBeside }, tolerance);
    // Each of the comparisons gets its part of the rate, so that all of them together keep it.
    if (!isProved(evidence, maxFalseAlarmRate / COMPARED.length)) continue;
    const seen = `${bad} of ${counted.requests} answers ${what}, of release ${stable.version} ${badBeside} of ${beside.requests}`;
    return { kind: 'fail', reason: `${seen}: it is worse, by more than the ${100 * tolerance} % that are tolerated` };
  }
  if (beside.requests >= minimumSamples) return { kind: 'sound' };
  const reason = `${beside.requests} of ${minimumSamples} samples of release ${stable.version} were seen, to compare with`;
  return { kind: 'hold', reason };
}

const COMPARED: readonly (readonly [string, (counted: Counted) => number])[] = [
  ['failed', ({ failures }) => failures],
  ['were slow', ({ slow }) => slow],
];

function plus(a: Counted, b: Counted): Counted {
  return { requests: a.requests + b.requests, failures: a.failures + b.failures, slow: a.slow + b.slow };
}
