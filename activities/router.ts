import type { GatewayClient } from '../adapters/gateway/client.js';
import { nameOf } from '../adapters/dossier.js';
import { gatherProvisional } from '../adapters/provisions.js';
import type { Found, PolicyChain, Records } from '../adapters/records.js';
import { authoriseRoute } from '../domain/authorise-route.js';
import type { Digest } from '../domain/digest.js';
import type { EndpointPosition, Proceeding, ReleaseReference, RoutedPosition, Unnoted } from '../domain/endpoint.js';
import { CustodyError } from '../domain/errors.js';
import { NOT_PROVISIONAL, type ProceedEvidence, type RouteDelivery } from '../domain/evidence.js';
import { endpointId } from '../domain/names.js';
import { lowersExposure, type RouteIntent, type RoutingDocument } from '../domain/routing.js';
import type { ApprovalPredicate, KillPredicate, RequestPredicate } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime } from '../domain/time.js';
import { demand, rulesFor, verifyProceed, verifyProvisional } from '../formats/evidence.js';
import { envelopeDigest } from '../formats/dsse.js';
import { canonicalBytes } from '../formats/jcs.js';
import type { SigningKey } from '../formats/keys.js';
import { sha256 } from '../formats/sha256.js';
import { signStatement } from '../formats/statements.js';
import { killsDrilled } from './drilled.js';
import { toRecord, type Audit } from './journal.js';
import { LiftedOrders } from './lifted.js';
import { StoredKills } from './stored-kills.js';
import { StoredRoutes, type Route } from './stored-routes.js';

export type { Route } from './stored-routes.js';

/** What a new document rests on: an approved request, or nothing where it only lowers exposure. */
export interface Grounds {
  readonly request: Found<RequestPredicate>;
  readonly approvals: readonly Digest[];
  /** What people said after the step before, where that one pauses. */
  readonly proceed?: Proceeding | null;
}

const NO_GROUNDS = { approvals: [], proceed: null, provisional: NOT_PROVISIONAL, kills: [] } as const;

export interface RouterDeps {
  readonly records: Records;
  readonly key: SigningKey;
  readonly id: string;
  readonly audit: Audit;
  readonly gateways: readonly GatewayClient[];
  /** Told once of each object under `routes/` or `kills/` that is none of control's documents and no order. */
  readonly onJunk: (key: string, error: CustodyError) => void;
}

export interface Standing {
  readonly model: string;
  /** `null`: it cannot be told. `revision` is `null` where no document is genuine; `kills` may name some that were lifted. */
  readonly stands: { readonly revision: number | null; readonly kills: readonly Digest[] } | null;
}

/** The routing documents of WORM and the gateways that serve by them. `routes/` is create-once, so revisions never fork. */
export class Router {
  readonly #deps: RouterDeps;
  readonly #routes: StoredRoutes;
  readonly lifted: LiftedOrders;
  readonly #kills: StoredKills;

