import type { Digest } from './digest.js';
import type { ErrorCode } from './errors.js';
import type { Proviso } from './provisional.js';
import type { SignedEnvelope } from './statements.js';

export const STAGES = [
  'admit',
  'ingest',
  'validate',
  'override',
  'approve',
  'sign',
  'roll out',
  'in service',
  'condemned',
  'retire',
  'ended',
] as const;
export type Stage = (typeof STAGES)[number];

/** What a release's start request asks for, after it was verified. */
export interface Admission {
  readonly request: Digest;
  readonly requester: string;
  readonly source: string;
  readonly bundle: string;
  readonly provenance: string;
  /** Where the verification summary of the environment before lies. */
  readonly promotion?: string;
  /** Of an emergency deployment. */
  readonly riskAssessment?: Digest;
  readonly policy: Digest;
}

export interface Ingested {
  /** The release digest. */
  readonly release: Digest;
  readonly producer: string;
  /** Digest of the producer's signature bundle, in `statements/`. */
  readonly bundle: Digest;
  /** Digest of the producer's provenance statement. */
  readonly provenance: Digest;
  /** Digest of the statement of what its files are. */
  readonly scan: Digest;
  /** Digest of the statement of what it changes. */
  readonly change: Digest;
  /** Digest of the verification summary it came with. */
  readonly promotion?: Digest;
  readonly files: number;
  readonly bytes: number;
}

export interface Validated {
  readonly testResult: Digest;
  readonly passed: number;
  readonly failed: readonly string[];
  /** Of all labelled rows; `null` where no suite has any. */
  readonly accuracy: number | null;
  /** Of each that failed, what was found and by how much it misses. */
  readonly misses?: readonly string[];
  /** What an override of them would need. */
  readonly remedy?: string;
}

/** A request that waits for people. */
export interface OpenGate {
  readonly request: Digest;
  readonly requestId: string;
  readonly role: string;
  readonly count: number;
  readonly expiresAt: string;
  readonly envelope: SignedEnvelope;
}

export interface Signed {
  /** Digest of the release signature bundle, in `statements/`. */
  readonly signature: Digest;
}

export interface Approved {
  readonly request: Digest;
  readonly approvals: readonly Digest[];
  readonly approvers: readonly string[];
}

export type RolloutResult =
  | { readonly kind: 'promoted'; readonly revision: number }
  | {
      readonly kind: 'rolled back';
      readonly revision: number;
      readonly reason: string;
      /** From the verdict, the alert or the order that ended it until every gateway served by the document that undoes it. */
      readonly tookMs?: number;
    }
  | { readonly kind: 'refused'; readonly code: ErrorCode; readonly reason: string };

/** What a release has behind it, read from WORM: each part is there once its stage has ended. */
export interface Progress {
  readonly admission?: Admission;
  readonly ingested?: Ingested;
  readonly validated?: Validated;
  /** The request to lift what has failed. */
  readonly overrideGate?: OpenGate;
  /** The first overrides; renewals lie beside them. */
  readonly overridden?: Approved;
  readonly gate?: OpenGate;
  readonly approved?: Approved;
  readonly signed?: Signed;
  readonly rollout?: RolloutResult;
  /** The request to review an emergency deployment. */
  readonly reviewGate?: OpenGate;
  /** How that ended: approvals, or the rejection. */
  readonly reviewed?: Approved;
  /** A provisional release whose time has passed: no step of it is routed any more. */
  readonly lapsed?: Proviso;
  /** A vulnerability notice that has stopped it for good. */
  readonly condemned?: Condemned;
  readonly retirement?: Retirement;
  /** How it ended: a release that has one is not taken up again. */
  readonly outcome?: LifecycleOutcome;
}

export interface Condemned {
  readonly vulnerability: Digest;
  /** The kill order that stopped its endpoint; `null`: it had no callers. */
  readonly order: Digest | null;
}

export interface Retirement {
  readonly request: Digest;
  readonly approvals: readonly Digest[];
  readonly notice: Digest;
  readonly retiresAt: string;
}

/** How far a notice has come. */
export interface NoticeStanding {
  /** Consumers that somebody must still answer for. */
  readonly awaited: readonly string[];
  /** When the period ends, of everybody who was told. */
  readonly endsAt: string;
  /** When there is something to do next; `null` once the period is over. */
  readonly lookAt: string | null;
}

export type LifecycleOutcome =
  | { readonly kind: 'rejected'; readonly stage: Stage; readonly code: ErrorCode; readonly reason: string }
  | { readonly kind: 'expired'; readonly stage: Stage }
  | { readonly kind: 'rolled back'; readonly reason: string }
  | { readonly kind: 'retired'; readonly certificate: Digest };

/** What `custody status` and the UI show. */
export interface LifecycleStatus {
  readonly stage: Stage;
  readonly progress: Progress;
  /** Until when the release stands; `null`: for good, or not yet known. */
  readonly proviso: Proviso | null;
  /** The request that waits for people, with its envelope: what they are to approve. */
  readonly gate: OpenGate | null;
  /** How many more people the open gate needs. */
  readonly missing: number;
  /** How far the notice of its retirement has come; `null`: there is none. */
  readonly notice: NoticeStanding | null;
  /** What cannot go on, and why; it is tried again. */
  readonly trouble: readonly string[];
}

/** Temporal's query for whatever waits for people to decide. */
export const GATES_WAITING = `ExecutionStatus = 'Running' AND CustodyAwaiting IS NOT NULL`;
