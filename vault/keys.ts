/** Bytes of the key that encrypts a blob. */
export const KEY_BYTES = 32;

/** Where the keys of blobs are, one a blob. What may be done with them is the ledger's to know. */
export interface KeyStore {
  /** The key of a blob, made where there is none: it outlasts a power failure before it is answered. */
  make(blob: string): Promise<Buffer>;
  /** `null` when it is not there. */
  read(blob: string): Promise<Buffer | null>;
  /** Answers only once nothing is left of it. A key that is not there is destroyed already. */
  destroy(blob: string): Promise<void>;
  /** Whether anything is left of a key, usable or not. */
  holds(blob: string): Promise<boolean>;
  /** The blobs of which anything is left. */
  blobs(): Promise<readonly string[]>;
}
