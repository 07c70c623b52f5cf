import type { Digest } from './digest.js';
import type {
  HoldEvidence,
  RecoveryEvidence,
  LiftEvidence,
  ReleaseEvidence,
  RetirementEvidence,
  TakingOverEvidence,
} from './evidence.js';
import type { SignedEnvelope } from './statements.js';

/**
 * What is said over the vault's sockets. Every operation is idempotent; a refusal is `{ code, message }`.
 * Keys are base64 on the wire and never stand in an error.
 */
export const VAULT_OPERATIONS = {
  create: ['claim', 'stored', 'reopen'],
  open: ['open'],
  destroy: ['destroy', 'probe', 'holdings', 'hold', 'lift'],
  recover: ['recover'],
} as const;
export type VaultSocket = keyof typeof VAULT_OPERATIONS;

/** So many files are opened in one call. */
export const MAX_OPENED_FILES = 10_000;

/** Ciphertext in the store: `blobs/<blob>`, of which only this version counts. */
export interface BlobRef {
  readonly blob: string;
  readonly versionId: string;
  /** SHA-256 of the ciphertext. */
  readonly ciphertext: Digest;
  /** Bytes of ciphertext. */
  readonly ciphertextSize: number;
}

/** create: a release will hold these bytes. */
export interface ClaimRequest {
  /** SHA-256 and size in bytes of the plaintext. */
  readonly sha256: Digest;
  readonly size: number;
  readonly release: Digest;
}

/**
 * `new`: encrypt with this key (AES256_GCM_HKDF_1MB, 32 bytes) and upload as this blob; until `stored` was called, the
 * same bytes get the same blob and key. `stored`: somebody has done it already.
 */
export type ClaimAnswer<Key> =
  { readonly state: 'new'; readonly blob: string; readonly key: Key } | ({ readonly state: 'stored' } & BlobRef);

/** create: the ciphertext is in the store. Answers the reference that counts: the first one that was reported. */
export interface StoredRequest extends BlobRef {
  readonly sha256: Digest;
}

/**
 * create: a release to come takes over what its base holds, and becomes a holder of it. Its keys are answered, since what is
 * taken over is tried with the rest.
 */
export interface ReopenRequest {
  /** SHA-256 of plaintexts, each of a file that both manifests in the evidence list under the same path. */
  readonly sha256s: readonly Digest[];
  readonly evidence: TakingOverEvidence;
}

/** open: the keys of some files of one release. */
export interface OpenRequest {
  /** SHA-256 of plaintexts, each listed in the evidence's manifest. */
  readonly sha256s: readonly Digest[];
  /** With a fresh status document. */
  readonly evidence: ReleaseEvidence;
}

export interface OpenedFile<Key> extends BlobRef {
  readonly sha256: Digest;
  readonly key: Key;
}

export interface OpenAnswer<Key> {
  /** In the order in which they were asked for. */
  readonly files: readonly OpenedFile<Key>[];
}

/** recover: the same for an auditor, of a release that need not be allowed to serve. */
export interface RecoverRequest {
  /** SHA-256 of plaintexts, each listed in the evidence's manifest. */
  readonly sha256s: readonly Digest[];
  readonly evidence: RecoveryEvidence;
}

/** destroy: takes the release out of its files' holders, and destroys the keys that nobody else holds. */
export interface DestroyRequest {
  readonly release: Digest;
  readonly evidence: RetirementEvidence;
  /** Of this release, for this request, by control or by a release signer. */
  readonly revocation: SignedEnvelope;
}

/** Decided once: every later call for the same request gets the same answer. Files that were never claimed are in neither list. */
export interface DestroyAnswer {
  readonly destroyed: readonly { readonly path: string; readonly sha256: Digest; readonly blob: string }[];
  /** Bytes that other releases hold: their keys stand. */
  readonly kept: readonly { readonly path: string; readonly sha256: Digest; readonly holders: readonly Digest[] }[];
  /** Ciphertext of destroyed keys that was reported as stored. */
  readonly remains: readonly { readonly blob: string; readonly versionId: string; readonly size: number }[];
  readonly destroyedAt: string;
}

/** destroy: where the ciphertext of a release's files lies, of those whose key stands. */
export interface HoldingsRequest {
  readonly release: Digest;
  /** SHA-256 of plaintexts. */
  readonly sha256s: readonly Digest[];
}

export interface HoldingsAnswer {
  readonly blobs: readonly { readonly blob: string; readonly versionId: string }[];
}

/** destroy: from now on no key of the release is destroyed. ERASED: it is too late. */
export interface HoldRequest {
  readonly evidence: HoldEvidence;
}

/** destroy: a quorum has agreed that holds end. */
export interface LiftRequest {
  readonly evidence: LiftEvidence;
}

export interface HoldAnswer {
  readonly release: Digest;
  /** The holds that stand, by the digests of their statements. */
  readonly open: readonly Digest[];
}

/** destroy: whether a blob's key still answers. */
export interface ProbeRequest {
  readonly blob: string;
}

export interface ProbeAnswer {
  readonly refused: boolean;
  readonly answer: string;
}
