import type { Readable } from 'node:stream';
import type { Digest } from '../../domain/digest.js';

/** A lock that nobody, the store's administrator included, can shorten: S3 Object Lock in COMPLIANCE mode. */
export interface Lock {
  /** ISO 8601, UTC. */
  readonly retainUntil: string;
}

export interface ObjectVersion {
  readonly key: string;
  /** `null` in an unversioned bucket. */
  readonly versionId: string | null;
  readonly etag: string;
  readonly size: number;
  readonly isDeleteMarker: boolean;
  /** ISO 8601, UTC. */
  readonly lastModified: string;
}

export interface ObjectHead {
  readonly versionId: string | null;
  readonly etag: string;
  readonly size: number;
  readonly lock: (Lock & { readonly mode: 'COMPLIANCE' | 'GOVERNANCE' }) | null;
  readonly legalHold: boolean;
}

export interface StoredObject {
  readonly body: Buffer;
  readonly versionId: string | null;
  readonly etag: string;
  /** When the store took it, by the store's own clock. ISO 8601, UTC. */
  readonly storedAt: string;
}

export interface UploadOptions {
  readonly lock?: Lock;
  /** Its reason is what the upload rejects with. */
  readonly signal?: AbortSignal;
  /** Called with the bytes that the store has acknowledged so far. */
  readonly onProgress?: (bytes: number) => void;
}

/** What a streamed upload has stored, read back from the store. */
export interface StoredBlob {
  readonly key: string;
  readonly versionId: string | null;
  readonly sha256: Digest;
  readonly size: number;
}

/**
 * One bucket, as Custody uses it. The *oldest* version of a key is the record: create-once is `If-None-Match: *`,
 * which on some stores succeeds again after a delete marker, so readers never ask for "the latest".
 * Absent keys are `null`; a store that cannot be reached is `STORE_UNAVAILABLE`.
 */
export interface Bucket {
  readonly name: string;

  /**
   * Creates a small object (up to 8 MiB) that did not exist, locked when `lock` is given: the lock is read back from the
   * HEAD of that very version, and added when the store had not set it. Where the key exists with the same bytes, answers
   * `created: false` (after making sure of the lock); with other bytes it throws `STORE_CONFLICT` with details
   * `{ key, expected, found }` (SHA-256 of both).
   */
  createOnce(key: string, body: Buffer, lock?: Lock): Promise<{ created: boolean; versionId: string | null }>;

  /**
   * Replaces an object only while its ETag is `ifMatch` (`null`: only while it does not exist). Answers the new ETag, or
   * `null` when somebody else was first. For unversioned, unlocked buckets.
   */
  compareAndSet(key: string, body: Buffer, ifMatch: string | null): Promise<{ etag: string } | null>;

  /** The record under `key`: its oldest version that is not a delete marker. `null` when there is none. */
  read(key: string): Promise<StoredObject | null>;

  /** The bytes of a given version, streamed; `versionId: null` means the oldest. */
  readStream(key: string, versionId: string | null): Promise<Readable>;

  head(key: string, versionId: string | null): Promise<ObjectHead | null>;

  /**
   * Uploads a stream of unknown length under a new random key, locked when `lock` is given, in bounded memory: multipart
   * by hand, lock headers on Create, `If-None-Match: *` on Complete. Succeeds only after a HEAD of that version shows size
   * and lock, and a read-back has the same SHA-256.
   */
  upload(key: string, body: AsyncIterable<Buffer>, options: UploadOptions): Promise<StoredBlob>;

  /** Extends (never shortens) the lock of one version, and reads it back. */
  extendLock(key: string, versionId: string | null, lock: Lock): Promise<void>;

  setLegalHold(key: string, versionId: string | null, on: boolean): Promise<void>;

  /** Keys under a prefix in code-point order, each once, delete-marked ones included; `startAfter` is exclusive. */
  list(prefix: string, options?: { startAfter?: string; limit?: number }): AsyncIterable<string>;

  /** All versions and delete markers of exactly this key, oldest first. */
  versions(key: string): Promise<ObjectVersion[]>;

  /** The same of many keys of one folder, in a few requests. Keys of which there is nothing are left out. */
  versionsOf(keys: readonly string[]): Promise<ReadonlyMap<string, readonly ObjectVersion[]>>;
}
