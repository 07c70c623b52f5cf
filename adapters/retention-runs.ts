import { overdue, type LastRun } from '../domain/retention.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime } from '../domain/time.js';
import type { Records } from './records.js';
import { newestRun } from './runs.js';

/** How far back a run is looked for: one that is older is as good as none. */
const LOOK_BACK_MS = 30 * 86_400_000;

/** The newest run that control has signed; `null` where there has been none for long. */
export function newestExtension(records: Records, now: number): Promise<LastRun | null> {
  return newestRun(records, 'retention', { now, lookBackMs: LOOK_BACK_MS });
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
  const last = await newestExtension(records, now);
  const late = overdue(last?.startedAt ?? (await startOfRecords(records)) ?? isoTime(now), now);
  const more = last === null ? 0 : last.troubled - last.troubles.length;
  const troubles = [
    ...(late === null ? [] : [late]),
    ...(last?.troubles ?? []),
    ...(more > 0 ? [`and ${more} more`] : []),
  ];
  return { last, troubles };
}
