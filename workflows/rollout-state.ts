import type { Digest } from '../domain/digest.js';
import type { Proceeding, RolloutOrder, RoutedPosition } from '../domain/endpoint.js';
import type { UnnotedVerdict } from '../domain/step-verdict.js';
import type { Counting } from './gate.js';
import type { Inbox } from './inbox.js';

/** Where a rollout is: a continued run goes on from here. */
export interface RolloutState {
  readonly order: RolloutOrder;
  readonly step: number;
  /** When the step's watch began, so that a new watch waits only for the rest. */
  readonly watchedSince: string | null;
  /** The gate after this step, while people decide on the next one. */
  readonly counting: Counting | null;
  /** What people said to this step, where the one before pauses. */
  readonly agreed: Proceeding | null;
  /** Whether anything may have been routed. */
  readonly begun: boolean;
  /** Why it is to be undone. */
  readonly stopped: string | null;
  /** Since when; what an older run has handed on does not say. */
  readonly stoppedAt?: string;
}

/** Of a step that has not been watched yet. */
export const AT_ITS_START = { watchedSince: null, counting: null, agreed: null } as const;

export function unbegun(order: RolloutOrder): RolloutState {
  return { order, step: 0, ...AT_ITS_START, begun: false, stopped: null };
}

export function stoppedBy(why: string): Pick<RolloutState, 'stopped' | 'stoppedAt'> {
  return { stopped: why, stoppedAt: new Date(Date.now()).toISOString() };
}

export function sinceStopped({ stoppedAt }: RolloutState): { readonly tookMs?: number } {
  return stoppedAt === undefined ? {} : { tookMs: Date.now() - Date.parse(stoppedAt) };
}

/** What a rollout has of its endpoint. */
export interface Surroundings {
  readonly model: string;
  readonly moved: (position: RoutedPosition) => void;
  readonly revision: () => number;
  readonly trouble: (what: string, why: string | null) => void;
  readonly inbox: Inbox;
  /** What people see has changed. */
  readonly display: () => void;
  /** The watch of a step has come to a verdict that the log has not taken yet. */
  readonly judged: (judged: UnnotedVerdict) => void;
  /** A rejection has ended it that the log has not taken yet. */
  readonly rejected: (request: Digest, statement: Digest) => void;
}