  constructor(deps: RouterDeps) {
    this.#deps = deps;
    this.#routes = new StoredRoutes(deps.records, deps.onJunk);
    this.lifted = new LiftedOrders(deps.records, this.#routes, deps.onJunk);
    this.#kills = new StoredKills(deps.records, this.#routes, this.lifted);
  }

  /** The newest routing document of a model; `null` before the first. */
  current(model: string): Promise<Route | null> {
    return this.#routes.newest(model);
  }

  /**
   * Makes, checks and keeps the document after `current`; no gateway hears of it before `deliver`. STORE_CONFLICT when
   * somebody else was first.
   */
  async draw(model: string, current: Route | null, intent: RouteIntent, grounds: Grounds | null): Promise<Route> {
    const { records, key } = this.#deps;
    const policies = await this.#policiesFor(intent.change);
    const document: RoutingDocument = {
      environment: records.environment,
      model,
      revision: (current?.document.revision ?? 0) + 1,
      previous: current?.digest ?? null,
      ...intent,
      policy: grounds?.request.verified.predicate.policy ?? policies.newestDigest,
      issuedAt: isoTime(Date.now()),
    };
    const subject = { name: endpointId(model), sha256: sha256(canonicalBytes(document)) };
    const envelope = signStatement('route', subject, document, [key]);
    const next = (await records.verify('route', envelope, policies)).verified;
    const request = grounds?.request.verified ?? null;
    const rules =
      request === null
        ? { environment: records.environment, gate: policies.newest, newest: policies.newest, now: document.issuedAt }
        : rulesFor(policies, request, document.issuedAt);
    const approvals = (await this.#approvals(grounds?.approvals ?? [])).map(({ verified }) => verified);
    const proceed = verifyProceed(await this.#proceedEvidence(grounds?.proceed ?? null), policies);
    // The gateways will ask the same; a document they would refuse is never made.
    const evidence = request === null ? NOT_PROVISIONAL : await gatherProvisional(records, request.predicate);
    const drilled = request === null ? [] : await killsDrilled(records, request, policies);
    const kills = drilled.map(({ verified }) => verified);
    const rests = { proceed, ...verifyProvisional(evidence, policies), kills };
    demand(authoriseRoute({ current, next, request, approvals, ...rests, isNewest: true, baked: null }, rules));
    if (grounds !== null) await records.recordOnce(storeKeys.grounds(next.digest), grounds.approvals);
    if (grounds?.proceed != null) await records.recordOnce(storeKeys.proceed(next.digest), grounds.proceed);
    await this.#routes.keep(model, document.revision, envelope);
    return { digest: next.digest, envelope, document };
  }

  /**
   * Gives each of the gateways every document it lacks, in order. What raises exposure is in the log first, what lowers it acts
   * first. GATEWAY_UNAVAILABLE while one of them has not got the newest.
   */
  async deliver(model: string, gateways = this.#deps.gateways): Promise<void> {
    const unnoted = await this.act(model, gateways);
    if (unnoted !== null) await this.note(model, unnoted);
  }

  /** The same, but what lowers exposure does not wait for the log: the answer is what is to be noted. */
  async act(model: string, gateways = this.#deps.gateways): Promise<Unnoted | null> {
    const newest = await this.current(model);
    if (newest === null) return null;
    const lowers = lowersExposure(newest.document.change);
    if (!lowers) await this.#note(newest);
    const results = await Promise.allSettled(gateways.map((gateway) => this.#catchUp(gateway, newest)));
    const since = isoTime(Date.now());
    const failed = results.find((result) => result.status === 'rejected');
    if (failed === undefined) return lowers ? { revision: newest.document.revision, since } : null;
    // Nobody can tell how long it will be tried again.
    if (lowers) await this.#note(newest, since);
    throw failed.reason;
  }

  /** Puts a document into the log that has taken effect. */
  async note(model: string, { revision, since }: Unnoted): Promise<void> {
    const route = await this.#routes.mustHave(model, revision);
    const took = Math.max(0, Date.parse(since) - Date.parse(route.document.issuedAt));
    await this.#note(route, since, `; every gateway served by it ${took} ms after it was drawn`);
  }

  async #note({ digest, document }: Route, time = isoTime(Date.now()), took = ''): Promise<void> {
    const { audit, id } = this.#deps;
    const serves = document.releases.map(({ version, weight }) => `${version} ${weight} %`).join(', ');
    const entry = {
      change: 'route.changed',
      key: digest,
      actor: { id, statement: digest },
      subject: { model: document.model, version: null, release: document.releases[0]?.release ?? null },
      before: document.previous,
      after: digest,
      policy: document.policy,
      time,
      reason: `${document.change}, revision ${document.revision}: ${serves === '' ? 'nothing' : serves}${took}`,
    } as const;
    await audit.append([toRecord(entry, null)]);
  }

  async #catchUp(gateway: GatewayClient, newest: Route): Promise<void> {
    const { model, revision } = newest.document;
    try {
      await gateway.deliverRoute(await this.#delivery(newest, true));
      return;
    } catch (error) {
      const has = lacking(error);
      if (has === null || has >= revision) throw error;
      for (let at = has + 1; at <= revision; at += 1) {
        const route = at === revision ? newest : await this.#routes.mustHave(model, at);
        await gateway.deliverRoute(await this.#delivery(route, at === revision));
      }
    }
  }

  /** Where the endpoint stands, by WORM alone. */
  async position(model: string): Promise<EndpointPosition> {
    return this.#positionAt(model, await this.current(model));
  }

  async #positionAt(model: string, current: Route | null): Promise<EndpointPosition> {
    const kills = await this.activeKills(model, current);
    return {
      revision: current?.document.revision ?? 0,
      document: current?.digest ?? null,
      serving: current?.document.releases ?? [],
      killedBy: kills.map(({ verified }) => verified.digest),
    };
  }

  /** The same, with what the newest document no longer lists. */
  async routed(model: string): Promise<RoutedPosition> {
    const current = await this.current(model);
    return { ...(await this.#positionAt(model, current)), stopped: await this.#dropped(current) };
  }

  /** Draws and delivers what takes a release out of the routes; where it is not in them, nothing changes. */
  async takeOut(
    model: string,
    release: Digest,
    intent: (document: RoutingDocument, release: Digest) => RouteIntent,
  ): Promise<RoutedPosition> {
    const current = await this.current(model);
    if (current?.document.releases.some((entry) => entry.release === release) === true)
      await this.draw(model, current, intent(current.document, release), null);
    await this.deliver(model);
    return this.routed(model);
  }

  /** The document of one revision; `null` where there is none. */
  async at(model: string, revision: number): Promise<RoutingDocument | null> {
    return (await this.#routes.revision(model, revision))?.document ?? null;
  }

  /** Kill orders that no document in force has lifted. */
  activeKills(model: string, current: Route | null): Promise<readonly Found<KillPredicate>[]> {
    return this.#kills.active(model, current);
  }

  /** A kill order that was kept. WORM_VIOLATED when it is there no more. */
  killOrder(model: string, order: Digest): Promise<KillPredicate> {
    return this.#kills.order(model, order);
  }

  /** Where every routed model stands, by two looks at the store however many there are. */
  async standings(policies: PolicyChain): Promise<readonly Standing[]> {
    const [routes, killsOf] = await Promise.all([
      this.#routes.newestOfAll(policies),
      this.#kills.standingOfAll(policies),
    ]);
    const standings: Standing[] = [];
    for (const { model, newest } of routes) {
      try {
        const current = await newest();
        const kills = await killsOf(model, current);
        const revision = current?.document.revision ?? null;
        standings.push({ model, stands: { revision, kills: kills.map(({ verified }) => verified.digest) } });
      } catch {
        // What is wrong with it is said when it alone is looked at: it keeps no other from being told of.
        standings.push({ model, stands: null });
      }
    }
    return standings;
  }

  /** Releases that the document before listed and this one no longer does: nothing routes to them any more. */
  async #dropped(current: Route | null): Promise<readonly ReleaseReference[]> {
    if (current === null || current.document.revision === 1) return [];
    const { model, revision } = current.document;
    const before = await this.#routes.mustHave(model, revision - 1);
    const gone = before.document.releases.filter(
      ({ release }) => !current.document.releases.some((entry) => entry.release === release),
    );
    return Promise.all(gone.map(async ({ release }) => ({ ...(await nameOf(this.#deps.records, release)), release })));
  }

  /** Somebody's forgery among the policies keeps callers from no release that is safer. */
  #policiesFor(change: RoutingDocument['change']): Promise<PolicyChain> {
    const { records } = this.#deps;
    return lowersExposure(change) ? records.usablePolicies() : records.policies();
  }

  #approvals(digests: readonly Digest[]): Promise<readonly Found<ApprovalPredicate>[]> {
    return Promise.all(digests.map((digest) => this.#deps.records.get('approval', digest)));
  }

  async #proceedEvidence(proceed: Proceeding | null): Promise<ProceedEvidence | null> {
    if (proceed === null) return null;
    const request = await this.#deps.records.get('request', proceed.request);
    const approvals = await this.#approvals(proceed.approvals);
    return { request: request.envelope, approvals: approvals.map(({ envelope }) => envelope) };
  }

  async #delivery({ envelope, document }: Route, isNewest: boolean): Promise<RouteDelivery> {
    const { records } = this.#deps;
    const chain = await this.#policiesFor(document.change);
    const policies = chain.envelopes;
    const rests = document.plan?.request ?? document.restore;
    if (rests === null || (document.change !== 'plan' && document.change !== 'restore'))
      return { policies, document: envelope, request: null, ...NO_GROUNDS, isNewest };
    const request = await records.get('request', rests);
    const digest = envelopeDigest(envelope);
    const approvals = (await records.record(storeKeys.grounds(digest))) as readonly Digest[] | null;
    const proceed = (await records.record(storeKeys.proceed(digest))) as Proceeding | null;
    return {
      policies,
      document: envelope,
      request: request.envelope,
      approvals: (await this.#approvals(approvals ?? [])).map((each) => each.envelope),
      proceed: await this.#proceedEvidence(proceed),
      provisional: await gatherProvisional(records, request.verified.predicate),
      kills: (await killsDrilled(records, request.verified, chain)).map((each) => each.envelope),
      isNewest,
    };
  }
}

/** The revision a gateway says it has, where it refused because it lacks what lies between. */
function lacking(error: unknown): number | null {
  if (!(error instanceof CustodyError) || error.code !== 'REPLAYED') return null;
  const { revision } = error.details;
  return typeof revision === 'number' ? revision : null;
}
