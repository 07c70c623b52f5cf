import type { Decision } from '../activities/contract.js';

interface Waiting {
  readonly decision: Decision;
  readonly size: number;
  readonly reason: string;
}

/** What the next run takes over. */
export interface CarriedRefused {
  readonly waiting: readonly Waiting[];
  readonly dropped: number;
}

interface Batch {
  readonly decisions: readonly Decision[];
  readonly reason: string;
  readonly dropped: number;
}

const MORE = 'there was no room to keep them';

/**
 * Messages that were refused, and whose refusal the log did not take at once: it is told them again, one batch after another,
 * and nothing waits for that. Of a flood those that do not fit are only counted.
 */
export class Refused {
  private waiting: Waiting[];
  private dropped: number;
  private chars: number;
  private readonly room: number;

  constructor(room: number, carried?: CarriedRefused) {
    this.room = room;
    this.waiting = [...(carried?.waiting ?? [])];
    this.dropped = carried?.dropped ?? 0;
    this.chars = this.waiting.reduce((sum, { size }) => sum + size, 0);
  }

  add(decision: Decision, size: number, reason: string): void {
    if (this.chars + size > this.room) this.dropped += 1;
    else {
      this.waiting.push({ decision, size, reason });
      this.chars += size;
    }
  }

  get any(): boolean {
    return this.waiting.length + this.dropped > 0;
  }

  /** Those that were refused for the same reason: until they have been audited they are carried. */
  next(): Batch {
    const reason = this.waiting[0]?.reason ?? MORE;
    const decisions = this.waiting.filter((each) => each.reason === reason).map(({ decision }) => decision);
    return { decisions, reason, dropped: this.dropped };
  }

  audited({ decisions, dropped }: Batch): void {
    this.waiting = this.waiting.filter(({ decision }) => !decisions.includes(decision));
    this.chars = this.waiting.reduce((sum, { size }) => sum + size, 0);
    this.dropped -= dropped;
  }

  carry(): CarriedRefused | null {
    return this.any ? { waiting: this.waiting, dropped: this.dropped } : null;
  }
}
