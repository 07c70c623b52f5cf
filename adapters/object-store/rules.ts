import type { Digest } from '../../domain/digest.js';
import { CustodyError } from '../../domain/errors.js';
import { isoTime, MAX_SKEW_MS } from '../../domain/time.js';
import type { Lock, ObjectHead, ObjectVersion } from './port.js';

/** What every store must answer alike, real or in memory. */

/** What is created once, or read as a whole. */
const MAX_SMALL_BYTES = 8 * 1024 * 1024;

export function assertSmall(key: string, body: Buffer): void {
  if (body.length > MAX_SMALL_BYTES)
    throw new CustodyError('INTERNAL', `${key} has ${body.length} bytes: more than ${MAX_SMALL_BYTES} is uploaded`);
}

/** MALFORMED before more than that is held: whoever can write to the store must not be able to fill our memory. */
export function assertReadable(what: string, bytes: number): void {
  if (bytes > MAX_SMALL_BYTES)
    throw new CustodyError('MALFORMED', `${what} is larger than ${MAX_SMALL_BYTES} bytes: nothing of ours is`);
}

/** Stores keep retention to the second: rounded up, so that what is read back is never earlier than what was asked. */
export function retentionTime(lock: Lock): string {
  const at = Date.parse(lock.retainUntil);
  if (Number.isNaN(at)) throw new CustodyError('INTERNAL', `${lock.retainUntil} is no time to lock an object until`);
  return isoTime(Math.ceil(at / 1000) * 1000);
}

/** True when nobody can remove the version before the lock that was asked for ends. */
export function isLocked(head: ObjectHead, lock: Lock): boolean {
  return head.lock?.mode === 'COMPLIANCE' && Date.parse(head.lock.retainUntil) >= Date.parse(retentionTime(lock));
}

/** The record among a key's versions: the oldest that is not a delete marker. */
export function recordOf(versions: readonly ObjectVersion[]): ObjectVersion | null {
  return versions.find((version) => !version.isDeleteMarker) ?? null;
}

/**
 * Why what a version of a key holds is not bound to it any more, for what is going to rest on it unread; `null` where it is:
 * it is the record, of that size, and nobody can have removed it, or will soon.
 */
export function bindingFlaw(
  head: ObjectHead | null,
  versions: readonly ObjectVersion[],
  { versionId, size }: { readonly versionId: string; readonly size: number },
  now: number,
): string | null {
  if (head === null) return 'is not there any more';
  if (recordOf(versions)?.versionId !== versionId) return 'is not the first one that was stored under its key';
  if (head.versionId !== versionId || head.size !== size) return `has ${head.size} bytes, and ${size} were stored`;
  if (head.lock?.mode !== 'COMPLIANCE') return 'is not locked';
  return Date.parse(head.lock.retainUntil) > now + MAX_SKEW_MS
    ? null
    : `is locked until ${head.lock.retainUntil}, which is over or about to be`;
}

export function conflict(key: string, expected: Digest, found: Digest): CustodyError {
  return new CustodyError(
    'STORE_CONFLICT',
    `${key} exists with other bytes: expected sha256 ${expected}, found ${found}`,
    {
      details: { key, expected, found },
    },
  );
}

/** UTF-8 order, which is code-point order: JavaScript's own comparison is by UTF-16 unit. */
export function compareKeys(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
