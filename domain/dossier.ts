import type { Digest } from './digest.js';

/** One file of a dossier; `stored` where it is an object of the store: under which key, and since when by the store's clock. */
export interface DossierFile {
  readonly path: string;
  readonly size: number;
  readonly sha256: Digest;
  readonly stored: { readonly key: string; readonly at: string } | null;
}

/**
 * What an auditor vouches for who has made a dossier of a release: every file of it but this statement. Subject: the digest of
 * its `evidence.json`.
 */
export interface DossierPredicate {
  readonly environment: string;
  readonly model: string;
  readonly version: string;
  /** `null` where the release never came so far as to have one. */
  readonly release: Digest | null;
  /** The log that the records in it are proved by. */
  readonly log: { readonly origin: string; readonly size: number; readonly root: Digest };
  readonly files: readonly DossierFile[];
  /** The moment that everything in it was judged at. */
  readonly issuedAt: string;
}
