import { condition, log } from '@temporalio/workflow';
import type { Decision, DecisionVerdict } from '../activities/contract.js';
import type { Inbox } from './inbox.js';
import { failureOf, refusalOf, type Failure } from './failures.js';
import { settle, settleRefused, type Item, type MessageName } from './verdicts.js';
import { control } from './zones.js';

export interface Stray {
  readonly names: readonly MessageName[];
  readonly reason: string;
}

/**
 * Refuses what can never count, audits it in batches and only then answers, at once and whatever the rest of the workflow
 * is busy with. `strays` says what that is at the moment; what nobody has a name for, and what was dropped, always is.
 */
export async function refuseStrays(model: string, inbox: Inbox, strays: () => readonly Stray[]): Promise<never> {
  for (;;) {
    const due = (): Stray | undefined =>
      [{ names: ['unknown' as const], reason: 'no message has this name' }, ...strays()].find(({ names }) =>
        inbox.has(...names),
      );
    await condition(() => due() !== undefined || inbox.overflowed || inbox.refused.any);
    const stray = due();
    if (stray !== undefined) await refuse(model, inbox.take(stray.names), stray.reason, 0);
    if (inbox.overflowed) {
      const { items, count } = inbox.takeOverflow();
      await refuse(model, items, 'the message is too large, or too many are waiting', count);
    }
    if (inbox.refused.any) {
      const batch = inbox.refused.next();
      await audited(model, batch);
      inbox.refused.audited(batch);
    }
  }
}

async function refuse(model: string, items: readonly Item[], reason: string, dropped: number): Promise<void> {
  const decisions = dropped > 0 ? [] : items.map((item) => item.decision);
  await audited(model, { decisions, reason, dropped });
  settleRefused(items, { code: 'POLICY_REFUSED', reason });
}

async function audited(
  model: string,
  refused: { readonly decisions: readonly Decision[]; readonly reason: string; readonly dropped: number },
): Promise<void> {
  try {
    await control.refuse({ model, ...refused });
  } catch (error) {
    // They stay refused; a log that takes no record is control's own alarm.
    const failure = failureOf(error);
    if (failure === null) throw error;
    log.error('refused messages could not be audited', {
      ...failure,
      count: refused.decisions.length + refused.dropped,
    });
  }
}

/** Acts on one message, or copies of it, and gives each its verdict: what the act says, or the refusal it met. */
export async function answering(
  items: readonly Item[],
  act: () => Promise<Omit<Extract<DecisionVerdict, { accepted: true }>, 'accepted'>>,
): Promise<void> {
  try {
    const verdict = { accepted: true, ...(await act()) } as const;
    settle(
      items,
      items.map(() => verdict),
    );
  } catch (error) {
    const failure = failureOf(error);
    if (failure === null) throw error;
    settleRefused(items, failure);
  }
}

export type Rejected = { readonly kind: 'rejected' } & Failure;

/** Why something came to nothing, for whoever looks. */
export const whyOf = (outcome: { readonly kind: string } | Rejected): readonly (readonly [string, string])[] =>
  'code' in outcome ? [['Reason', `${outcome.code}: ${outcome.reason}`]] : [];

/** An act whose refusal (`by`) is how its workflow ends. */
export async function orRejected<O>(
  act: () => Promise<O>,
  by: (error: unknown) => Failure | null = refusalOf,
): Promise<O | Rejected> {
  try {
    return await act();
  } catch (error) {
    const refusal = by(error);
    if (refusal === null) throw error;
    return { kind: 'rejected', ...refusal };
  }
}

/**
 * The same for a message that is carried out once control has admitted it. What control did not admit it has audited itself;
 * what is refused after that is audited here.
 */
export async function carriedOut<A, O>(
  { model, ...decision }: { readonly model: string; readonly message: string; readonly envelope: unknown },
  admit: () => Promise<A>,
  carryOut: (admitted: A) => Promise<O>,
): Promise<O | Rejected> {
  return orRejected(async () => {
    const admitted = await admit();
    try {
      return await carryOut(admitted);
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === null) throw error;
      const reason = `admitted, and then refused: ${refusal.code}: ${refusal.reason}`;
      await control.refuse({ model, decisions: [decision], reason, dropped: 0 });
      throw error;
    }
  });
}

const FIRST_PAUSE_MS = 30_000;
const LONGEST_PAUSE_MS = 600_000;

interface Held {
  /** Told why it cannot go on, and `null` once it can. */
  readonly trouble: (why: string | null) => void;
  /** Waits until `interrupted` or the time is over; answers whether it was interrupted. */
  readonly pause: (ms: number) => Promise<boolean>;
}

/**
 * An act that must come to pass: what keeps it from that (`by`: by default every failure) is shown, and it is tried again.
 * `null` when a pause was interrupted.
 */
export async function insist<T>(
  act: () => Promise<T>,
  held: Held,
  by: (error: unknown) => Failure | null = failureOf,
): Promise<T | null> {
  for (let ms = FIRST_PAUSE_MS; ; ms = Math.min(2 * ms, LONGEST_PAUSE_MS)) {
    try {
      const done = await act();
      held.trouble(null);
      return done;
    } catch (error) {
      const failure = by(error);
      if (failure === null) throw error;
      held.trouble(`${failure.code}: ${failure.reason}`);
    }
    if (await held.pause(ms)) return null;
  }
}
