import type { AlertPredicate } from './alert.js';
import type { ReviewPredicate } from './code-review.js';
import type { ConsumerPredicate } from './consumers.js';
import type { Digest } from './digest.js';
import type * as ending from './ending-predicates.js';
import type { DataSourcePredicate, HandoverPredicate } from './data-source.js';
import type { DossierPredicate } from './dossier.js';
import type { DrillPredicate } from './drill.js';
import type { HoldPredicate } from './hold.js';
import type { PlanStep } from './plan.js';
import type { Policy } from './policy.js';
import type { ProvenancePredicate } from './provenance-predicate.js';
import type * as provisional from './provisional-predicates.js';
import type { RetentionPredicate } from './retention.js';
import type { RoutingDocument } from './routing.js';
import type { ScanPredicate } from './scan.js';
import type { IncidentPredicate, ReplicaPredicate, StatusPredicate } from './serving-predicates.js';
import type { StepVerdictPredicate } from './step-verdict.js';
import type { TestResultPredicate } from './test-result.js';
import type { ChangePredicate } from './versioning.js';

export type {
  AcknowledgementPredicate,
  DependentsPredicate,
  DestructionPredicate,
  NoticePredicate,
  ProbePredicate,
  RevocationPredicate,
  VulnerabilityPredicate,
  WaiverPredicate,
} from './ending-predicates.js';
export type { PlanStep } from './plan.js';
export type { IncidentPredicate, ReplicaPredicate, StatusPredicate } from './serving-predicates.js';
export type { BuildDependency, ProvenancePredicate } from './provenance-predicate.js';
export type { TestResultPredicate } from './test-result.js';

/** A DSSE envelope as it travels in messages and lies in WORM. Verified nowhere but in `formats/dsse`. */
export interface SignedEnvelope {
  readonly payloadType: string;
  readonly payload: string;
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
}

/** The predicate types Custody makes or accepts; the keys are the words people use. */
export const PREDICATES = {
  request: 'urn:custody:predicate:request:v1',
  approval: 'urn:custody:predicate:approval:v1',
  route: 'urn:custody:predicate:route:v1',
  kill: 'urn:custody:predicate:kill:v1',
  alert: 'urn:custody:predicate:alert:v1',
  status: 'urn:custody:predicate:status:v1',
  revocation: 'urn:custody:predicate:revocation:v1',
  replica: 'urn:custody:predicate:replica:v1',
  incident: 'urn:custody:predicate:incident:v1',
  consumer: 'urn:custody:predicate:consumer:v1',
  notice: 'urn:custody:predicate:notice:v1',
  acknowledgement: 'urn:custody:predicate:acknowledgement:v1',
  waiver: 'urn:custody:predicate:waiver:v1',
  dependents: 'urn:custody:predicate:dependents:v1',
  vulnerability: 'urn:custody:predicate:vulnerability:v1',
  probe: 'urn:custody:predicate:probe:v1',
  destruction: 'urn:custody:predicate:destruction:v1',
  policy: 'urn:custody:predicate:policy:v1',
  storeProof: 'urn:custody:predicate:store-proof:v1',
  auditQuestion: 'urn:custody:predicate:audit-question:v1',
  rollback: 'urn:custody:predicate:rollback:v1',
  hold: 'urn:custody:predicate:hold:v1',
  retention: 'urn:custody:predicate:retention:v1',
  drill: 'urn:custody:predicate:drill:v1',
  stepVerdict: 'urn:custody:predicate:step-verdict:v1',
  dossier: 'urn:custody:predicate:dossier:v1',
  dataSource: 'urn:custody:predicate:data-source:v1',
  handover: 'urn:custody:predicate:handover:v1',
  review: 'urn:custody:predicate:review:v1',
  change: 'urn:custody:predicate:change:v1',
  scan: 'urn:custody:predicate:scan:v1',
  override: 'urn:custody:predicate:override:v1',
  riskAssessment: 'urn:custody:predicate:risk-assessment:v1',
  verificationSummary: 'https://slsa.dev/verification_summary/v1',
  testResult: 'https://in-toto.io/attestation/test-result/v0.1',
  provenance: 'https://slsa.dev/provenance/v1',
} as const;

export type RequestAction =
  | {
      readonly kind: 'train';
      readonly run: string;
      readonly trainer: string;
      readonly hyperparameters: Digest;
      /** The statement about the data to train on. Nothing is trained without; runs of before did not name it. */
      readonly data?: Digest;
      /** Where the code and the hyperparameters are from, in hexadecimal. Nothing is trained without, either. */
      readonly commit?: string;
    }
  | {
      readonly kind: 'release';
      readonly source: string;
      readonly bundle: string;
      readonly provenance: string;
      /** The verification summary of the environment that it comes from. */
      readonly promotion?: string;
      /** A plan of its own, no weaker than the policy's. */
      readonly plan?: readonly PlanStep[];
    }
  | {
      readonly kind: 'deploy';
      /** What the endpoint served when the request was made; any other revision voids the approvals. */
      readonly from: { readonly revision: number; readonly stable: Digest | null };
      readonly plan: readonly PlanStep[];
      /** No step of the plan may begin after this. */
      readonly deployBefore: string;
    }
  /** By control, once a step that pauses has been watched for its time: may the step after it begin? */
  | {
      readonly kind: 'proceed';
      /** The deploy request whose plan it is. */
      readonly deploy: Digest;
      /** The step that would begin, and what it gives the release. */
      readonly step: number;
      readonly weight: number;
    }
  /** By control: may what has failed be lifted? */
  | { readonly kind: 'override'; readonly failed: readonly string[] }
  /** By control: was it right to deploy in an emergency? */
  | { readonly kind: 'review' }
  | { readonly kind: 'restore'; readonly kills: readonly Digest[]; readonly revision: number }
  /** A release signature by the key that signs today, over what has been approved before. */
  | { readonly kind: 'resign' }
  /** A verification summary, for the environment after this one. */
  | { readonly kind: 'promote' }
  /** Ends these legal holds, and none besides. */
  | { readonly kind: 'lift'; readonly holds: readonly Digest[]; readonly reason: string }
  | {
      readonly kind: 'retire';
      readonly reason: string;
      readonly noticeSeconds: number;
      /** The release that its callers get from then on; without it they get none of this model. */
      readonly fallback?: Digest;
      /** What serves and was made from it, `model@version`: it may be retired all the same. */
      readonly despite?: readonly string[];
      /** What its callers are to use then; they are told. */
      readonly instead?: string;
    };

