import type { Digest } from '../domain/digest.js';
import { breachOf, type Breach, type ModelState } from '../domain/gateway.js';
import type { RoutingDocument } from '../domain/routing.js';
import { isoTime } from '../domain/time.js';
import { Counters } from './counters.js';
import { ReplicaPool, type Replica } from './replicas.js';
import type { HeldOrder, HeldRoute } from './state-file.js';

/** Why a caller gets no answer from a release. */
export interface Refusal {
  readonly status: 401 | 403 | 404 | 410 | 413 | 502 | 503;
  readonly code:
    | 'UNKNOWN_CALLER'
    | 'NOT_A_CONSUMER'
    | 'UNKNOWN_MODEL'
    | 'KILLED'
    | 'STATUS_STALE'
    | 'WITHDRAWN'
    | 'NO_REPLICA'
    | 'BREACHED'
    | 'REVOKED'
    | 'TOO_LARGE'
    | 'UPSTREAM_FAILED';
  readonly reason: string;
}

export interface Entry {
  readonly version: string;
  readonly release: Digest;
  readonly weight: number;
  readonly counters: Counters;
  readonly pool: ReplicaPool;
}

/** Where one request goes: to one replica of one release. */
export interface Choice {
  readonly entry: Entry;
  readonly replica: Replica;
}

/** A request under way, which a kill ends. */
export interface Flight {
  abort(refusal: Refusal): void;
}

const KEPT_REVISIONS = 16;

/** One model's traffic: the document in force, the orders that stop it, what was counted. Everything here is in memory. */
export class Endpoint {
  readonly model: string;
  readonly flights = new Set<Flight>();
  readonly orders = new Map<Digest, HeldOrder>();
  readonly #pools = new Map<Digest, ReplicaPool>();
  readonly #counters: Counters[] = [];
  readonly #onBreach: () => void;
  #route: HeldRoute | null = null;
  #breach: Breach | null = null;
  #killed: Refusal | null = null;
  #entries: readonly Entry[] = [];
  #empty: Refusal | null = null;

  constructor(model: string, onBreach: () => void) {
    this.model = model;
    this.#onBreach = onBreach;
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
    this.#entries = releases.map((entry) => ({
      ...entry,
      counters: this.#countersOf({ ...entry, revision }, limitMs),
      pool: this.pool(entry.release),
    }));
    this.#empty = releases.some(({ weight }) => weight > 0) ? null : this.#nothing(document);
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

  /** `point` (0..99) is the caller's place among the weights. The release under rollout comes first, so its callers stay. */
  choose(point: number, now: number, revoked: ReadonlySet<Digest>): Choice | Refusal {
    if (this.#killed !== null) return this.#killed;
    if (this.#route === null)
      return { status: 404, code: 'UNKNOWN_MODEL', reason: `no model ${this.model} is served here` };
    if (this.#empty !== null) return this.#empty;
    let passed = 0;
    const at = this.#entries.findIndex(({ weight }) => point < (passed += weight));
    const chosen = this.#serveFrom(this.#entries[at], now, revoked);
    const inRollout = at === 0 && this.#route.inForce?.plan !== null && this.#entries.length > 1;
    // Callers of a release under rollout that must not or cannot serve are better off with the stable one.
    return 'status' in chosen && inRollout ? this.#serveFrom(this.#entries[1], now, revoked) : chosen;
  }

  /** One request's outcome. A breach of the triggers takes effect before this returns. */
  count({ counters }: Entry, ms: number, failed: boolean): void {
    counters.count(ms, failed);
    this.#judge(counters);
  }

  brokeOff({ counters }: Entry): void {
    counters.brokeOff();
    this.#judge(counters);
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

  #serveFrom(entry: Entry | undefined, now: number, revoked: ReadonlySet<Digest>): Choice | Refusal {
    if (entry === undefined)
      return { status: 503, code: 'NO_REPLICA', reason: 'no release serves this share of callers' };
    const { release, version, pool } = entry;
    if (revoked.has(release)) return { status: 503, code: 'REVOKED', reason: `release ${version} has been revoked` };
    if (this.#breach?.release === release)
      return { status: 503, code: 'BREACHED', reason: `release ${version}: ${this.#breach.reason}` };
    const replica = pool.pick(now);
    if (replica !== null) return { entry, replica };
    return { status: 503, code: 'NO_REPLICA', reason: `no replica of release ${version} is alive` };
  }

  #nothing(document: RoutingDocument | null): Refusal {
    if (document === null)
      return { status: 503, code: 'NO_REPLICA', reason: `the documents of ${this.model} are still being delivered` };
    const reason = `revision ${document.revision} of ${this.model} serves nothing, by ${document.change}`;
    return { status: 410, code: 'WITHDRAWN', reason };
  }

  #judge(counters: Counters): void {
    const document = this.#route?.inForce;
    if (document?.plan == null || document.triggers === null || this.#breach !== null) return;
    // What began under an older revision says nothing about this step.
    if (this.#entries[0]?.counters !== counters) return;
    const reason = breachOf(counters, document.triggers);
    if (reason === null) return;
    const { revision, release } = counters;
    this.#breach = { revision, release, request: document.plan.request, reason, at: isoTime(Date.now()) };
    this.#onBreach();
  }

  #activeOrders(): readonly HeldOrder[] {
    return [...this.orders.values()].filter(({ lifted }) => !lifted);
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
