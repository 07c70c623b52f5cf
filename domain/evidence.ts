import type { SignedEnvelope } from './statements.js';

/** What a deployment provisionally rests on, as it lies in WORM. */
export interface ProvisionalEvidence {
  readonly override: { readonly request: SignedEnvelope; readonly statements: readonly SignedEnvelope[] } | null;
  readonly emergency: {
    readonly assessment: SignedEnvelope;
    readonly review: { readonly request: SignedEnvelope; readonly approvals: readonly SignedEnvelope[] } | null;
  } | null;
}

/** Of a deployment that stands for good. */
export const NOT_PROVISIONAL: ProvisionalEvidence = { override: null, emergency: null };

/**
 * What shows that a release may be signed, opened or loaded, as it lies in WORM: envelopes and texts, none of them checked.
 * It travels to whoever acts, who checks it whole.
 */
export interface ReleaseEvidence {
  /** The policy chain, oldest first. */
  readonly policies: readonly SignedEnvelope[];
  /** `custody.json`, as text. */
  readonly manifest: string;
  /** The producer's model signature (a Sigstore bundle), as text. */
  readonly bundle: string;
  /** Custody's own model signature, as text; `null` before the release was signed. */
  readonly signature: string | null;
  readonly admission: SignedEnvelope;
  /** How the release was made: SLSA provenance by its producer. */
  readonly provenance: SignedEnvelope;
  readonly testResult: SignedEnvelope;
  /** What its files are, and that nothing speaks against them. */
  readonly scan: SignedEnvelope;
  /** What it changes against the release before. */
  readonly change: SignedEnvelope;
  /** What the environment that it comes from has found; `null` where it comes from none. */
  readonly promotion: SignedEnvelope | null;
  /** The deploy request. */
  readonly request: SignedEnvelope;
  readonly approvals: readonly SignedEnvelope[];
  readonly provisional: ProvisionalEvidence;
  /** The newest status document; `null` where the act needs none. */
  readonly status: SignedEnvelope | null;
}

/** What shows that a release to come may take over what custody holds of its base. */
export interface TakingOverEvidence {
  /** With a fresh status document. */
  readonly base: ReleaseEvidence;
  /** Of the release to come: `custody.json`, and its producer's model signature, as texts. */
  readonly manifest: string;
  readonly bundle: string;
  readonly admission: SignedEnvelope;
  /** It names the base. */
  readonly provenance: SignedEnvelope;
}

/** What shows that a release may be destroyed. */
export interface RetirementEvidence {
  readonly policies: readonly SignedEnvelope[];
  readonly manifest: string;
  readonly request: SignedEnvelope;
  readonly approvals: readonly SignedEnvelope[];
  readonly notice: SignedEnvelope;
  readonly laterNotices: readonly SignedEnvelope[];
  readonly acknowledgements: readonly SignedEnvelope[];
  readonly waivers: readonly SignedEnvelope[];
  /** The notice that has condemned it, in an emergency. */
  readonly vulnerability: SignedEnvelope | null;
}

/** What shows that a release is gone. */
export interface CertificateEvidence extends RetirementEvidence {
  readonly revocation: SignedEnvelope;
  readonly certificate: SignedEnvelope;
  /** What the zones have tried afterwards. */
  readonly probes: readonly SignedEnvelope[];
}

/** What shows that a release is held. */
export interface HoldEvidence {
  readonly policies: readonly SignedEnvelope[];
  readonly manifest: string;
  readonly hold: SignedEnvelope;
}

/** What shows that an auditor may have the files of a release back. */
export interface RecoveryEvidence {
  readonly policies: readonly SignedEnvelope[];
  readonly manifest: string;
  /** The auditor's question. */
  readonly question: SignedEnvelope;
  /** That it is in the audit log: the record that was made of it, as a C2SP tlog-proof. */
  readonly proof: string;
}

/** What shows that holds of a release have ended. */
export interface LiftEvidence {
  readonly policies: readonly SignedEnvelope[];
  readonly manifest: string;
  readonly request: SignedEnvelope;
  readonly approvals: readonly SignedEnvelope[];
}

/** That a plan goes on after a step that pauses, as it lies in WORM. */
export interface ProceedEvidence {
  readonly request: SignedEnvelope;
  readonly approvals: readonly SignedEnvelope[];
}

/** One routing document on its way to a gateway, with what it rests on. */
export interface RouteDelivery {
  readonly policies: readonly SignedEnvelope[];
  readonly document: SignedEnvelope;
  /** The request that a plan or a restore rests on. */
  readonly request: SignedEnvelope | null;
  readonly approvals: readonly SignedEnvelope[];
  /** What people said after the step before, where that one pauses. */
  readonly proceed: ProceedEvidence | null;
  readonly provisional: ProvisionalEvidence;
  /** The orders that a drill lifts, which are its own. */
  readonly kills: readonly SignedEnvelope[];
  readonly isNewest: boolean;
}
