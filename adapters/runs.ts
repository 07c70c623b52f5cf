import type { Digest } from '../domain/digest.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import { holdsRole } from '../domain/policy.js';
import type { PredicateOf } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import type { Records } from './records.js';

/** What schedules run, each run with a signed statement of control under the time at which it began. */
type Scheduled = 'retention' | 'drill';

const PLACES = {
  retention: { prefix: storeKeys.retentions, key: storeKeys.retention },
  drill: { prefix: storeKeys.drills, key: storeKeys.drill },
} as const;

/** The newest run that control has signed, not older than `lookBackMs`; `null` where there is none. Whatever else lies there is passed over. */
export async function newestRun<K extends Scheduled>(
  records: Records,
  kind: K,
  {
    now,
    lookBackMs,
    counts = () => true,
  }: {
    readonly now: number;
    readonly lookBackMs: number;
    readonly counts?: (run: PredicateOf[K]) => boolean;
  },
): Promise<(PredicateOf[K] & { readonly statement: Digest }) | null> {
  const { prefix, key: keyOf } = PLACES[kind];
  const keys: string[] = [];
  const startAfter = keyOf(Math.max(0, now - lookBackMs));
  for await (const key of records.bucket.list(prefix, { startAfter })) keys.push(key);
  for (const key of keys.reverse()) {
    try {
      const found = await records.find(kind, key);
      if (found === null) continue;
      const { predicate, signers, digest } = found.verified;
      const { newest } = await records.policies();
      const isOurs =
        signers.some((id) => holdsRole(newest, newest, id, 'control')) &&
        predicate.environment === records.environment &&
        Date.parse(predicate.startedAt) <= now &&
        key === keyOf(Date.parse(predicate.startedAt));
      if (isOurs && counts(predicate)) return { ...predicate, statement: digest };
    } catch (error) {
      if (!(error instanceof CustodyError) || !isPermanent(error.code)) throw error;
    }
  }
  return null;
}
