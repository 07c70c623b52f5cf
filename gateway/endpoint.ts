import type { BreakerLimits } from '../domain/breaker.js';
import type { Digest } from '../domain/digest.js';
import { breachOf, type Breach, type ModelState } from '../domain/gateway.js';
import { isoTime } from '../domain/time.js';
import { Breaker } from './breaker.js';
import { Counters } from './counters.js';
import { announcedBy, NO_ENDINGS, withdrawn, type Endings } from './endings.js';
import { NOBODY, unknownModel, type Refusal } from './refusal.js';
import { ReplicaPool } from './replicas.js';
import type { HeldOrder, HeldRoute } from './state-file.js';

/** One release as the document in force has it. */
export interface Entry {
  readonly endpoint: Endpoint;
  readonly version: string;
  readonly release: Digest;
  readonly weight: number;
  /** It has not served all callers before, and others can be sent to the one that has. */
  readonly underRollout: boolean;
  readonly counters: Counters;
  readonly pool: ReplicaPool;
  readonly breaker: Breaker;
  /** How answers name it: headers and values in turn. */
  readonly names: readonly string[];
  /** The same, and its end where that has been announced: what its own answers bear. */
  says: readonly string[];
}

/** A request under way, which a kill ends. */
export interface Flight {
  abort(refusal: Refusal): void;
  /** Counts it where its answer is late by now. `performance.now()`. */
  look(now: number): void;
}

export interface EndpointEvents {
  /** The release under rollout has failed, for good. */
  readonly breach: () => void;
  /** The breaker of an established release has opened. */
  readonly breaker: (version: string, reason: string) => void;
}

const KEPT_REVISIONS = 16;

/** One model's traffic: the document in force, the orders that stop it, what was counted. Everything here is in memory. */
export class Endpoint {
  readonly model: string;
  readonly flights = new Set<Flight>();
  readonly orders = new Map<Digest, HeldOrder>();
  readonly #pools = new Map<Digest, ReplicaPool>();
  readonly #breakers = new Map<Digest, Breaker>();
  readonly #counters: Counters[] = [];
  readonly #on: EndpointEvents;
  #limits: BreakerLimits | null = null;
  #route: HeldRoute | null = null;
  #breach: Breach | null = null;
  #killed: Refusal | null = null;
  #entries: readonly Entry[] = [];
  #endings = NO_ENDINGS;
  #empty: Refusal | null = null;

  constructor(model: string, on: EndpointEvents) {
    this.model = model;
    this.#on = on;
  }

  get route(): HeldRoute | null {
    return this.#route;
  }

  get breach(): Breach | null {
    return this.#breach;
  }

