import type { Criticality } from './consumers.js';
import type { Digest } from './digest.js';

/** Who is told of a retirement. */
export interface Noticed {
  readonly id: string;
  /** An authority of the policy, who answers for it; `null`: nobody has declared it. */
  readonly owner: string | null;
  readonly criticality: Criticality | null;
  /** `none`: the directory knows no way. `failed`: no way took it, and it is tried again. */
  readonly how: 'mail' | 'webhook' | 'none' | 'failed';
  readonly messageId: string | null;
}

/** Control has told everybody who depends on a release of its end. Subject: the release. */
export interface NoticePredicate {
  readonly environment: string;
  readonly model: string;
  readonly version: string;
  readonly consumers: readonly Noticed[];
  readonly retiresAt: string;
  readonly request: Digest;
  readonly issuedAt: string;
}

/** A consumer's owner has taken note, and will be ready by then. Subject: the release. */
export interface AcknowledgementPredicate {
  readonly environment: string;
  readonly model: string;
  readonly version: string;
  readonly consumer: string;
  /** The request to retire it. */
  readonly request: Digest;
  readonly issuedAt: string;
}

/** The designated authority stands in for a consumer that does not answer. Subject: the release. */
export interface WaiverPredicate extends AcknowledgementPredicate {
  readonly reason: string;
}

/** The destruction certificate. Subject: the release. NIST SP 800-88r2: cryptographic erase. */
export interface DestructionPredicate {
  readonly environment: string;
  readonly model: string;
  readonly version: string;
  readonly method: 'cryptographic erase';
  readonly request: Digest;
  readonly approvals: readonly Digest[];
  readonly revocation: Digest;
  readonly destroyed: readonly { readonly path: string; readonly sha256: Digest; readonly blob: string }[];
  /** Bytes that living releases still need: their keys stand. */
  readonly kept: readonly { readonly path: string; readonly sha256: Digest; readonly holders: readonly Digest[] }[];
  /** Every path that was tried afterwards, and how it answered. */
  readonly probes: readonly { readonly path: string; readonly refused: boolean; readonly answer: string }[];
  /** Ciphertext that stays in WORM until its lock ends. */
  readonly remains: readonly { readonly blob: string; readonly size: number; readonly until: string }[];
  readonly destroyedAt: string;
}

/**
 * A security authority says that a release must not serve any more. Subject: the release. Expiry bounds its acceptance, never
 * its effect.
 */
export interface VulnerabilityPredicate {
  readonly environment: string;
  readonly model: string;
  readonly version: string;
  /** What others call it: of CVE, GHSA, OSV, or of one's own. */
  readonly vulnerability: string;
  readonly reason: string;
  readonly issuedAt: string;
  readonly expiresAt: string;
}

/** Subject: the release. */
export interface RevocationPredicate {
  readonly environment: string;
  readonly model: string;
  readonly version: string;
  readonly reason: string;
  /** What it rests on: the request to retire the release, or in an emergency the vulnerability notice. */
  readonly request: Digest;
  readonly issuedAt: string;
}
