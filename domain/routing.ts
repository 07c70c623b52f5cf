import type { Digest } from './digest.js';
import type { AlertRule, MetricRule } from './metrics.js';

/** What a gateway judges a release by, on its own counters. */
export interface TrafficLimits {
  /** Answers of the release that must have been counted before a ratio means anything. */
  readonly minimumSamples: number;
  /** Greatest share of failed answers, 0..1. */
  readonly maxErrorRate: number;
  /** Greatest 95th percentile of the time to the first byte, in milliseconds. */
  readonly maxLatencyMs: number;
}

/** What ends a rollout. The limits the gateway applies itself; everything else is the watch's. */
export interface Triggers extends TrafficLimits {
  /** With the stable release, in failed and in slow answers, while both have callers. */
  readonly comparison?: Comparison;
  readonly metrics?: readonly MetricRule[];
  readonly alerts?: readonly AlertRule[];
}

export interface Comparison {
  /** Greatest probability that a step is failed by it though the release is not worse, 0..1. */
  readonly maxFalseAlarmRate: number;
  /** By how much the share of bad answers may exceed that of the stable release, 0..1. */
  readonly tolerance: number;
}

export interface RouteEntry {
  readonly release: Digest;
  readonly version: string;
  /** Percent of callers. 0: warm, ready to be rolled back to. */
  readonly weight: number;
}

/** Which step of which approved plan a document carries out. */
export interface PlanPosition {
  /** Digest of the deploy request that the approvals name. */
  readonly request: Digest;
  /** Index into the plan's steps. */
  readonly step: number;
}

export type RouteChange = 'plan' | 'promote' | 'rollback' | 'restore' | 'withdraw';

/** What an endpoint serves: signed by control, admitted by each gateway itself. Revisions only go up, by one. */
export interface RoutingDocument {
  readonly environment: string;
  readonly model: string;
  readonly revision: number;
  /** Digest of the envelope of the document before, `null` for the first. */
  readonly previous: Digest | null;
  readonly change: RouteChange;
  /** While a plan is under way the first entry is its release; every other entry has served all callers before. */
  readonly releases: readonly RouteEntry[];
  readonly plan: PlanPosition | null;
  /** Of the last plan: they hold on for as long as what it brought serves. `null` before the first. */
  readonly triggers: Triggers | null;
  /** Kill orders that a quorum has lifted, each kept until the order itself expires. */
  readonly lifted: readonly { readonly order: Digest; readonly until: string }[];
  /** Digest of the restore request, in a document that lifts. */
  readonly restore: Digest | null;
  /** Digest of the order that drills a rollback, in the document that it made: what it went back from is there, last. */
  readonly drill?: Digest;
  readonly policy: Digest;
  readonly issuedAt: string;
}

/** The releases that have served all callers before: what may be rolled back to. The serving one comes first. */
export function establishedOf(document: RoutingDocument | null): readonly RouteEntry[] {
  if (document === null) return [];
  return document.plan === null ? document.releases : document.releases.slice(1);
}

/** The release that callers outside a rollout reach; `null` for an endpoint that serves nothing yet. */
export function stableOf(document: RoutingDocument | null): RouteEntry | null {
  return establishedOf(document)[0] ?? null;
}

export function weightOf(document: RoutingDocument | null, release: Digest): number {
  return document?.releases.find((entry) => entry.release === release)?.weight ?? 0;
}

/** What an endpoint served last that serves nothing any more. */
export interface LastServed {
  readonly release: Digest;
  readonly version: string;
  /** When the document was made by which it went. */
  readonly since: string;
}

/** The same after one more document; `null` where that one serves something. `before`: after those before it. */
export function lastServed(
  before: LastServed | null,
  current: RoutingDocument | null,
  { releases, issuedAt }: RoutingDocument,
): LastServed | null {
  if (releases.some(({ weight }) => weight > 0)) return null;
  const [served] = (current?.releases ?? []).filter(({ weight }) => weight > 0).sort((a, b) => b.weight - a.weight);
  return served === undefined ? before : { release: served.release, version: served.version, since: issuedAt };
}

