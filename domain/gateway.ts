import type { Digest } from './digest.js';
import type { CallerKind } from './inventory.js';
import type { PlanPosition, RouteEntry, TrafficLimits, Triggers } from './routing.js';

/** What one gateway has counted of one release while one revision was in force. In memory: a restart begins at 0. */
export interface ReleaseCounters {
  readonly revision: number;
  readonly release: Digest;
  readonly version: string;
  /** Requests whose outcome says something about the release. */
  readonly requests: number;
  /** Answers of 500 and above, answers that broke off, and requests that got none. */
  readonly failures: number;
  /** Requests that waited longer for the first byte than the triggers of the revision allow. */
  readonly slow: number;
  /** 95th percentile of the time to the first byte in milliseconds, to 5 % upwards; 0 without requests. */
  readonly p95Ms: number;
}

/** The release under rollout broke a trigger: it gets no traffic for the rest of its plan. */
export interface Breach {
  readonly revision: number;
  readonly release: Digest;
  /** The deploy request whose plan has failed. */
  readonly request: Digest;
  readonly reason: string;
  readonly at: string;
}

/** The breaker of an established release that is not closed. */
export interface BreakerSeen {
  readonly release: Digest;
  readonly version: string;
  readonly state: 'open' | 'half-open';
  readonly reason: string;
  /** How often callers have tried it since, and found it no better. */
  readonly failedTries: number;
}

export interface LiveReplica {
  readonly release: Digest;
  readonly version: string;
  readonly host: string;
  readonly port: number;
  readonly expiresAt: string;
}

export interface ModelState {
  readonly model: string;
  /** Of the newest document admitted; 0 before the first. */
  readonly revision: number;
  readonly document: Digest | null;
  readonly serving: readonly RouteEntry[];
  readonly plan: PlanPosition | null;
  readonly triggers: Triggers | null;
  readonly killedBy: readonly { readonly order: Digest; readonly reason: string; readonly lifted: false }[];
  readonly breach: Breach | null;
  readonly counters: readonly ReleaseCounters[];
  readonly breakers: readonly BreakerSeen[];
  /** Those whose statements have not expired. */
  readonly replicas: readonly LiveReplica[];
}

/** Somebody who has called a model, as one gateway has seen it. */
export interface SeenCaller {
  /** Of a consumer; or the name that the caller gave itself, or a part of the digest of what it sent; empty without any. */
  readonly id: string;
  readonly kind: CallerKind;
  readonly firstSeen: string;
  readonly lastSeen: string;
  /** Those that were refused among them. */
  readonly requests: number;
  readonly refused: number;
  /** Over the last minute. */
  readonly perSecond: number;
}

export interface SeenOfModel {
  readonly model: string;
  readonly callers: readonly SeenCaller[];
  /** Requests under further names that nobody vouches for. */
  readonly overflow: { readonly requests: number; readonly refused: number };
}

export interface CallersReport {
  readonly models: readonly SeenOfModel[];
}

/** What became of statements about consumers: those at the places named changed nothing. */
export interface ConsumersAdmitted {
  readonly consumers: Digest;
  readonly refused: readonly { readonly at: number; readonly code: string; readonly reason: string }[];
}

export interface GatewayState {
  readonly environment: string;
  /** Of the newest policy it has seen; `null` before the first. */
  readonly policyVersion: number | null;
  readonly statusVersion: number | null;
  /** Of the statements about consumers that it holds. */
  readonly consumers: Digest;
  /** Whether "not revoked" can be relied on now. */
  readonly fresh: boolean;
  readonly models: readonly ModelState[];
}

/** What a gateway says of an endpoint once it has admitted a document, or the same one again. */
export interface RouteAdmitted {
  readonly model: string;
  readonly revision: number;
  readonly document: Digest;
}

export interface KillLatched {
  readonly model: string;
  readonly order: Digest;
  /** When the gateway first stopped the model by this order, by its own clock. */
  readonly since: string;
}

/**
 * Which gateways did not stop within the time that the policy gives a kill, counted from when the order was signed, in words;
 * none: `[]`. `since` has an entry for each gateway: `null` where it has not answered.
 */
export function lateKills(
  since: readonly (string | null)[],
  { issuedAt, now, limitSeconds }: { readonly issuedAt: string; readonly now: string; readonly limitSeconds: number },
): readonly string[] {
  const seconds = (at: string): number => (Date.parse(at) - Date.parse(issuedAt)) / 1000;
  return since.flatMap((at, index) => {
    const which = since.length === 1 ? 'the gateway' : `gateway ${index + 1} of ${since.length}`;
    const passed = seconds(at ?? now);
    if (passed <= limitSeconds) return [];
    const given = `the policy gives ${limitSeconds} s`;
    return [
      at === null ? `${which} has not stopped: ${given}` : `${which} stopped after ${passed.toFixed(1)} s: ${given}`,
    ];
  });
}

/** Counts that may be of one gateway or the sum over several: each is exact, which a percentile could not be. */
export type Counted = Pick<ReleaseCounters, 'requests' | 'failures' | 'slow'>;

/** Which trigger the counts break, in words; `null` when none, or while there are too few to mean anything. */
export function breachOf({ requests, failures, slow }: Counted, triggers: TrafficLimits): string | null {
  if (requests < triggers.minimumSamples) return null;
  if (failures / requests > triggers.maxErrorRate)
    return `${failures} of ${requests} answers failed, at most ${percent(triggers.maxErrorRate)} may`;
  // The 95th percentile (nearest rank) exceeds the limit exactly if fewer requests than its rank kept it.
  if (requests - slow < Math.ceil(requests * 0.95))
    return `${slow} of ${requests} answers took longer than ${triggers.maxLatencyMs} ms: the 95th percentile is above it`;
  return null;
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(2))} %`;
}
