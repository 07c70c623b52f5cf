import type { Digest } from './digest.js';

export interface NoticePredicate {
  readonly environment: string;
  readonly model: string;
  readonly version: string;
  readonly consumers: readonly {
    readonly id: string;
    readonly how: 'mail' | 'none';
    readonly messageId: string | null;
  }[];
  readonly retiresAt: string;
  readonly request: Digest;
  readonly issuedAt: string;
}

/** Subject: the digest of the notice. */
export interface AcknowledgementPredicate {
  readonly environment: string;
  readonly consumer: string;
  readonly issuedAt: string;
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
