import { isDigest, type Digest } from '../domain/digest.js';
import { leadsNowhere } from '../domain/errors.js';
import { authoriseHold, authoriseLift, namedHolds, type HeldRelease, type HoldPredicate } from '../domain/hold.js';
import type { LiftEvidence } from '../domain/evidence.js';
import type { Verified } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { verifyLift } from '../formats/evidence.js';
import { keyRing, verifyStatement } from '../formats/statements.js';
import type { StoredObject } from './object-store/port.js';
import type { Records } from './records.js';

/** What a record of a lift leads to. */
export interface LiftReference {
  readonly request: Digest;
  readonly approvals: readonly Digest[];
}

/**
 * The holds of a release that stand. Whoever gave one may have lost the right, or the key, since: it stands all the same, until
 * a quorum lifts it. What somebody else puts there counts for nothing.
 */
export async function openHolds(records: Records, about: HeldRelease): Promise<readonly Verified<HoldPredicate>[]> {
  const open: Verified<HoldPredicate>[] = [];
  for await (const key of records.bucket.list(storeKeys.holdsOf(about.release))) {
    const stored = await records.bucket.read(key);
    const hold = stored === null ? null : await genuine(records, about, stored);
    if (hold === null || key !== storeKeys.hold(about.release, hold.digest)) continue;
    if (!(await isLifted(records, about, hold.digest))) open.push(hold);
  }
  return open;
}

/** Under the newest policy that would let it count. */
async function genuine(
  records: Records,
  about: HeldRelease,
  { body, storedAt }: StoredObject,
): Promise<Verified<HoldPredicate> | null> {
  const { chain } = await records.policies();
  for (const policy of [...chain].reverse()) {
    const rules = { environment: records.environment, gate: policy, newest: policy, now: records.now() };
    const hold = await unlessRefused(async () =>
      verifyStatement(body.toString('utf8'), 'hold', keyRing(policy), storedAt),
    );
    if (hold !== null && authoriseHold(about, hold, rules).allowed) return hold;
  }
  return null;
}

/** Whether a quorum of people who still may has ended it. */
export async function isLifted(records: Records, about: HeldRelease, hold: Digest): Promise<boolean> {
  for await (const key of records.bucket.list(storeKeys.liftsOf(about.release, hold))) {
    const lifted = await unlessRefused(async () => {
      const reference = await records.record(key);
      if (!isReference(reference)) return false;
      const evidence = await gatherLift(records, about.release, reference);
      const { lift, rules } = verifyLift(evidence, records.root, records.now());
      return authoriseLift(lift, rules).allowed && namedHolds(lift.request.predicate).includes(hold);
    });
    if (lifted === true) return true;
  }
  return false;
}

export async function gatherLift(
  records: Records,
  release: Digest,
  { request, approvals }: LiftReference,
): Promise<LiftEvidence> {
  const [{ envelopes: policies }, manifest, asked, ...agreed] = await Promise.all([
    records.policies(),
    records.getBytes(release, storeKeys.manifest),
    records.get('request', request),
    ...approvals.map((digest) => records.get('approval', digest)),
  ]);
  return {
    policies,
    manifest: manifest.toString('utf8'),
    request: asked.envelope,
    approvals: agreed.map(({ envelope }) => envelope),
  };
}

function isReference(value: unknown): value is LiftReference {
  if (typeof value !== 'object' || value === null || !('request' in value) || !('approvals' in value)) return false;
  return isDigest(value.request) && Array.isArray(value.approvals) && value.approvals.every(isDigest);
}

async function unlessRefused<T>(check: () => Promise<T>): Promise<T | null> {
  try {
    return await check();
  } catch (error) {
    if (leadsNowhere(error)) return null;
    throw error;
  }
}
