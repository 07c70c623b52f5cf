import type { AuditRecord, Change } from './audit.js';
import type { Digest } from './digest.js';

/** What a record in the log says, and where: `index` counts from 0. */
export interface Logged {
  readonly index: number;
  readonly record: AuditRecord;
}

/** Something that was so, by the record with this index. */
export interface Fact {
  readonly digest: Digest;
  readonly index: number;
}

export interface ReleaseState {
  readonly version: string;
  /** By the last record that named it. */
  readonly release: Fact | null;
  readonly lastChange: Change;
  readonly index: number;
}

/** What one model was after a record. */
export interface ModelState {
  /** The routing document in force. */
  readonly route: Fact | null;
  /** The orders that stop it, in the order of their times. */
  readonly killedBy: readonly Fact[];
  /** In the order of their names. */
  readonly releases: readonly ReleaseState[];
}

/** What a model was at a time, by the log alone: its facts follow from the records that they name. */
export interface StateAt extends ModelState {
  readonly model: string;
  readonly at: string;
  readonly policy: Fact | null;
}

/** What remains of a record that changes a state: of the policy where `model` is empty. */
export interface StateEvent {
  readonly model: string;
  readonly index: number;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly change: Change;
  readonly version: string | null;
  readonly release: Digest | null;
  readonly before: Digest | null;
  readonly after: Digest | null;
}

/** Changes that tell about a release without changing it, or of an endpoint, whatever release they name. */
const CHANGES_NO_RELEASE: ReadonlySet<Change> = new Set([
  'endpoint.killed',
  'endpoint.restored',
  'message.refused',
  'load.refused',
  'service.breached',
  'alert.raised',
  'release.held',
  'release.unheld',
  'log.read',
  'log.rotated',
  'training.ended',
  'rollout.judged',
  'retirement.reminded',
  'retirement.acknowledged',
  'retirement.waived',
  'retirement.scanned',
]);
const CHANGES_TRAFFIC: ReadonlySet<Change> = new Set(['route.changed', 'endpoint.killed', 'endpoint.restored']);

const NOTHING: ModelState = { route: null, killedBy: [], releases: [] };

/** `null`: the record changes no state. */
export function stateEvent({ index, record }: Logged): StateEvent | null {
  const { change, subject, before, after } = record;
  const isPolicy = change === 'policy.applied';
  const version = CHANGES_NO_RELEASE.has(change) ? null : subject.version;
  if (!isPolicy && (subject.model === '' || (version === null && !CHANGES_TRAFFIC.has(change)))) return null;
  const model = isPolicy ? '' : subject.model;
  const { release } = subject;
  return { model, index, time: Date.parse(record.time), change, version, release, before, after };
}

/** The indexes of the records that a state follows from. */
export function groundsOf({ route, killedBy, releases, policy }: StateAt): readonly number[] {
  const facts = [route, policy, ...killedBy, ...releases, ...releases.map(({ release }) => release)];
  return [...new Set(facts.flatMap((fact) => (fact === null ? [] : [fact.index])))].sort((a, b) => a - b);
}

/** Events of an earlier time, kept somewhere: those of a model come in the order in which they count. */
export interface StateSource {
  /** Records of the log that they were made of. */
  readonly size: number;
  readonly models: Iterable<string>;
  eventsOf(model: string): readonly StateEvent[];
  /** Whether a record of this id is among them. */
  has(id: string): boolean;
}

const EMPTY: StateSource = { size: 0, models: [], eventsOf: () => [], has: () => false };

/**
 * Every state that a log tells of. Records are added in log order, and an id's first occurrence counts. What lowers exposure acts
 * first and is logged after, so the order that counts is that of the times; the log's where they are equal.
 */
export class StateIndex {
  readonly #earlier: StateSource;
  readonly #ids = new Set<string>();
  readonly #timelines = new Map<string, Timeline>();
  #size: number;

  constructor(earlier: StateSource = EMPTY) {
    this.#earlier = earlier;
    this.#size = earlier.size;
    for (const model of earlier.models) this.#timelines.set(model, new Timeline(() => earlier.eventsOf(model)));
  }

  static of(records: Iterable<Logged>): StateIndex {
    const index = new StateIndex();
    for (const logged of records) index.add(logged);
    return index;
  }

  /** Records of the log that it was made of. */
  get size(): number {
    return this.#size;
  }

  /** Ids since the earlier index that this one goes on from. */
  get ids(): ReadonlySet<string> {
    return this.#ids;
  }

