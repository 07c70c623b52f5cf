import { authoriseRoute, bakedAt } from '../domain/authorise-route.js';
import type { BreakerLimits } from '../domain/breaker.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { RouteDelivery } from '../domain/evidence.js';
import type { GatewayState, KillLatched, RouteAdmitted } from '../domain/gateway.js';
import { holdsRole, type Role } from '../domain/policy.js';
import { isLoopback } from '../domain/replica.js';
import { lastServed, lowersExposure, type RoutingDocument } from '../domain/routing.js';
import type { SignedEnvelope, Verified } from '../domain/statements.js';
import { isoTime, outsideValidity } from '../domain/time.js';
import { parseEnvelope } from '../formats/dsse.js';
import { readKillOrder } from '../formats/kill-order.js';
import { demand } from '../formats/evidence.js';
import type { PinnedRoot } from '../formats/policy.js';
import { Callers } from './callers.js';
import type { DurableFile } from './durable-file.js';
import type { Endpoint, Entry } from './endpoint.js';
import { Endpoints } from './endpoints.js';
import { lifts } from './orders.js';
import { unknownModel, type Refusal } from './refusal.js';
import { HeldStatus } from './status.js';
import { readState, stateFile, type Durable, type HeldRoute } from './state-file.js';
import { Trust } from '../formats/trust.js';

export interface GatewayDeps {
  readonly environment: string;
  readonly root: PinnedRoot;
  /** The folder of the state file. */
  readonly state: string;
  /** What went wrong outside any request, or happened by itself. */
  readonly report: (error: unknown, what: string) => void;
  /** Whether a model server at this address can be spoken with. */
  readonly reaches: (host: string) => boolean;
}

const STALE: Refusal = { status: 503, code: 'STATUS_STALE', reason: 'there is no fresh status document' };

/**
 * What this gateway has been told and has verified itself. What lowers exposure takes effect first and is written then;
 * what raises it is written first. Both are on disk before they are answered.
 */
