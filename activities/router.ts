import type { GatewayClient } from '../adapters/gateway/client.js';
import { nameOf } from '../adapters/dossier.js';
import { gatherProvisional } from '../adapters/provisions.js';
import type { Found, PolicyChain, Records } from '../adapters/records.js';
import { authoriseRoute } from '../domain/authorise-route.js';
import type { Digest } from '../domain/digest.js';
import type { EndpointPosition, Proceeding, ReleaseReference, RoutedPosition, Unnoted } from '../domain/endpoint.js';
import { CustodyError } from '../domain/errors.js';
import { NOT_PROVISIONAL } from '../domain/evidence.js';
import { endpointId } from '../domain/names.js';
import { lowersExposure, type RouteIntent, type RoutingDocument } from '../domain/routing.js';
import type { KillPredicate, RequestPredicate } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { isIsoTime, isoTime } from '../domain/time.js';
import { demand, rulesFor, verifyProceed, verifyProvisional } from '../formats/evidence.js';
import { canonicalBytes } from '../formats/jcs.js';
import type { SigningKey } from '../formats/keys.js';
import { sha256 } from '../formats/sha256.js';
import { signStatement } from '../formats/statements.js';
import { killsDrilled } from './drilled.js';
import { approvalsOf, Deliveries, policiesFor, proceedEvidence } from './deliveries.js';
import type { Audit } from './journal.js';
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
  readonly #deliveries: Deliveries;

  constructor(deps: RouterDeps) {
    this.#deps = deps;
    this.#routes = new StoredRoutes(deps.records, deps.onJunk);
    this.lifted = new LiftedOrders(deps.records, this.#routes, deps.onJunk);
    this.#kills = new StoredKills(deps.records, this.#routes, this.lifted);
    this.#deliveries = new Deliveries(deps, this.#routes);
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
    const policies = await policiesFor(records, intent.change);
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
    const approvals = (await approvalsOf(records, grounds?.approvals ?? [])).map(({ verified }) => verified);
    const proceed = verifyProceed(await proceedEvidence(records, grounds?.proceed ?? null), policies);
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
    const newest = await this.current(model);
    if (newest === null) return;
    const { since, failures } = await this.#deliveries.bring(newest, gateways);
    const [failed] = failures;
    if (lowersExposure(newest.document.change)) await this.#deliveries.note(newest, since, failed === undefined);
    if (failed !== undefined) throw failed;
  }

  /**
   * The same where the newest document lowers exposure, but it waits neither for the log nor for a gateway that does not answer:
   * the answer says what is to be noted, and what is missing. Where it does not, gateways get it in any case.
   */
  async lower(model: string): Promise<RoutedPosition> {
    const newest = await this.current(model);
    if (newest === null || !lowersExposure(newest.document.change)) return this.routed(model);
    const { since, failures } = await this.#deliveries.bring(newest, this.#deps.gateways);
    return { ...(await this.routed(model)), unnoted: unnotedOf(newest, since, failures[0]) };
  }

  /** Puts a document into the log that has taken effect. */
  async note(model: string, { revision, since, missing }: Unnoted): Promise<void> {
    const route = await this.route(model, revision);
    const { issuedAt } = route.document;
    if (since === null) return this.#deliveries.note(route, issuedAt);
    await this.#deliveries.note(route, notBefore(route.document, since), missing === undefined);
  }

  /** WORM_VIOLATED where there is no such revision. */
  route(model: string, revision: number): Promise<Route> {
    return this.#routes.mustHave(model, revision);
  }

  /** What is in the log already counts there once. */
  async resumed(model: string): Promise<EndpointPosition & Pick<RoutedPosition, 'unnoted'>> {
    const current = await this.current(model);
    const position = await this.#positionAt(model, current);
    if (current === null || !lowersExposure(current.document.change)) return position;
    return { ...position, unnoted: unnotedOf(current, null) };
  }

  /** GATEWAY_UNAVAILABLE while one of the gateways has not got this revision, or a later one. */
  async confirm(model: string, revision: number): Promise<void> {
    const states = await Promise.all(this.#deps.gateways.map((gateway) => gateway.state()));
    const has = states.map(({ models }) => models.find((served) => served.model === model)?.revision ?? 0);
    if (has.some((at) => at < revision))
      throw new CustodyError('GATEWAY_UNAVAILABLE', `a gateway does not serve by revision ${revision} yet`);
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
    return this.lower(model);
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
}

/** Whoever says since when something is so: not since before it could be, nor since a time to come. */
export function notBefore({ issuedAt }: Pick<RoutingDocument, 'issuedAt'>, since: string): string {
  const now = isoTime(Date.now());
  if (!isIsoTime(since) || since > now) return now;
  return since < issuedAt ? issuedAt : since;
}

function unnotedOf({ document: { revision } }: Route, since: string | null, failed?: Error): Unnoted {
  if (failed === undefined) return { revision, since };
  return { revision, since, missing: failed.message };
}
