import type { Decision, DecisionVerdict } from '../activities/contract.js';
import type { EndpointDecision, LifecycleDecision } from './messages.js';
import type { Refused } from './refused.js';

export type MessageName = LifecycleDecision | EndpointDecision | 'unknown';

export interface Item {
  readonly name: MessageName;
  readonly decision: Decision;
  /** In characters: measured once, because a flood is looked through again and again. */
  readonly size: number;
  verdict: DecisionVerdict | null;
  /** Where it waits to be audited, if it is refused before the log has taken that. */
  readonly refused: Refused;
}

/** Gives each message its verdict, in the same order. */
export function settle(items: readonly Item[], verdicts: readonly DecisionVerdict[]): void {
  items.forEach((item, index) => {
    const verdict = verdicts[index] ?? { accepted: false, code: 'INTERNAL', reason: 'no verdict was given' };
    item.verdict = verdict;
    if (!verdict.accepted && verdict.unnoted === true)
      item.refused.add(item.decision, item.size, `${verdict.code}: ${verdict.reason}`);
  });
}

/** Gives all of them the same refusal. */
export function settleRefused(
  items: readonly Item[],
  refusal: { readonly code: string; readonly reason: string; readonly unnoted?: boolean },
): void {
  settle(
    items,
    items.map(() => ({ accepted: false, ...refusal })),
  );
}