export class Gateway {
  readonly #deps: GatewayDeps;
  readonly #trust: Trust;
  readonly #file: DurableFile;
  /** Who calls, and who may. */
  readonly callers: Callers;
  readonly #endpoints: Endpoints;
  /** Documents that are being written, by model: not in force before they are on disk. */
  readonly #pending = new Map<string, HeldRoute>();
  readonly #status: HeldStatus;
  #draining = false;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(deps: GatewayDeps) {
    this.#deps = deps;
    const before = readState(deps.state);
    this.#file = stateFile(deps.state, () => this.#snapshot());
    this.#trust = new Trust(deps.root, before.policies, before.policySince);
    this.#endpoints = new Endpoints({ report: deps.report, saveSoon: (what) => this.#saveSoon(what) });
    this.callers = new Callers({ ...deps, isServed: (model) => this.#endpoints.find(model) !== undefined });
    if (this.#trust.version !== null) this.callers.follow(this.#trust.policies);
    this.#endpoints.limit(this.#breakerLimits());
    this.#endpoints.restore(before);
    this.#status = new HeldStatus(before.revoked);
    if (before.status !== null) this.#takeStatus(before.status);
  }

  /** Where a caller's request goes. Cheap: one look-up, and no allocation but that of a refusal. */
  choose(model: string, point: number, now: number, preview: string | null = null): Entry | Refusal {
    const endpoint = this.#endpoints.find(model);
    if (endpoint === undefined) return unknownModel(model);
    const choice = endpoint.choose(point, now, this.#status.revoked, preview);
    // A kill or a withdrawal says more than the age of the status document does.
    if ('status' in choice && (choice.code === 'KILLED' || choice.status !== 503)) return choice;
    return this.#mayServe(now) ? choice : STALE;
  }

  /** Looks at the requests under way: one whose answer is late counts before that has come, if it ever does. */
  lookAtWaiting(): void {
    const now = performance.now();
    for (const { flights } of this.#endpoints.all()) for (const flight of flights) flight.look(now);
  }

  /** From now on it is not ready for more callers; those it has are served on. */
  drain(): void {
    this.#draining = true;
  }

  get isDraining(): boolean {
    return this.#draining;
  }

  /** Why no callers should be sent here; `null` when they should. */
  unready(): string | null {
    if (this.#draining) return 'it is being stopped';
    if (this.#trust.version === null) return 'it has no policy yet';
    return this.#mayServe(Date.now()) ? null : STALE.reason;
  }

  async admitPolicies(envelopes: readonly unknown[]): Promise<{ readonly policyVersion: number | null }> {
    if (this.#trust.offer(envelopes, isoTime(Date.now()))) {
      this.callers.follow(this.#trust.policies);
      this.#endpoints.limit(this.#breakerLimits());
      await this.#file.save();
    }
    return { policyVersion: this.#trust.version };
  }

  /** Admits one document, in order and one at a time. REPLAYED with the gateway's revision where another one is due. */
  admitRoute(delivery: RouteDelivery): Promise<RouteAdmitted> {
    const turn = this.#turn.then(() => this.#admit(delivery));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** Stops a model; written before it is answered. EXPIRED and REPLAYED (for one that was lifted) change nothing. */
  async latchKill(envelope: unknown): Promise<KillLatched> {
    const { digest, predicate } = readKillOrder(envelope, this.#trust.newest, this.#deps.environment);
    const { model, nonce, reason, issuedAt, expiresAt } = predicate;
    const orders = [...(this.#endpoints.find(model)?.orders.values() ?? [])];
    const known = orders.find((held) => held.order === digest || held.nonce === nonce);
    const listed = lifts(this.#endpoints.find(model)?.route?.head.document, digest, expiresAt);
    if (known?.lifted === true || listed)
      throw new CustodyError('REPLAYED', 'this order was lifted by a quorum: it changes nothing any more');
    const now = isoTime(Date.now());
    const outside = outsideValidity({ issuedAt, expiresAt }, now);
    if (known === undefined && outside !== null)
      throw new CustodyError('EXPIRED', `the order is ${outside}: it changes nothing`);
    const order = known?.order ?? digest;
    const held = known?.envelope ?? parseEnvelope(envelope);
    const since = known?.since ?? now;
    this.#endpoints.open(model).hold({ order, model, reason, nonce, expiresAt, lifted: false, envelope: held, since });
    await this.#file.save();
    return { model, order, since };
  }

  /** Takes a newer status document; kills it lists are latched. The same one again changes nothing. */
  async admitStatus(envelope: unknown): Promise<{ readonly statusVersion: number }> {
    const status = this.#trust.verify('status', envelope);
    const { version, environment, kills } = status.predicate;
    this.#demandRole(status, 'control', 'issue the status document');
    if (environment !== this.#deps.environment)
      throw new CustodyError('REPLAYED', `the status document is for environment ${environment}`);
    if (!this.#status.isNews(status)) return { statusVersion: version };
    const since = isoTime(Date.now());
    for (const { model, order } of kills) {
      const endpoint = this.#endpoints.open(model);
      if (endpoint.orders.has(order) || lifts(endpoint.route?.head.document, order, null)) continue;
      const reason = `stopped by the order ${order}`;
      endpoint.hold({ order, model, reason, nonce: null, expiresAt: null, lifted: false, envelope: null, since });
    }
    this.#takeStatus(status);
    this.#endpoints.forgetOrders();
    await this.#file.save();
    return { statusVersion: version };
  }

  /** Adds or renews a replica, until its statement expires; one that holds for no time at all says that it is gone. */
  admitReplica(envelope: unknown): { readonly release: Digest } {
    const replica = this.#trust.verify('replica', envelope);
    const { environment, model, version, host, port, issuedAt, expiresAt } = replica.predicate;
    this.#demandRole(replica, 'serving', 'announce replicas');
    if (environment !== this.#deps.environment)
      throw new CustodyError('REPLAYED', `the replica is for environment ${environment}`);
    const now = Date.now();
    const isGone = issuedAt === expiresAt;
    const outside = outsideValidity(replica.predicate, isoTime(now));
    if (outside !== null && !(isGone && outside === 'expired'))
      throw new CustodyError('EXPIRED', `the replica's statement is ${outside}`);
    if (!this.#deps.reaches(host)) throw new CustodyError('CONFIG_INVALID', `no certificate to reach ${host} with`);
    const pool = this.#endpoints.open(model).pool(replica.subject);
    const origin = `${isLoopback(host) ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
    const [issuedAtMs, expiresAtMs] = [Date.parse(issuedAt), isGone ? 0 : Date.parse(expiresAt)];
    pool.add({ version, host, port, origin, issuedAtMs, expiresAtMs }, now);
    return { release: replica.subject };
  }

  /** The orders that stop something here, as they came. */
  stoppedBy(): readonly SignedEnvelope[] {
    return this.#endpoints.stoppedBy();
  }

  state(): GatewayState {
    const now = Date.now();
    return {
      environment: this.#deps.environment,
      policyVersion: this.#trust.version,
      statusVersion: this.#status.version,
      consumers: this.callers.consumers,
      fresh: this.#status.isFresh(now),
      models: this.#endpoints.all().map((endpoint) => endpoint.state(now)),
    };
  }

  /** Waits for what is being written. */
  async close(): Promise<void> {
    await this.#turn;
    await Promise.all([this.#file.save(), this.callers.close()]);
  }

  async #admit(delivery: RouteDelivery): Promise<RouteAdmitted> {
    const { policies, document, isNewest } = delivery;
    await this.admitPolicies(policies);
    const next = this.#trust.verify('route', document);
    const { model, revision, change, releases } = next.predicate;
    const endpoint = this.#endpoints.find(model);
    const route = endpoint?.route ?? null;
    const current = route?.head ?? null;
    if (current?.digest === next.digest) {
      // It may be in force and not yet on disk, where that could not be written.
      if (lowersExposure(change)) await this.#file.save();
      return { model, revision, document: next.digest };
    }
    const due = (current?.document.revision ?? 0) + 1;
    if (revision !== due)
      throw new CustodyError('REPLAYED', `revision ${revision} of ${model} was delivered, ${due} is due`, {
        details: { revision: due - 1 },
      });

    const now = isoTime(Date.now());
    const { routed, rules } = this.#trust.routeCase(delivery, { current, next, baked: route?.baked ?? null }, now);
    const baked = bakedAt(routed, demand(authoriseRoute(routed, rules)), rules, route?.inForce ?? null);
    if (isNewest && endpoint !== undefined) this.#refuseBreached(endpoint, next.predicate);
    const target = releases[0];
    if (isNewest && change === 'plan' && target !== undefined) {
      if ((endpoint?.pool(target.release).alive(Date.parse(now)).length ?? 0) === 0)
        throw new CustodyError('PENDING', `no replica of ${model} ${target.version} is alive yet`);
    }
    // A document that is only being caught up with adds no exposure: the one in force stays, until the newest has come.
    const takesForce = isNewest || lowersExposure(change);
    const inForce = takesForce ? next.predicate : (route?.inForce ?? null);
    const gone = lastServed(route?.gone ?? null, current?.document ?? null, next.predicate);
    await this.#put(model, { head: { digest: next.digest, document: next.predicate }, inForce, baked, gone });
    return { model, revision, document: next.digest };
  }

  #refuseBreached({ breach, route }: Endpoint, { change, plan }: RoutingDocument): void {
    if (breach === null) return;
    const goesOn = change === 'promote' || (change === 'plan' && plan?.request === breach.request);
    if (goesOn && route?.inForce?.plan?.request === breach.request)
      throw new CustodyError('POLICY_REFUSED', `the rollout has failed here: ${breach.reason}`);
  }

  async #put(model: string, route: HeldRoute): Promise<void> {
    const endpoint = this.#endpoints.open(model);
    // A full disk keeps no caller at a release that was taken back.
    if (lowersExposure(route.head.document.change)) endpoint.use(route);
    this.#pending.set(model, route);
    try {
      await this.#file.save();
    } finally {
      this.#pending.delete(model);
    }
    endpoint.use(route);
    this.#endpoints.lift(endpoint);
  }

  #takeStatus(status: NonNullable<Durable['status']>): void {
    this.#status.take(status, this.#trust.newest);
    this.#endpoints.announce(this.#status.retiring);
  }

  #mayServe(now: number): boolean {
    return this.#status.mayServe(now, () => this.#trust.newest);
  }

  #demandRole({ signers }: Verified<unknown>, role: Role, what: string): void {
    const { newest } = this.#trust;
    if (!signers.some((id) => holdsRole(newest, newest, id, role)))
      throw new CustodyError('NOT_AUTHORISED', `${signers.join(', ')} may not ${what}`);
  }

  #breakerLimits(): BreakerLimits | null {
    return this.#trust.version === null ? null : (this.#trust.newest.rollout.breaker ?? null);
  }

  #saveSoon(what: string): void {
    this.#file.save().catch((error: unknown) => this.#deps.report(error, `${what} could not be written`));
  }

  #snapshot(): Durable {
    const { envelopes: policies, since: policySince } = this.#trust;
    return { policies, policySince, ...this.#status.durable(), ...this.#endpoints.durable(this.#pending) };
  }
}
