import { CustodyError, isPermanent } from '../domain/errors.js';
import {
  addTallies,
  addTrouble,
  lockFlaw,
  lockToSet,
  NOTHING_YET,
  type LockTally,
  type Need,
} from '../domain/retention.js';
import type { Bucket, ObjectVersion } from './object-store/port.js';

/** So many keys are looked at together. */
const AT_ONCE = 16;

export interface Keep {
  /** Until when a version must stay; `null`: nothing is known that needs it. */
  readonly need: (key: string, version: ObjectVersion) => Need | null;
  /** Sets the store's legal hold, too. */
  readonly hold?: boolean;
  /** Keys of which control itself puts a second version on top. A delete marker is never its own. */
  readonly replaced?: (key: string) => boolean;
}

/**
 * Extends the locks of all versions of some keys as far as each needs it, and says what was wrong with them. A lock is never
 * shortened. What cannot be extended is a trouble; a store that does not answer is an error, and the caller tries again.
 */
export async function keepLocked(bucket: Bucket, keys: readonly string[], keep: Keep): Promise<LockTally> {
  let tally = NOTHING_YET;
  for (let from = 0; from < keys.length; from += AT_ONCE) {
    const some = keys.slice(from, from + AT_ONCE);
    const tallies = await Promise.all(some.map((key) => keepKey(bucket, key, keep)));
    tally = tallies.reduce(addTallies, tally);
  }
  return tally;
}

async function keepKey(bucket: Bucket, key: string, keep: Keep): Promise<LockTally> {
  const all = await bucket.versions(key);
  const versions = all.filter(({ isDeleteMarker }) => !isDeleteMarker);
  let tally = versions.length === 0 ? addTrouble(NOTHING_YET, `${key} is gone`) : NOTHING_YET;
  const isOwn = keep.replaced?.(key) === true && versions.length === all.length;
  if (versions.length > 0 && all.length > 1 && !isOwn)
    tally = addTrouble(tally, `${key} has something on top of it: somebody else than control writes to the store`);
  for (const version of versions) tally = addTallies(tally, await keepVersion(bucket, version, keep));
  return tally;
}

async function keepVersion(bucket: Bucket, version: ObjectVersion, { need, hold }: Keep): Promise<LockTally> {
  const { key, versionId } = version;
  const now = Date.now();
  const needed = need(key, version);
  if (needed === null || needed.until <= now) return NOTHING_YET;
  const head = await bucket.head(key, versionId);
  if (head === null) return addTrouble(NOTHING_YET, `${key} is gone`);
  const flaw = lockFlaw(head, needed, now);
  let tally: LockTally = { ...NOTHING_YET, checked: 1 };
  if (flaw !== null) tally = addTrouble(tally, `${key} ${flaw}`);
  const until = lockToSet(head, needed);
  try {
    if (until !== null) await bucket.extendLock(key, versionId, { retainUntil: until });
    if (hold === true && !head.legalHold) await bucket.setLegalHold(key, versionId, true);
  } catch (error) {
    if (!(error instanceof CustodyError) || !isPermanent(error.code)) throw error;
    return addTrouble(tally, `${key}: its lock cannot be extended: ${error.code}: ${error.message}`);
  }
  const ends = until ?? head.lock?.retainUntil ?? null;
  return { ...tally, extended: until === null ? 0 : 1, earliest: needed.slack > 0 ? ends : null };
}

/** Where a pass stands: what has been done, and the last key of it. */
export interface Cursor {
  readonly at: number;
  readonly after: string | null;
  readonly tally: LockTally;
}

export const AT_THE_START: Cursor = { at: 0, after: null, tally: NOTHING_YET };

export interface Stretch {
  readonly prefix: string;
  readonly startAfter?: string;
}

/**
 * Goes through stretches of a bucket in order, from where an earlier attempt has come to, in bounded memory however much there
 * is. `reached` is told after each part: what is repeated after a crash does nothing twice.
 */
export async function walk(
  stretches: readonly Stretch[],
  { bucket, from, signal, part = AT_ONCE * 4 }: { bucket: Bucket; from: Cursor; signal: AbortSignal; part?: number },
  act: (keys: readonly string[]) => Promise<LockTally>,
  reached: (cursor: Cursor) => void,
): Promise<LockTally> {
  let { tally } = from;
  for (const [at, { prefix, startAfter }] of stretches.entries()) {
    if (at < from.at) continue;
    const after = (at === from.at ? from.after : null) ?? startAfter;
    let keys: string[] = [];
    const flush = async (): Promise<void> => {
      signal.throwIfAborted();
      tally = addTallies(tally, await act(keys));
      reached({ at, after: keys.at(-1) ?? null, tally });
      keys = [];
    };
    for await (const key of bucket.list(prefix, after === undefined ? {} : { startAfter: after })) {
      keys.push(key);
      if (keys.length >= part) await flush();
    }
    if (keys.length > 0) await flush();
  }
  return tally;
}
