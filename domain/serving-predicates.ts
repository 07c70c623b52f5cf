import type { Digest } from './digest.js';
import type { Retiring } from './ending-predicates.js';

/** What is revoked or killed, signed by control and short-lived: "not revoked" must be fresh. */
export interface StatusPredicate {
  readonly environment: string;
  /** Milliseconds since the epoch when it was made: only goes up. */
  readonly version: number;
  readonly issuedAt: string;
  readonly expiresAt: string;
  readonly revoked: readonly Digest[];
  readonly kills: readonly { readonly model: string; readonly order: Digest }[];
  /** Releases whose end has been announced, and of each model the last one that has ended. Without it, there is none. */
  readonly retiring?: readonly Retiring[];
}

/** Serving says where a release that it has verified is running. Subject: the release. */
export interface ReplicaPredicate {
  readonly environment: string;
  readonly model: string;
  readonly version: string;
  /** Loopback or host address of the model server. */
  readonly host: string;
  readonly port: number;
  readonly issuedAt: string;
  readonly expiresAt: string;
}

/** Something a zone refused or saw outside any workflow. Subject: the release. */
export interface IncidentPredicate {
  readonly environment: string;
  readonly model: string;
  readonly version: string;
  readonly kind: 'load.refused';
  readonly nonce: string;
  readonly reason: string;
  readonly issuedAt: string;
}
