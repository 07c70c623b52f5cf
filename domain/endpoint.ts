import { isDigest, type Digest } from './digest.js';
import type { Counted } from './gateway.js';
import type { OpenGate, RolloutResult } from './lifecycle.js';
import { isVersion, parseLifecycleId } from './names.js';

/** The hand-over from a release's lifecycle: ids and references only, the endpoint's zones verify them. */
export interface RolloutOrder {
  /** The deploy request that the approvals name; also what the endpoint dedupes by. */
  readonly request: Digest;
  readonly approvals: readonly Digest[];
  readonly release: Digest;
  readonly version: string;
  /** Where the answer goes. */
  readonly replyTo: string;
}

const MAX_APPROVALS = 50;

/** The order of this model in a `rollout` message, and nothing else of it; `null` where there is none. The zones verify what it names. */
export function rolloutOrderIn(value: unknown, model: string): RolloutOrder | null {
  if (typeof value !== 'object' || value === null) return null;
  const order = value as Partial<Record<keyof RolloutOrder, unknown>>;
  const { request, approvals, release, version, replyTo } = order;
  if (!isDigest(request) || !isDigest(release)) return null;
  if (typeof version !== 'string' || !isVersion(version)) return null;
  if (!Array.isArray(approvals) || approvals.length > MAX_APPROVALS || !approvals.every(isDigest)) return null;
  const sender = typeof replyTo === 'string' ? parseLifecycleId(replyTo) : null;
  if (typeof replyTo !== 'string' || sender?.model !== model || sender.version !== version) return null;
  return { request, approvals, release, version, replyTo };
}

/** That people agreed that a plan goes on after a step that pauses: ids, which the zones verify. */
export interface Proceeding {
  readonly request: Digest;
  readonly approvals: readonly Digest[];
}

export interface RolloutEnded {
  readonly request: Digest;
  readonly result: RolloutResult;
}

/** Where an endpoint stands: the routing document in force and the orders that stop it. */
export interface EndpointPosition {
  readonly revision: number;
  readonly document: Digest | null;
  readonly serving: readonly { readonly release: Digest; readonly version: string; readonly weight: number }[];
  readonly killedBy: readonly Digest[];
}

/** One release of one model, by name and by digest. */
export interface ReleaseReference {
  readonly model: string;
  readonly version: string;
  readonly release: Digest;
}

/** What a new routing document led to. */
export interface RoutedPosition extends EndpointPosition {
  /** The releases that the document before listed and this one does not: their replicas are to be stopped. */
  readonly stopped: readonly ReleaseReference[];
  readonly unnoted?: Unnoted;
}

/** A document that has lowered exposure, since when, and is not in the log yet. */
export interface Unnoted {
  readonly revision: number;
  /** `null` where nobody has seen it take effect: the log then has the time of the document. */
  readonly since: string | null;
  /** Why some gateway does not serve by it yet: it gets it as soon as it answers. */
  readonly missing?: string;
}

/**
 * Where an endpoint stands after an answer. One with an older revision has been overtaken and says nothing. A kill stays
 * until it is lifted, and a lifted one does not come back with an answer that was already on its way.
 */
export function movedTo(
  from: EndpointPosition,
  to: EndpointPosition,
  lifted: readonly Digest[] = [],
): EndpointPosition {
  if (to.revision < from.revision) return from;
  const { revision, document, serving } = to;
  const killedBy = [...new Set([...from.killedBy, ...to.killedBy])].filter((order) => !lifted.includes(order));
  return { revision, document, serving, killedBy };
}

export interface EndpointStatus extends EndpointPosition {
  readonly rollout: { readonly order: RolloutOrder; readonly step: number } | null;
  /** Requests of the orders that wait for their turn. */
  readonly queued: readonly Digest[];
  readonly ended: readonly RolloutEnded[];
  /** The request to restore that waits for people, with its envelope: what they are to approve. */
  readonly gate: OpenGate | null;
  /** How many more people the open gate needs. */
  readonly missing: number;
  /** What cannot go on, and why: it is tried again. And kills that took longer than the policy gives them. */
  readonly trouble: readonly string[];
}

/** What part of the callers a release has, as people are told: one that is kept warm and one in preview both have none. */
export function shareOf(
  { release, weight }: EndpointPosition['serving'][number],
  rollout: { readonly order: Pick<RolloutOrder, 'release'> } | null,
): string {
  return weight === 0 && rollout?.order.release === release ? 'preview' : `${weight} %`;
}

/** Those of all that an endpoint routes to, in a line. */
export function sharesOf(serving: EndpointPosition['serving'], rollout: Parameters<typeof shareOf>[1]): string {
  return serving.map((entry) => `${entry.version} ${shareOf(entry, rollout)}`).join(', ');
}

/** What an endpoint says of one rollout: its result, that it is under way or waits, or nothing. */
export function rolloutOf(
  status: Pick<EndpointStatus, 'rollout' | 'queued' | 'ended'>,
  request: Digest,
): RolloutResult | 'under way' | null {
  const ended = status.ended.find((end) => end.request === request);
  if (ended !== undefined) return ended.result;
  return status.rollout?.order.request === request || status.queued.includes(request) ? 'under way' : null;
}

/** What one step's watch has seen. Inconclusive is never a pass. `counts`: by release, all gateways together. */
export type StepVerdict = {
  readonly revision: number;
  readonly counts?: Readonly<Record<Digest, Counted>>;
} & (
  | { readonly kind: 'pass'; readonly samples: number }
  | { readonly kind: 'fail'; readonly reason: string }
  | { readonly kind: 'inconclusive'; readonly reason: string }
);

/** What the watch of a release in service came to: a breach, or that it is to be begun again. */
export type ServiceVerdict =
  | { readonly kind: 'breach'; readonly revision: number; readonly reason: string }
  | { readonly kind: 'again'; readonly revision: number };

/** What broke its limits in service, under the document of this revision, and what followed: not in the log yet. */
export interface ServiceBreach {
  readonly revision: number;
  readonly release: Digest;
  readonly reason: string;
  readonly since: string;
  readonly outcome: string;
}

/** What followed from a breach in service. */
export type ServiceReverted = { readonly breached?: ServiceBreach } & (
  | { readonly kind: 'rolled back'; readonly position: RoutedPosition }
  /** It serves on, and people are to look at it: why nothing can be done by itself. */
  | { readonly kind: 'alarm'; readonly reason: string }
);
