import {
  ApplicationFailure,
  CancellationScope,
  condition,
  setDefaultSignalHandler,
  setDefaultUpdateHandler,
  setHandler,
} from '@temporalio/workflow';
import type { Decision } from '../activities/contract.js';
import { Refused, type CarriedRefused } from './refused.js';
import type { Item, MessageName } from './verdicts.js';
import { decisionSignal, decisionUpdate, type Receipt } from './messages.js';

/** The messages that a continued run takes over. */
export interface CarriedMessages {
  readonly waiting: readonly Pick<Item, 'name' | 'decision'>[];
  readonly dropped: number;
  readonly refused?: CarriedRefused;
}

const MAX_PAYLOAD_CHARS = 64 * 1024;
/** A hundred of them are relayed at once, and have to fit into one workflow task. */
const MAX_KILL_CHARS = 8 * 1024;
/** Of one name, so that a flood of one never crowds out another: more than Temporal takes of usual ones in one run. */
const MAX_WAITING_CHARS = 16 * 1024 * 1024;
const MAX_CARRIED_CHARS = 768 * 1024;
/** What one activity is given of them: a flood costs few, and none is too large for its payload. */
const MAX_TAKEN_CHARS = 512 * 1024;

/**
 * Where messages wait for whoever acts on them. Handlers only put them here, so that signal and update share one path:
 * verified, audited, and only then answered. What overflows is dropped unread, newest first, counted, and audited too.
 */
export class Inbox {
  /** While it holds and no sender waits, all messages but kills stay where they are: the next run takes them over. */
  rest: () => boolean = () => false;
  readonly refused: Refused;
  private readonly names: readonly Exclude<MessageName, 'unknown'>[];
  private items: Item[];
  private lost: Item[] = [];
  private dropped: number;
  private taken: Item[] = [];
  /** Characters that wait, by name. */
  private readonly waiting = new Map<MessageName, number>();

  constructor(names: readonly Exclude<MessageName, 'unknown'>[], carried?: CarriedMessages) {
    this.names = names;
    this.refused = new Refused(MAX_TAKEN_CHARS, carried?.refused);
    this.items = (carried?.waiting ?? []).map((item) => this.item(item.name, item.decision, sizeOf(item.decision)));
    for (const { name, size } of this.items) this.waiting.set(name, (this.waiting.get(name) ?? 0) + size);
    this.dropped = carried?.dropped ?? 0;
  }

  /** Begins to receive. After every other handler is set: what has none by then counts as unknown. */
  listen(): void {
    for (const name of this.names) {
      setHandler(decisionSignal(name), (envelope) => void this.put(name, envelope));
      setHandler(decisionUpdate(name), (envelope) => this.answered(this.put(name, envelope)), {
        validator: assertShape,
      });
    }
    setDefaultSignalHandler((name, ...args) => this.unknown(name, args[0]));
    setDefaultUpdateHandler((name, ...args) => this.answered(this.put('unknown', args[0], name)));
    // A cancellation carries no signature: it is one more message that nobody can vouch for.
    CancellationScope.current().cancelRequested.catch(() => this.unknown('cancel', null));
  }

  unknown(message: string, payload: unknown): void {
    this.put('unknown', payload, message);
  }

  /** In constant time: it is asked again after every single message of a flood. */
  has(...names: readonly MessageName[]): boolean {
    const resting = this.rest();
    return names.some((name) => (this.waiting.get(name) ?? 0) > 0 && (!resting || name === 'kill'));
  }

  get overflowed(): boolean {
    return this.lost.length + this.dropped > 0 && !this.rest();
  }

  get empty(): boolean {
    return this.items.length + this.lost.length + this.dropped === 0;
  }

  /** Whether all that was taken has its verdict; a kill without one is carried, and relayed once more by the next run. */
  get settled(): boolean {
    return this.taken.every((item) => item.verdict !== null || item.name === 'kill');
  }

  /** Takes the waiting messages of these names, oldest first, at most `limit` and what fits into one activity. */
  take(names: readonly MessageName[], limit = Infinity): Item[] {
    let room = MAX_TAKEN_CHARS;
    const taken = new Set(
      this.items
        .filter((item) => names.includes(item.name))
        .slice(0, limit)
        .filter(({ size }) => (room -= size) >= 0),
    );
    this.items = this.items.filter((item) => !taken.has(item));
    for (const { name, size } of taken) this.waiting.set(name, (this.waiting.get(name) ?? 0) - size);
    return this.hold([...taken]);
  }

  /** Takes what was dropped: senders that wait for an answer, and how many messages it was in all. */
  takeOverflow(): { readonly items: Item[]; readonly count: number } {
    const overflow = { items: this.hold(this.lost), count: this.lost.length + this.dropped };
    this.lost = [];
    this.dropped = 0;
    return overflow;
  }

  /** What the next run takes over, kills first; what would not fit into its input counts as dropped. */
  carry(): CarriedMessages {
    const underWay = this.taken.filter((item) => item.verdict === null);
    const kills = [...underWay, ...this.items].filter((item) => item.name === 'kill');
    const waiting: Pick<Item, 'name' | 'decision'>[] = [];
    let room = MAX_CARRIED_CHARS;
    let dropped = this.dropped + this.lost.length;
    for (const { name, decision, size } of [...kills, ...this.items.filter((item) => item.name !== 'kill')]) {
      room -= size;
      if (room >= 0) waiting.push({ name, decision });
      else dropped += 1;
    }
    const refused = this.refused.carry();
    return { waiting, dropped, ...(refused === null ? {} : { refused }) };
  }

  private hold(items: Item[]): Item[] {
    this.taken = [...this.taken.filter((item) => item.verdict === null), ...items];
    return items;
  }

  private put(name: MessageName, payload: unknown, message: string = name): Item {
    const decision: Decision = { message, envelope: payload ?? null };
    const size = sizeOf(decision);
    const waiting = (this.waiting.get(name) ?? 0) + size;
    const fits = size <= (name === 'kill' ? MAX_KILL_CHARS : MAX_PAYLOAD_CHARS) && waiting <= MAX_WAITING_CHARS;
    const item = this.item(name, fits ? decision : { message, envelope: null }, size);
    (fits ? this.items : this.lost).push(item);
    if (fits) this.waiting.set(name, waiting);
    return item;
  }

  private item(name: MessageName, decision: Decision, size: number): Item {
    return { name, decision, size, verdict: null, refused: this.refused };
  }

  private async answered(item: Item): Promise<Receipt> {
    await CancellationScope.nonCancellable(() => condition(() => item.verdict !== null));
    const verdict = item.verdict;
    if (verdict?.accepted === true) return verdict;
    throw ApplicationFailure.nonRetryable(verdict?.reason ?? 'no verdict', verdict?.code ?? 'INTERNAL');
  }
}

function sizeOf(decision: Decision): number {
  return JSON.stringify(decision).length;
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
