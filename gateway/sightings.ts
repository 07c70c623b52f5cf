import type { SeenCaller, SeenOfModel } from '../domain/gateway.js';
import { CALLER_KINDS, type CallerKind } from '../domain/inventory.js';
import { isoTime } from '../domain/time.js';

/** Who calls, as far as it is known. `id` is empty for one that says nothing of itself. */
export interface Caller {
  readonly kind: CallerKind;
  readonly id: string;
}

/** Names that nobody vouches for, of one model: whoever makes up more than that only raises a count. */
const MAX_NAMES = 1000;
const MINUTE_MS = 60_000;

interface Sighting {
  readonly id: string;
  readonly kind: CallerKind;
  readonly firstSeen: number;
  lastSeen: number;
  requests: number;
  refused: number;
  /** Requests of the minute that `lastSeen` lies in, and of the one before. */
  current: number;
  previous: number;
}

/** Who has called one model: declared consumers all, others up to a bound. */
export class Sightings {
  readonly model: string;
  readonly #byKind: Readonly<Record<CallerKind, Map<string, Sighting>>> = {
    declared: new Map(),
    undeclared: new Map(),
    unknown: new Map(),
    anonymous: new Map(),
  };
  #overflow = { requests: 0, refused: 0 };

  constructor(model: string, before?: SeenOfModel) {
    this.model = model;
    if (before === undefined) return;
    this.#overflow = { ...before.overflow };
    for (const { id, kind, firstSeen, lastSeen, requests, refused } of before.callers)
      this.#byKind[kind].set(id, {
        ...{ id, kind, requests, refused, current: 0, previous: 0 },
        firstSeen: Date.parse(firstSeen),
        lastSeen: Date.parse(lastSeen),
      });
  }

  /** Answers whether it was new. */
  count({ kind, id }: Caller, wasRefused: boolean, now: number): boolean {
    const known = this.#byKind[kind];
    const held = known.get(id);
    if (held === undefined && kind === 'unknown' && known.size >= MAX_NAMES) {
      this.#overflow.requests += 1;
      if (wasRefused) this.#overflow.refused += 1;
      return false;
    }
    const seen = held ?? { id, kind, firstSeen: now, lastSeen: now, requests: 0, refused: 0, current: 0, previous: 0 };
    if (held === undefined) known.set(id, seen);
    const minutes = Math.floor(now / MINUTE_MS) - Math.floor(seen.lastSeen / MINUTE_MS);
    if (minutes > 0) {
      seen.previous = minutes === 1 ? seen.current : 0;
      seen.current = 0;
    }
    seen.lastSeen = now;
    seen.requests += 1;
    seen.current += 1;
    if (wasRefused) seen.refused += 1;
    return held === undefined;
  }

  report(now: number): SeenOfModel {
    const all = CALLER_KINDS.flatMap((kind) => [...this.#byKind[kind].values()]);
    return { model: this.model, callers: all.map((seen) => told(seen, now)), overflow: { ...this.#overflow } };
  }
}

function told(
  { id, kind, firstSeen, lastSeen, requests, refused, current, previous }: Sighting,
  now: number,
): SeenCaller {
  const minutes = Math.floor(now / MINUTE_MS) - Math.floor(lastSeen / MINUTE_MS);
  const [before, during] = minutes === 0 ? [previous, current] : [minutes === 1 ? current : 0, 0];
  // Of the minute that ends now: what is left of the one before counts in proportion.
  const left = 1 - (now % MINUTE_MS) / MINUTE_MS;
  const perSecond = Math.round(((before * left + during) / 60) * 1000) / 1000;
  return { id, kind, firstSeen: isoTime(firstSeen), lastSeen: isoTime(lastSeen), requests, refused, perSecond };
}
