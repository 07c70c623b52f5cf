import type { Digest } from './digest.js';
import type { Policy } from './policy.js';
import { establishedOf, type RouteEntry, type RouteIntent, type RoutingDocument } from './routing.js';

/** Who drills does so on one endpoint, and may do nothing else. */
export interface DrillRules {
  /** The endpoint that is drilled, and no other ever is. */
  readonly model: string;
  readonly everySeconds: number;
  /** From the order until a caller at every gateway is served by the earlier release. */
  readonly rollbackMs: number;
  /** From the order until the last gateway refuses callers. */
  readonly killMs: number;
  /** From the request until a caller at every gateway is served again. */
  readonly restoreMs: number;
}

/** For how long an order of a drill counts: what is left over of one harms nobody later. */
export const DRILL_ORDER_SECONDS = 600;

/** In the order in which they are gone through. */
export const DRILL_STEPS = ['rollback', 'kill', 'restore'] as const;
export type DrillStep = (typeof DRILL_STEPS)[number];

/** What one step came to: `null` where nothing was to be measured. */
export interface DrillMeasured {
  readonly ms: number | null;
  readonly trouble: string | null;
}

/** `postponed`: somebody is at work on the endpoint. It says nothing, and so does not count as a drill. */
export type DrillOutcome = 'within' | 'over' | 'failed' | 'postponed';

/** What a drill has shown. Subject: what it says. Signed by control. */
export interface DrillPredicate {
  readonly environment: string;
  readonly model: string;
  readonly startedAt: string;
  readonly endedAt: string;
  /** What served before, and what was gone back to; `null` where it did not come to that. */
  readonly serving: Digest | null;
  readonly earlier: Digest | null;
  readonly steps: readonly (DrillMeasured & { readonly step: DrillStep; readonly agreedMs: number })[];
  readonly outcome: DrillOutcome;
  readonly reason: string;
}

/** The newest drill in the store, by the digest of its statement. */
export interface LastDrill extends DrillPredicate {
  readonly statement: Digest;
}

export function agreedMs(rules: DrillRules, step: DrillStep): number {
  return { rollback: rules.rollbackMs, kill: rules.killMs, restore: rules.restoreMs }[step];
}

/** What a drill of rollback makes of a document: as a real one, but what it goes back from stays warm, last. */
export function drilledBack(current: RoutingDocument, drill: Digest): RouteIntent | null {
  const [serving, earlier, ...others] = establishedOf(current);
  if (current.plan !== null || serving === undefined || earlier === undefined) return null;
  return {
    change: 'rollback',
    releases: [{ ...earlier, weight: 100 }, ...others, { ...serving, weight: 0 }],
    plan: null,
    triggers: current.triggers,
    lifted: current.lifted,
    restore: null,
    drill,
  };
}

/** What serves once a drill's kill is lifted: where its own rollback is in force, what that went back from; else the same. */
export function returned({ releases, drill }: RoutingDocument): readonly RouteEntry[] {
  const from = releases.at(-1);
  if (drill === undefined || from === undefined) return releases;
  return [{ ...from, weight: 100 }, ...releases.slice(0, -1).map((entry) => ({ ...entry, weight: 0 }))];
}

export type Readiness =
  | { readonly kind: 'ready'; readonly serving: RouteEntry; readonly earlier: RouteEntry }
  | { readonly kind: 'failed' | 'postponed'; readonly why: string };

/** Whether a drill may begin: it takes nothing down that it could not bring back, and is in nobody's way. */
export function readiness(
  { expires, drills }: Policy,
  document: RoutingDocument | null,
  killedBy: readonly Digest[],
  now: number,
): Readiness {
  if (drills === undefined) return { kind: 'failed', why: 'the policy declares no drills' };
  // Nothing is restored under a policy that has expired.
  if (Date.parse(expires) <= now + DRILL_ORDER_SECONDS * 1000)
    return { kind: 'failed', why: `the policy expires at ${expires}: the endpoint could not be restored` };
  if (killedBy.length > 0) return { kind: 'postponed', why: 'the endpoint is killed' };
  if (document === null || document.releases.length === 0)
    return { kind: 'failed', why: `${drills.model} serves nothing: put two releases into service there` };
  if (document.plan !== null) return { kind: 'postponed', why: 'a release is being rolled out' };
  const [serving, earlier] = establishedOf(document);
  if (serving === undefined || earlier === undefined)
    return { kind: 'failed', why: `${drills.model} keeps no release warm to go back to` };
  return { kind: 'ready', serving, earlier };
}

/** What a drill that was gone through came to. */
export function judgeDrill(steps: DrillPredicate['steps']): Pick<DrillPredicate, 'outcome' | 'reason'> {
  const told = steps.map(({ step, ms, agreedMs: agreed, trouble }) => {
    if (trouble !== null) return `${step}: ${trouble}`;
    return ms === null ? `${step}: not measured` : `${step} ${ms} of ${agreed} ms`;
  });
  const failed = steps.some(({ ms, trouble }) => ms === null || trouble !== null);
  const over = steps.some(({ ms, agreedMs: agreed }) => ms !== null && ms > agreed);
  return { outcome: failed ? 'failed' : over ? 'over' : 'within', reason: told.join(', ') };
}

/** Whether the drill has shown how long it takes. */
export function isHeld({ outcome }: Pick<DrillPredicate, 'outcome'>): boolean {
  return outcome === 'within' || outcome === 'over';
}

/** `null` where the last drill that was held is not too long ago: one that could not be held may be missing, not two. */
export function overdueDrill({ model, everySeconds }: DrillRules, since: string, now: number): string | null {
  return now - Date.parse(since) <= 2 * everySeconds * 1000
    ? null
    : `no drill of ${model} has been held since ${since}: the schedule "drill" is to hold one every ${everySeconds} s`;
}