  get models(): Iterable<string> {
    return this.#timelines.keys();
  }

  eventsOf(model: string): readonly StateEvent[] {
    return this.#timelines.get(model)?.events ?? [];
  }

  add(logged: Logged): void {
    this.#size = logged.index + 1;
    const { id } = logged.record;
    if (this.#ids.has(id) || this.#earlier.has(id)) return;
    this.#ids.add(id);
    const event = stateEvent(logged);
    if (event === null) return;
    const timeline = this.#timelines.get(event.model) ?? new Timeline(() => []);
    this.#timelines.set(event.model, timeline);
    timeline.add(event);
  }

  at(model: string, at: string): StateAt {
    const time = Date.parse(at);
    return stateOf(model, at, this.#policyAt(time), this.#timelines.get(model)?.at(time) ?? NOTHING);
  }

  /** Every model that there was by then. */
  fleetAt(at: string): readonly StateAt[] {
    const time = Date.parse(at);
    const policy = this.#policyAt(time);
    const fleet: StateAt[] = [];
    for (const [model, timeline] of this.#timelines) {
      const state = model === '' ? NOTHING : timeline.at(time);
      if (state !== NOTHING) fleet.push(stateOf(model, at, policy, state));
    }
    return fleet;
  }

  #policyAt(time: number): Fact | null {
    return this.#timelines.get('')?.at(time).route ?? null;
  }
}

// Member by member: spreading takes longer than all the rest of an answer.
function stateOf(model: string, at: string, policy: Fact | null, { route, killedBy, releases }: ModelState): StateAt {
  return { model, at, policy, route, killedBy, releases };
}

/** One model's events in the order in which they count, and what it was after each. */
class Timeline {
  readonly #load: () => readonly StateEvent[];
  #events: StateEvent[] | null = null;
  /** Of the events: what is searched lies close together. */
  #times: number[] = [];
  /** After each event; shorter where nobody has asked yet. */
  readonly #states: ModelState[] = [];

  constructor(load: () => readonly StateEvent[]) {
    this.#load = load;
  }

  get events(): StateEvent[] {
    if (this.#events !== null) return this.#events;
    this.#events = [...this.#load()];
    this.#times = this.#events.map(({ time }) => time);
    return this.#events;
  }

  add(event: StateEvent): void {
    const { events } = this;
    let at = events.length;
    for (let before = events[at - 1]; before !== undefined && comesAfter(before, event); before = events[at - 1])
      at -= 1;
    events.splice(at, 0, event);
    this.#times.splice(at, 0, event.time);
    this.#states.length = Math.min(this.#states.length, at);
  }

  at(time: number): ModelState {
    const { events } = this;
    const times = this.#times;
    let from = 0;
    let to = times.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if ((times[middle] ?? Infinity) <= time) from = middle + 1;
      else to = middle;
    }
    const states = this.#states;
    if (states.length < from)
      for (const event of events.slice(states.length, from)) states.push(after(states.at(-1), event));
    return states[from - 1] ?? NOTHING;
  }
}

function comesAfter(one: StateEvent, other: StateEvent): boolean {
  return one.time > other.time || (one.time === other.time && one.index > other.index);
}

function after(state: ModelState = NOTHING, event: StateEvent): ModelState {
  const { change, index, version } = event;
  const fact = event.after === null ? null : { digest: event.after, index };
  const traffic = { route: state.route, killedBy: state.killedBy };
  // One without a document changes nothing: what was in force before still is.
  if ((change === 'route.changed' || change === 'policy.applied') && fact !== null) traffic.route = fact;
  if (change === 'endpoint.killed' && fact !== null) traffic.killedBy = [...without(state.killedBy, event.after), fact];
  if (change === 'endpoint.restored') traffic.killedBy = without(state.killedBy, event.before);
  return { ...traffic, releases: version === null ? state.releases : withRelease(state.releases, version, event) };
}

function without(orders: readonly Fact[], order: Digest | null): readonly Fact[] {
  return orders.filter(({ digest }) => digest !== order);
}

function withRelease(
  releases: readonly ReleaseState[],
  version: string,
  { change, index, release }: StateEvent,
): readonly ReleaseState[] {
  const known = releases.find((each) => each.version === version);
  const named = release === null ? (known?.release ?? null) : { digest: release, index };
  const changed = { version, release: named, lastChange: change, index };
  if (known !== undefined) return releases.map((each) => (each === known ? changed : each));
  return [...releases, changed].sort((a, b) => (a.version < b.version ? -1 : 1));
}
