import type { Digest } from '../../domain/digest.js';
import type { ReleaseEvidence } from '../../domain/evidence.js';
import type { SignedEnvelope } from '../../domain/statements.js';
import type { OpenedFile } from '../../domain/vault.js';
import type { SigningKey } from '../../formats/keys.js';
import type { TlsFiles } from '../../formats/tls.js';
import type { Records } from '../records.js';
import type { RelayAddress } from './relay.js';

/** The key vault, as the one zone sees it that may open keys of a signed release that is not revoked. */
export interface KeyOpener {
  open(sha256s: readonly Digest[], evidence: ReleaseEvidence): Promise<readonly OpenedFile<Buffer>[]>;
}

/** One gateway, as a serving host sees it. */
export interface ReplicaReceiver {
  /** It is on this host, and reaches the model servers on loopback. */
  readonly isHere: boolean;
  deliverReplica(envelope: SignedEnvelope): Promise<unknown>;
}

/** Structured log in the manner of pino. */
export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Who the model servers run as: never the user of this process. */
export interface ModelUser {
  readonly uid: number;
  readonly gid: number;
}

export interface ServingDeps {
  readonly records: Records;
  readonly vault: KeyOpener;
  readonly gateways: readonly ReplicaReceiver[];
  /** Where gateways of other hosts reach the model servers; `null`: there are none. */
  readonly relay: (RelayAddress & { readonly tls: TlsFiles }) | null;
  /** Hands a signed incident to control; answers once it is in the audit log for good. */
  readonly report: (incident: SignedEnvelope) => Promise<unknown>;
  readonly key: SigningKey;
  /**
   * Folder for what must outlive this process, which it shares with no other. Where model servers run as another user, that
   * user must be able to come through the folders above it.
   */
  readonly state: string;
  /** `null`: model servers run as the user of this process. */
  readonly modelUser: ModelUser | null;
  readonly log: Log;
}
