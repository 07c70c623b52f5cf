import { CustodyError, isPermanent } from '../domain/errors.js';
import { holdsRole } from '../domain/policy.js';
import { overdue, type LastRun } from '../domain/retention.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime } from '../domain/time.js';
import type { Records } from './records.js';

/** How far back a run is looked for: one that is older is as good as none. */
const LOOK_BACK_MS = 30 * 86_400_000;

/** The newest run that control has signed; `null` where there has been none for long. Whatever else lies there is passed over. */
export async function newestRun(records: Records, now: number): Promise<LastRun | null> {
  const keys: string[] = [];
  const startAfter = storeKeys.retention(Math.max(0, now - LOOK_BACK_MS));
  for await (const key of records.bucket.list(storeKeys.retentions, { startAfter })) keys.push(key);
  for (const key of keys.reverse()) {
    try {
      const found = await records.find('retention', key);
      if (found === null) continue;
      const { predicate, signers, digest } = found.verified;
      const { newest } = await records.policies();
      const isOurs =
        signers.some((id) => holdsRole(newest, newest, id, 'control')) &&
        predicate.environment === records.environment &&
        Date.parse(predicate.startedAt) <= now &&
        key === storeKeys.retention(Date.parse(predicate.startedAt));
      if (isOurs) return { ...predicate, statement: digest };
    } catch (error) {
      if (!(error instanceof CustodyError) || !isPermanent(error.code)) throw error;
    }
  }
  return null;
}

/** Since when there has been anything to keep; `null` before that. */
export async function startOfRecords(records: Records): Promise<string | null> {
  return (await records.bucket.read(storeKeys.policy(1)))?.storedAt ?? null;
}

/** The newest run, and what is wrong with the locks, as people are told: what it has found, or that it has not come. */
export async function lockReport(
  records: Records,
): Promise<{ readonly last: LastRun | null; readonly troubles: readonly string[] }> {
  const now = Date.now();
  const last = await newestRun(records, now);
  const late = overdue(last?.startedAt ?? (await startOfRecords(records)) ?? isoTime(now), now);
  const more = last === null ? 0 : last.troubled - last.troubles.length;
  const troubles = [
    ...(late === null ? [] : [late]),
    ...(last?.troubles ?? []),
    ...(more > 0 ? [`and ${more} more`] : []),
  ];
  return { last, troubles };
}