/** What somebody asks for: in WORM before anyone is asked to approve it. Subject: the release, or the id of what it acts on. */
export interface RequestPredicate {
  readonly requestId: string;
  readonly nonce: string;
  readonly environment: string;
  readonly workflowId: string;
  readonly model: string;
  readonly version: string | null;
  readonly release: Digest | null;
  readonly action: RequestAction;
  /** Digests of the documents the decision rests on, by name. */
  readonly evidence: Readonly<Record<string, Digest>>;
  readonly policy: Digest;
  readonly requester: string;
  /** Who signed the bytes in question as their producer, where there are any. */
  readonly producer: string | null;
  /** What the api saw of the requester, where it signs for one that has no key. */
  readonly identity?: VouchedIdentity;
  readonly issuedAt: string;
  readonly expiresAt: string;
}

/** What a verified OIDC token said of a requester; the token itself is nowhere. */
export interface VouchedIdentity {
  readonly issuer: string;
  readonly subject: string;
  readonly audience: string;
  /** The claims that the policy pins. */
  readonly claims: Readonly<Record<string, string>>;
  /** SHA-256 of the token: requests of the same token can be told. */
  readonly token: Digest;
}

/** One person's decision on one request. Subject: the digest of the request's envelope. */
export interface ApprovalPredicate {
  readonly requestId: string;
  readonly nonce: string;
  readonly environment: string;
  readonly workflowId: string;
  readonly decision: 'approve' | 'reject';
  readonly reason: string;
  readonly issuedAt: string;
  readonly expiresAt: string;
}

/** One signed order to stop an endpoint. Expiry bounds its acceptance, never its effect. */
export interface KillPredicate {
  readonly environment: string;
  readonly model: string;
  readonly nonce: string;
  readonly reason: string;
  readonly issuedAt: string;
  readonly expiresAt: string;
}

/** An operator's order to go back to a release that has served before. */
export interface RollbackPredicate {
  readonly environment: string;
  readonly model: string;
  readonly nonce: string;
  readonly target: Digest | null;
  readonly reason: string;
  readonly issuedAt: string;
  readonly expiresAt: string;
}

export interface StoreProofPredicate {
  readonly endpoint: string;
  readonly checks: readonly { readonly check: string; readonly refused: boolean; readonly answer: string }[];
  readonly holds: boolean;
  readonly issuedAt: string;
  readonly expiresAt: string;
}

export interface AuditQuestionPredicate {
  readonly environment: string;
  readonly nonce: string;
  /** To read all of the log; what a model was at a time; to have the files of one of its releases back. */
  readonly question: 'log' | 'state' | 'recover';
  readonly model: string | null;
  /** For `state`. */
  readonly at: string | null;
  /** For `recover`; the statement's subject is the release digest. */
  readonly version: string | null;
  /** Entries of the newest checkpoint that the asker has seen: the answer shows that the log goes on from there. */
  readonly seen: number;
  readonly issuedAt: string;
  readonly expiresAt: string;
}

export interface PredicateOf {
  request: RequestPredicate;
  approval: ApprovalPredicate;
  route: RoutingDocument;
  kill: KillPredicate;
  alert: AlertPredicate;
  status: StatusPredicate;
  revocation: ending.RevocationPredicate;
  replica: ReplicaPredicate;
  incident: IncidentPredicate;
  consumer: ConsumerPredicate;
  notice: ending.NoticePredicate;
  acknowledgement: ending.AcknowledgementPredicate;
  waiver: ending.WaiverPredicate;
  dependents: ending.DependentsPredicate;
  vulnerability: ending.VulnerabilityPredicate;
  probe: ending.ProbePredicate;
  destruction: ending.DestructionPredicate;
  policy: Policy;
  storeProof: StoreProofPredicate;
  auditQuestion: AuditQuestionPredicate;
  rollback: RollbackPredicate;
  hold: HoldPredicate;
  retention: RetentionPredicate;
  drill: DrillPredicate;
  stepVerdict: StepVerdictPredicate;
  dossier: DossierPredicate;
  dataSource: DataSourcePredicate;
  handover: HandoverPredicate;
  review: ReviewPredicate;
  change: ChangePredicate;
  scan: ScanPredicate;
  override: provisional.OverridePredicate;
  riskAssessment: provisional.RiskAssessmentPredicate;
  verificationSummary: provisional.VerificationSummaryPredicate;
  testResult: TestResultPredicate;
  provenance: ProvenancePredicate;
}

export type PredicateName = keyof PredicateOf;

/**
 * A statement after its signatures were checked against the policy's keys: what pure rules may rely on.
 * `signers` are the distinct authorities behind the valid signatures, never empty.
 */
export interface Verified<P> {
  /** SHA-256 of the envelope in canonical form. */
  readonly digest: Digest;
  readonly subject: Digest;
  readonly predicate: P;
  readonly signers: readonly string[];
}
