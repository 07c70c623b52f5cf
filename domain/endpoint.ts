import type { Digest } from './digest.js';
import type { RolloutResult } from './lifecycle.js';

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

export interface EndpointStatus extends EndpointPosition {
  readonly rollout: { readonly order: RolloutOrder; readonly step: number } | null;
  readonly ended: readonly RolloutEnded[];
}

/** What one step's watch has seen. Inconclusive is never a pass. */
export type StepVerdict =
  | { readonly kind: 'pass'; readonly revision: number; readonly samples: number }
  | { readonly kind: 'fail'; readonly revision: number; readonly reason: string }
  | { readonly kind: 'inconclusive'; readonly revision: number; readonly reason: string };
