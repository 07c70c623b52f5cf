/** A SHA-256 in 64 lower-case hex digits. */
export type Digest = string;

const DIGEST = /^[0-9a-f]{64}$/;

export function isDigest(value: unknown): value is Digest {
  return typeof value === 'string' && DIGEST.test(value);
}

/** The form people read: enough to tell two apart on a screen, never used to decide. */
export function shortDigest(digest: Digest): string {
  return digest.slice(0, 12);
}
