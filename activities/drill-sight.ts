import { setTimeout as delay } from 'node:timers/promises';
import { WorkflowUpdateFailedError, type Client } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { Caller, CallerSight } from '../adapters/gateway/caller.js';
import type { Digest } from '../domain/digest.js';
import type { DrillMeasured, DrillStep } from '../domain/drill.js';
import { endpointId } from '../domain/names.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { envelopeDigest } from '../formats/dsse.js';

/** Callers are asked so often until they see that an order has taken effect. */
const LOOK_MS = 5;

export type Sight = (answer: CallerSight | null) => boolean;

export const servedBy =
  (release: Digest): Sight =>
  (answer) =>
    answer !== null && answer.release === release && answer.status < 500;

export const isKilled: Sight = (answer) => answer?.status === 503 && answer.code === 'KILLED';

export function told(answer: CallerSight | null): string {
  if (answer === null) return 'does not answer';
  const { status, code, release } = answer;
  return `answers ${status}${code === null ? '' : ` ${code}`}${release === null ? '' : `, by ${release.slice(0, 12)}`}`;
}

/** When the caller of one gateway first saw it; and what it saw last, where it did not in time. */
export interface Seen {
  readonly at: number | null;
  readonly last: CallerSight | null;
}

/** Asks until it is there, or the time is over. */
export async function until(caller: Caller, model: string, isThere: Sight, signal: AbortSignal): Promise<Seen> {
  let last: CallerSight | null = null;
  while (!signal.aborted) {
    last = await caller.ask(model);
    if (isThere(last)) return { at: performance.now(), last };
    // An abort ends the wait, and so the loop.
    await delay(LOOK_MS, null, { signal }).catch(() => null);
  }
  return { at: null, last };
}

/** What the callers of all gateways saw: the last of them counts. */
export function measured(refusal: string | null, seen: readonly Seen[], since: number): DrillMeasured {
  if (refusal !== null) return { ms: null, trouble: refusal };
  const blind = seen.findIndex(({ at }) => at === null);
  if (blind >= 0)
    return { ms: null, trouble: `it had no effect: gateway ${blind + 1} ${told(seen[blind]?.last ?? null)}` };
  return { ms: Math.ceil(Math.max(...seen.map(({ at }) => at ?? 0)) - since), trouble: null };
}

/** Gives the endpoint an order as an update, as people do; why it was refused, or `null`. The same order again is the same update. */
export async function tell(
  temporal: Client,
  model: string,
  step: DrillStep,
  order: SignedEnvelope,
  withinMs: number,
): Promise<string | null> {
  try {
    const handle = temporal.workflow.getHandle(endpointId(model));
    const options = { args: [order] as [SignedEnvelope], updateId: envelopeDigest(order) };
    await temporal.withDeadline(Date.now() + withinMs, () =>
      handle.executeUpdate<unknown, [SignedEnvelope]>(step, options),
    );
    return null;
  } catch (error) {
    if (!(error instanceof WorkflowUpdateFailedError) || !(error.cause instanceof ApplicationFailure)) throw error;
    return `${error.cause.type ?? 'INTERNAL'}: ${error.cause.message}`;
  }
}
