import type { Digest } from './digest.js';

/** An override authority lifts exactly what has failed, for a time. Subject: the digest of the override request. */
export interface OverridePredicate {
  readonly requestId: string;
  readonly nonce: string;
  readonly environment: string;
  readonly workflowId: string;
  readonly release: Digest;
  readonly testResult: Digest;
  /** Names of criteria, as the test result has them. */
  readonly lifts: readonly string[];
  readonly justification: string;
  /** What rests on it is taken back then, unless it was renewed. */
  readonly holdsUntil: string;
  readonly issuedAt: string;
  /** Until when it may be handed in. */
  readonly expiresAt: string;
}

/** Why a release cannot wait, by the person who asks for it. Subject: the release. */
export interface RiskAssessmentPredicate {
  readonly environment: string;
  readonly model: string;
  readonly version: string;
  readonly assessment: RiskAssessment;
  readonly issuedAt: string;
}

export interface RiskAssessment {
  readonly what: string;
  readonly whyNow: string;
  readonly risks: readonly string[];
  readonly mitigations: readonly string[];
  readonly rollbackPlan: string;
}

/** SLSA verification summary v1, the part that Custody fills. By control: a release may not, or no longer, serve; by a signing zone: it may. */
export interface VerificationSummaryPredicate {
  readonly verifier: { readonly id: string };
  readonly timeVerified: string;
  readonly resourceUri: string;
  readonly policy: { readonly uri: string; readonly digest: { readonly sha256: Digest } };
  readonly inputAttestations: readonly { readonly uri: string; readonly digest: { readonly sha256: Digest } }[];
  readonly verificationResult: 'PASSED' | 'FAILED';
  readonly verifiedLevels: readonly string[];
}