  /** Serves by this route from now on. A breach stays for as long as the document keeps the release by the same plan. */
  use(route: HeldRoute, breach: Breach | null = this.#breach): void {
    this.#route = route;
    const document = route.inForce;
    const releases = document?.releases ?? [];
    const listed = releases.some(({ release }) => release === breach?.release);
    const isOtherPlan =
      document !== null && document.plan !== null && document.plan.request !== breach?.request
        ? releases[0]?.release === breach?.release
        : false;
    this.#breach = listed && !isOtherPlan ? breach : null;
    const revision = document?.revision ?? 0;
    const limitMs = document?.triggers?.maxLatencyMs ?? Infinity;
    this.#entries = releases.map((entry, index) => ({
      ...entry,
      endpoint: this,
      underRollout: index === 0 && document?.plan != null,
      counters: this.#countersOf({ ...entry, revision }, limitMs),
      pool: this.pool(entry.release),
      breaker: this.#breakerOf(entry.release),
      names: ['x-custody-release', entry.release, 'x-custody-release-version', entry.version],
      says: [],
    }));
    for (const release of this.#breakers.keys())
      if (!releases.some((entry) => entry.release === release)) this.#breakers.delete(release);
    this.announce(this.#endings);
  }

  /** The ends that callers are told of from now on, and no others. */
  announce(endings: Endings): void {
    this.#endings = endings;
    // The entries stay as they are: what is under way goes on counting.
    for (const entry of this.#entries) entry.says = [...entry.names, ...announcedBy(endings.get(entry.release))];
    this.#empty = this.#entries.some(({ weight }) => weight > 0) ? null : this.#nothing();
  }

  /** Takes an order up, or what has become of it; requests under way end when it is one that stops. */
  hold(order: HeldOrder): void {
    this.orders.set(order.order, order);
    const active = this.#activeOrders()[0];
    this.#killed = active === undefined ? null : { status: 503, code: 'KILLED', reason: active.reason };
    if (this.#killed === null) return;
    for (const flight of [...this.flights]) flight.abort(this.#killed);
  }

  pool(release: Digest): ReplicaPool {
    const known = this.#pools.get(release);
    if (known !== undefined) return known;
    const pool = new ReplicaPool();
    this.#pools.set(release, pool);
    return pool;
  }

  /** The breakers of the policy, which `null` has none of. */
  limit(limits: BreakerLimits | null): void {
    this.#limits = limits;
    for (const breaker of this.#breakers.values()) breaker.use(limits);
  }

  /**
   * `point` (0..99) is the caller's place among the weights. The release under rollout comes first, so its callers stay.
   * `preview`: the version that a caller asks for who may; where it is not in preview, or cannot serve, that changes nothing.
   */
  choose(point: number, now: number, revoked: ReadonlySet<Digest>, preview: string | null = null): Entry | Refusal {
    if (this.#killed !== null) return this.#killed;
    if (this.#route === null) return unknownModel(this.model);
    if (this.#empty !== null) return this.#empty;
    const fresh = this.#entries[0];
    const isPreview = fresh?.underRollout === true && fresh.weight === 0 && fresh.version === preview;
    if (isPreview && this.#refusalOf(fresh, now, revoked) === null) return fresh;
    let at = 0;
    for (let left = point; at < this.#entries.length; at += 1) {
      left -= this.#entries[at]?.weight ?? 0;
      if (left < 0) break;
    }
    const entry = this.#entries[at];
    const refusal = this.#refusalOf(entry, now, revoked);
    if (entry !== undefined && refusal === null) return entry;
    // Callers of a release under rollout that must not or cannot serve are better off with the stable one.
    if (entry?.underRollout !== true || this.#entries[1] === undefined) return refusal ?? NOBODY;
    return this.#refusalOf(this.#entries[1], now, revoked) ?? this.#entries[1];
  }

  /** One request's outcome, and the epoch of the breaker that it began in. What follows takes effect before this returns. */
  count(entry: Entry, epoch: number, at: number, ms: number, failed: boolean): void {
    entry.counters.count(ms, failed);
    this.#judge(entry, entry.breaker.count(epoch, at, ms, failed), at);
  }

  /** One that still waits for its answer, longer than it may take: nobody has to wait for its end to know that it is slow. */
  overdue(entry: Entry, at: number, ms: number): void {
    entry.counters.count(ms, false);
    this.#judge(entry, null, at);
  }

  /** The end of one that was counted as overdue. */
  ended(entry: Entry, epoch: number, at: number, ms: number, failed: boolean): void {
    if (failed) entry.counters.brokeOff();
    this.#judge(entry, entry.breaker.count(epoch, at, ms, failed), at);
  }

  brokeOff(entry: Entry, epoch: number, at: number): void {
    entry.counters.brokeOff();
    this.#judge(entry, entry.breaker.brokeOff(epoch, at), at);
  }

  state(now: number): ModelState {
    const document = this.#route?.inForce ?? null;
    return {
      model: this.model,
      revision: this.#route?.head.document.revision ?? 0,
      document: this.#route?.head.digest ?? null,
      serving: document?.releases ?? [],
      plan: document?.plan ?? null,
      triggers: document?.triggers ?? null,
      killedBy: this.#activeOrders().map(({ order, reason }) => ({ order, reason, lifted: false })),
      breach: this.#breach,
      counters: this.#counters.map((counters) => counters.snapshot()),
      breakers: this.#entries.flatMap(({ release, version, breaker: { state } }) =>
        state.kind === 'closed'
          ? []
          : [{ release, version, state: state.kind, reason: state.reason, failedTries: state.failedTries }],
      ),
      replicas: [...this.#pools].flatMap(([release, pool]) =>
        pool.alive(now).map(({ version, host, port, expiresAtMs }) => ({
          release,
          version,
          host,
          port,
          expiresAt: isoTime(expiresAtMs),
        })),
      ),
    };
  }

  #refusalOf(entry: Entry | undefined, now: number, revoked: ReadonlySet<Digest>): Refusal | null {
    if (entry === undefined) return NOBODY;
    const { release, version, pool, breaker } = entry;
    const refuse = (code: Refusal['code'], reason: string): Refusal => ({ status: 503, code, reason });
    if (revoked.has(release)) return refuse('REVOKED', `release ${version} has been revoked`);
    if (this.#breach?.release === release) return refuse('BREACHED', `release ${version}: ${this.#breach.reason}`);
    if (!pool.isAlive(now)) return refuse('NO_REPLICA', `no replica of release ${version} is alive`);
    const waitMs = breaker.waitMs();
    if (waitMs === 0) return null;
    const why = breaker.state.kind === 'closed' ? '' : `: ${breaker.state.reason}`;
    const retryAfterSeconds = Math.ceil(waitMs / 1000);
    return { ...refuse('BREAKER_OPEN', `release ${version} gets no callers for now${why}`), retryAfterSeconds };
  }

  #nothing(): Refusal {
    const { inForce = null, gone = null } = this.#route ?? {};
    if (inForce !== null) return withdrawn(inForce, gone, this.#endings);
    return { status: 503, code: 'NO_REPLICA', reason: `the documents of ${this.model} are still being delivered` };
  }

  /**
   * What a request's outcome means for the release. Under rollout, the triggers and the breaker are one: either ends its part
   * in the plan, for good. Otherwise the breaker opens, and tries again.
   */
  #judge(entry: Entry, trip: string | null, at: number): void {
    const document = this.#route?.inForce;
    if (!entry.underRollout || document?.plan == null) {
      if (trip === null) return;
      const { version, breaker } = entry;
      breaker.open(trip, at);
      this.#on.breaker(version, trip);
      return;
    }
    // What began under an older revision says nothing about this step.
    if (this.#breach !== null || this.#entries[0] !== entry) return;
    const reason = trip ?? (document.triggers === null ? null : breachOf(entry.counters, document.triggers));
    if (reason === null) return;
    const { revision, release } = entry.counters;
    this.#breach = { revision, release, request: document.plan.request, reason, at: isoTime(Date.now()) };
    this.#on.breach();
  }

  #activeOrders(): readonly HeldOrder[] {
    return [...this.orders.values()].filter(({ lifted }) => !lifted);
  }

  #breakerOf(release: Digest): Breaker {
    const breaker = this.#breakers.get(release) ?? new Breaker();
    breaker.use(this.#limits);
    this.#breakers.set(release, breaker);
    return breaker;
  }

  #countersOf(of: { revision: number; release: Digest; version: string }, limitMs: number): Counters {
    const known = this.#counters.find(({ revision, release }) => revision === of.revision && release === of.release);
    if (known !== undefined) return known;
    const fresh = new Counters(of, limitMs);
    this.#counters.push(fresh);
    const oldest = of.revision - KEPT_REVISIONS;
    this.#counters.splice(
      0,
      this.#counters.findIndex(({ revision }) => revision > oldest),
    );
    return fresh;
  }
}
