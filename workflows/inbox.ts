import { ApplicationFailure, setDefaultSignalHandler, setHandler } from '@temporalio/workflow';
import { condition } from '@temporalio/workflow';
import type { Decision, DecisionVerdict } from '../activities/contract.js';
import {
  decisionSignal,
  decisionUpdate,
  type EndpointDecision,
  type LifecycleDecision,
  type Receipt,
} from './messages.js';

type Name = LifecycleDecision | EndpointDecision | 'unknown';

interface Item {
  readonly name: Name;
  readonly decision: Decision;
  verdict: DecisionVerdict | null;
}

const MAX_PAYLOAD_CHARS = 64 * 1024;
const MAX_WAITING = 1_000;

/**
 * Where messages wait for the main loop. Handlers only put them here, so that signal and update share one path: verified,
 * audited, and only then answered. What overflows is dropped unread, newest first, and counted.
 */
export class Inbox {
  private items: Item[] = [];
  private overflow = 0;

  constructor(names: readonly Exclude<Name, 'unknown'>[]) {
    for (const name of names) {
      setHandler(decisionSignal(name), (envelope) => void this.put(name, envelope));
      setHandler(decisionUpdate(name), (envelope) => this.answered(this.put(name, envelope)), {
        validator: (envelope) => assertShape(envelope),
      });
    }
    setDefaultSignalHandler((name, ...args) => void this.put('unknown', args[0] ?? null, name));
  }

  has(...names: readonly Name[]): boolean {
    return this.items.some((item) => names.includes(item.name));
  }

  /** Takes the waiting messages of these names, oldest first, at most `limit`. */
  take(names: readonly Name[], limit = 20): Item[] {
    const taken = this.items.filter((item) => names.includes(item.name)).slice(0, limit);
    this.items = this.items.filter((item) => !taken.includes(item));
    return taken;
  }

  get dropped(): number {
    return this.overflow;
  }

  private put(name: Name, envelope: unknown, message: string = name): Item {
    const fits = this.items.length < MAX_WAITING && JSON.stringify(envelope ?? null).length <= MAX_PAYLOAD_CHARS;
    const item: Item = { name, decision: { message, envelope: fits ? envelope : null }, verdict: null };
    if (fits) this.items.push(item);
    else {
      this.overflow += 1;
      item.verdict = {
        accepted: false,
        code: 'MALFORMED',
        reason: 'the message is too large, or too many are waiting',
      };
    }
    return item;
  }

  private async answered(item: Item): Promise<Receipt> {
    await condition(() => item.verdict !== null);
    const verdict = item.verdict;
    if (verdict?.accepted === true) return verdict;
    throw ApplicationFailure.nonRetryable(verdict?.reason ?? 'no verdict', verdict?.code ?? 'INTERNAL');
  }
}

/** Gives each message its verdict, in the same order. */
export function settle(
  items: readonly { verdict: DecisionVerdict | null }[],
  verdicts: readonly DecisionVerdict[],
): void {
  items.forEach((item, index) => {
    item.verdict = verdicts[index] ?? { accepted: false, code: 'INTERNAL', reason: 'no verdict was given' };
  });
}

// A rejected update leaves no trace, so only what cannot be a message at all is rejected here.
function assertShape(envelope: unknown): void {
  const shaped = typeof envelope === 'object' && envelope !== null && 'payload' in envelope && 'signatures' in envelope;
  if (!shaped || JSON.stringify(envelope).length > MAX_PAYLOAD_CHARS)
    throw ApplicationFailure.nonRetryable(
      'expected a DSSE envelope {payloadType, payload, signatures} under 64 KiB',
      'MALFORMED',
    );
}
