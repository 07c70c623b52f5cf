import { isHeld, overdueDrill, type DrillPredicate, type DrillRules, type LastDrill } from '../domain/drill.js';
import { storeKeys } from '../domain/store-keys.js';
import type { PolicyChain, Records } from './records.js';
import { newestRun } from './runs.js';

const DAY_MS = 86_400_000;

export interface DrillReport {
  /** What the policy says of drills; `null`: nothing. */
  readonly rules: DrillRules | null;
  readonly last: LastDrill | null;
  /** The newest one that has shown how long it takes. */
  readonly held: LastDrill | null;
  readonly troubles: readonly string[];
  /** That no drill has been held for too long. */
  readonly overdue: string | null;
}

/** The last drills, and what is wrong with them, as people are told until one has shown that it is not any more. */
export async function drillReport(records: Records, now = Date.now()): Promise<DrillReport> {
  const policies = await records.policies();
  const rules = policies.newest.drills ?? null;
  if (rules === null) return { rules, last: null, held: null, troubles: [], overdue: null };
  const lookBackMs = 2 * rules.everySeconds * 1000 + 30 * DAY_MS;
  const ofThis = ({ model }: { readonly model: string }): boolean => model === rules.model;
  const newest = (counts: (run: DrillPredicate) => boolean): Promise<LastDrill | null> =>
    newestRun(records, 'drill', { now, lookBackMs, counts: (run) => ofThis(run) && counts(run) });
  const last = await newest(() => true);
  // One that was put off says nothing of what the one before it has shown.
  const told = last?.outcome !== 'postponed' ? last : await newest(({ outcome }) => outcome !== 'postponed');
  const held = told === null || isHeld(told) ? told : await newest(isHeld);
  const declared = await declaredSince(records, policies, rules);
  const since = [declared, ...(held === null ? [] : [held.startedAt])].sort().at(-1) ?? declared;
  const overdue = overdueDrill(rules, since, now);
  const isWrong = told?.outcome === 'over' || told?.outcome === 'failed';
  const wrong = isWrong ? [`the drill of ${told.startedAt} ${said(told)}`] : [];
  return { rules, last, held, troubles: [...(overdue === null ? [] : [overdue]), ...wrong], overdue };
}

export function said({ outcome, reason }: Pick<LastDrill, 'outcome' | 'reason'>): string {
  const how = {
    within: 'kept the agreed times',
    over: 'took longer than agreed',
    failed: 'failed',
    postponed: 'was put off',
  }[outcome];
  return `${how}: ${reason}`;
}

/** Since when the policy has demanded these drills so often: nobody has to have held one before. */
async function declaredSince(
  records: Records,
  { chain }: PolicyChain,
  { model, everySeconds }: DrillRules,
): Promise<string> {
  let first = chain.length;
  for (; first > 1; first -= 1) {
    const before = chain[first - 2]?.drills;
    if (before?.model !== model || before.everySeconds !== everySeconds) break;
  }
  // By the store's clock, which nobody sets back.
  return (await records.bucket.read(storeKeys.policy(first)))?.storedAt ?? new Date(0).toISOString();
}
