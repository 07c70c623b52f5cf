import type { Act, Counted } from '../activities/contract.js';
import type { Digest } from '../domain/digest.js';
import type { OpenGate } from '../domain/lifecycle.js';
import type { Inbox } from './inbox.js';
import type { LifecycleRun } from './run.js';
import { failureOf } from './failures.js';
import { settle, settleRefused } from './verdicts.js';
import { control } from './zones.js';

export type GateOutcome = Exclude<Counted['outcome'], { readonly kind: 'pending' }> | { readonly kind: 'expired' };

/** An open gate and what has counted for it so far: a continued run goes on from here. */
export interface Counting {
  readonly act: Act;
  readonly gate: OpenGate;
  readonly counted: readonly Digest[];
  /** How many more people it needs. */
  readonly missing: number;
}

export function opened(act: Counting['act'], gate: OpenGate): Counting {
  return { act, gate, counted: [], missing: gate.count };
}

/** Waits until something has arrived; `false` when the time ran out first. */
export type Until = (arrived: () => boolean, ms: number, summary: string) => Promise<boolean>;

/**
 * Waits for people until the request expires: decisions are verified in batches, each sender gets the verdict on its own.
 * What arrived before the gate opened is looked at now, and counts only if it names this very request.
 */
export async function awaitGate(
  inbox: Inbox,
  from: Counting,
  until: Until,
  progressed: (counting: Counting) => void,
): Promise<GateOutcome> {
  const { act, gate } = from;
  const names = act === 'override' ? (['override'] as const) : (['approve', 'reject'] as const);
  let { counted } = from;
  // Of what a drill restores: the policy has agreed to it beforehand, and gateways ask that themselves.
  if (act === 'restore' && gate.count === 0 && Date.parse(gate.expiresAt) > Date.now())
    return { kind: 'approved', approved: { request: gate.request, approvals: [], approvers: [] } };
  for (;;) {
    const left = Date.parse(gate.expiresAt) - Date.now();
    const summary = `request ${gate.requestId} is open`;
    // Whatever is wrong with the time, the gate stays shut.
    if (!(left > 0) || !(await until(() => inbox.has(...names), left, summary))) return { kind: 'expired' };
    const batch = inbox.take(names);
    try {
      const decisions = batch.map((item) => item.decision);
      const { verdicts, outcome } = await control.decide({ gate, act, counted, decisions });
      settle(batch, verdicts);
      if (outcome.kind !== 'pending') return outcome;
      const accepted = verdicts.flatMap((verdict) => (verdict.accepted ? [verdict.statement] : []));
      counted = [...new Set([...counted, ...accepted])];
      progressed({ act, gate, counted, missing: outcome.missing });
    } catch (error) {
      const failure = failureOf(error);
      if (failure === null) throw error;
      settleRefused(batch, failure);
    }
  }
}

/** Waits at a gate of a lifecycle, or goes on with it where an earlier run has left it. */
export async function passGate(run: LifecycleRun, act: Act, gate: OpenGate): Promise<GateOutcome> {
  const from = run.counting?.act === act ? run.counting : opened(act, gate);
  run.count(from);
  const outcome = await awaitGate(run.inbox, from, run.until.bind(run), (counting) => run.count(counting));
  run.count(null);
  return outcome;
}
