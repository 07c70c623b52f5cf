import { condition } from '@temporalio/workflow';
import type { Approved, OpenGate } from '../domain/lifecycle.js';
import { control } from './zones.js';
import { settle, type Inbox } from './inbox.js';

export type GateOutcome =
  | { readonly kind: 'approved'; readonly approved: Approved }
  | { readonly kind: 'rejected'; readonly by: string; readonly reason: string }
  | { readonly kind: 'expired' };

/**
 * Waits for people until the request expires: decisions are verified in batches, each sender gets the verdict on its own.
 * What arrived before the gate opened is looked at now, and counts only if it names this very request.
 */
export async function awaitGate(
  inbox: Inbox,
  gate: OpenGate,
  act: 'deploy' | 'restore' | 'retire',
  interrupted: () => boolean = () => false,
): Promise<GateOutcome | { readonly kind: 'interrupted' }> {
  let counted: readonly string[] = [];
  for (;;) {
    const left = Date.parse(gate.expiresAt) - Date.now();
    const arrived = left > 0 && (await condition(() => inbox.has('approve', 'reject') || interrupted(), left));
    if (!arrived) return { kind: 'expired' };
    if (interrupted()) return { kind: 'interrupted' };
    const batch = inbox.take(['approve', 'reject']);
    const answer = await control.decide({ gate, act, counted, decisions: batch.map((item) => item.decision) });
    settle(batch, answer.verdicts);
    const accepted = answer.verdicts.flatMap((verdict) => (verdict.accepted ? [verdict.statement] : []));
    counted = [...new Set([...counted, ...accepted])];
    if (answer.outcome.kind !== 'pending') return answer.outcome;
  }
}