/** It takes callers to what was good before, or to nothing: it waits for no log and for nobody. */
export function lowersExposure(change: RouteChange): boolean {
  return change === 'rollback' || change === 'withdraw';
}

/** The part of a new document that says what is to be served; control fills in the rest and signs. */
export type RouteIntent = Pick<
  RoutingDocument,
  'change' | 'releases' | 'plan' | 'triggers' | 'lifted' | 'restore' | 'drill'
>;

interface StepTarget {
  readonly release: Digest;
  readonly version: string;
  readonly weight: number;
}

/** The document for one step of an approved plan: the new release first, the one it replaces with the rest of the callers. */
export function planStep(
  current: RoutingDocument | null,
  target: StepTarget,
  plan: PlanPosition,
  triggers: Triggers,
  warmReleases: number,
): RouteIntent {
  const others = establishedOf(current).filter((entry) => entry.release !== target.release);
  const stable = others[0];
  // With nothing to share callers with, a first release takes them all: that is what its plan says too.
  const releases: RouteEntry[] = [{ release: target.release, version: target.version, weight: target.weight }];
  if (stable !== undefined) releases.push({ ...stable, weight: 100 - target.weight });
  for (const entry of others.slice(1, 1 + warmReleases)) releases.push({ ...entry, weight: 0 });
  return { change: 'plan', releases, plan, triggers, lifted: current?.lifted ?? [], restore: null };
}

/** The last step has held: the release under rollout becomes the stable one, what it replaced stays warm. */
export function promote(current: RoutingDocument): RouteIntent {
  const releases = current.releases.map((entry, index) => ({ ...entry, weight: index === 0 ? 100 : 0 }));
  return { change: 'promote', releases, plan: null, triggers: current.triggers, lifted: current.lifted, restore: null };
}

/**
 * Back to `target`, whole: one document, so it cannot be half done. The release under rollout is dropped; of those that
 * were established, the ones in front of the target are dropped as well: they are what one goes back from.
 * With no target there is nothing established to go back to, and nothing serves.
 */
export function rollbackTo(current: RoutingDocument, target: Digest | null): RouteIntent {
  const established = establishedOf(current);
  const from = established.findIndex((entry) => entry.release === target);
  const kept = from < 0 ? [] : established.slice(from);
  const releases = kept.map((entry, index) => ({ ...entry, weight: index === 0 ? 100 : 0 }));
  return {
    change: 'rollback',
    releases,
    plan: null,
    triggers: current.triggers,
    lifted: current.lifted,
    restore: null,
  };
}

/** Takes one release out; where it was the one serving, nothing serves and callers get 410. */
export function withdraw(current: RoutingDocument, release: Digest): RouteIntent {
  const kept = current.releases.filter((entry) => entry.release !== release);
  const rolloutEnds = current.plan !== null && current.releases[0]?.release === release;
  const releases = rolloutEnds ? kept.map((entry, index) => ({ ...entry, weight: index === 0 ? 100 : 0 })) : kept;
  const plan = rolloutEnds ? null : current.plan;
  return {
    change: 'withdraw',
    releases,
    plan,
    triggers: current.triggers,
    lifted: current.lifted,
    restore: null,
  };
}

/** Same weights, with more orders lifted; orders whose own expiry has passed need no entry any more. */
export function restored(
  current: RoutingDocument,
  orders: readonly { readonly order: Digest; readonly until: string }[],
  request: Digest,
  now: string,
): RouteIntent {
  const kept = current.lifted.filter((entry) => entry.until > now && !orders.some((o) => o.order === entry.order));
  return {
    change: 'restore',
    releases: current.releases,
    plan: current.plan,
    triggers: current.triggers,
    lifted: [...kept, ...orders],
    restore: request,
  };
}
