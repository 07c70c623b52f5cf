import type { Digest } from '../domain/digest.js';
import type { Approved, OpenGate } from '../domain/lifecycle.js';
import type { ReleaseName } from '../domain/names.js';
import type { LockTally, RetentionPredicate } from '../domain/retention.js';
import type { LifecycleControl } from './contract.js';

/** What workflows ask of the zones so that nothing is lost that must stay. The rules of `contract.ts` hold here, too. */
export interface Held {
  readonly release: Digest;
  readonly hold: Digest;
  readonly by: string;
  readonly reason: string;
}

/** What a hold, or its end, has come to in the store. */
export interface Keeping {
  /** Objects that carry the store's legal hold now. */
  readonly objects: number;
  /** Holds of the release that stand. */
  readonly open: readonly Digest[];
}

/** Zone control: what a legal hold needs. */
export interface HoldControl {
  /** Verifies and keeps a person's hold, and audits it; from then on the signing zone destroys no key of the release. */
  admitHold(name: ReleaseName, envelope: unknown): Promise<Held>;
  openLiftGate(name: ReleaseName, request: unknown): Promise<OpenGate>;
  recordLifted(name: ReleaseName, approved: Approved, keeping: Keeping): Promise<void>;
  decide: LifecycleControl['decide'];
  refuse: LifecycleControl['refuse'];
}

/** Zone control: what the daily extension of locks needs. Each goes on where an attempt before it was cut off. */
export interface RetentionControl {
  /** Of everything in the custody bucket but ciphertext, as long as it must stay whatever release it belongs to. */
  extendRecords(): Promise<LockTally>;
  /** Of the audit log, all of which stays: it verifies only as a whole. */
  extendLog(): Promise<LockTally>;
  /** Signs and keeps what a run has found, and audits it. */
  recordRetention(found: LockTally, startedAt: string): Promise<RetentionPredicate>;
}

/** Zone signing, which alone reaches both the vault's holdings and the store's legal holds. */
export interface KeepingActivities {
  /** Of every release that serves, is held or has not been over for long: its ciphertext, and all that its records lead to. */
  extendReleases(): Promise<LockTally>;
  /** Tells the vault, and sets the store's legal hold on every object of the release and of its records. */
  holdRelease(name: ReleaseName, held: Held): Promise<Keeping>;
  /** Ends what a quorum has agreed to end; takes the store's hold off what no other hold needs. */
  liftHolds(name: ReleaseName, approved: Approved): Promise<Keeping>;
}
