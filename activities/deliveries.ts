import type { GatewayClient } from '../adapters/gateway/client.js';
import { gatherProvisional } from '../adapters/provisions.js';
import type { Found, PolicyChain, Records } from '../adapters/records.js';
import type { Digest } from '../domain/digest.js';
import type { Proceeding } from '../domain/endpoint.js';
import { CustodyError } from '../domain/errors.js';
import { NOT_PROVISIONAL, type ProceedEvidence, type RouteDelivery } from '../domain/evidence.js';
import { lowersExposure, type RoutingDocument } from '../domain/routing.js';
import type { ApprovalPredicate } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime } from '../domain/time.js';
import { envelopeDigest } from '../formats/dsse.js';
import { killsDrilled } from './drilled.js';
import { toRecord, type Audit } from './journal.js';
import type { Route, StoredRoutes } from './stored-routes.js';

const NO_GROUNDS = { approvals: [], proceed: null, provisional: NOT_PROVISIONAL, kills: [] } as const;

interface DeliveriesDeps {
  readonly records: Records;
  readonly id: string;
  readonly audit: Audit;
}

/** How documents get to the gateways: what raises exposure is in the log first. */
export class Deliveries {
  readonly #deps: DeliveriesDeps;
  readonly #routes: StoredRoutes;

  constructor(deps: DeliveriesDeps, routes: StoredRoutes) {
    this.#deps = deps;
    this.#routes = routes;
  }

  /** What failed is of one gateway each, and has kept no other from its documents. */
  async bring(
    newest: Route,
    gateways: readonly GatewayClient[],
  ): Promise<{ readonly since: string; readonly failures: readonly Error[] }> {
    if (!lowersExposure(newest.document.change))
      try {
        await this.note(newest);
      } catch (error) {
        await Promise.allSettled(gateways.map((gateway) => this.#lower(gateway, newest)));
        throw error;
      }
    const results = await Promise.allSettled(gateways.map((gateway) => this.#catchUp(gateway, newest)));
    const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as Error] : []));
    return { since: isoTime(Date.now()), failures };
  }

  /** What lies between does not wait for the log because the newest has to: as far as the last document that lowers exposure. */
  async #lower(gateway: GatewayClient, { document: { model, revision } }: Route): Promise<void> {
    const { models } = await gateway.state();
    const has = models.find((served) => served.model === model)?.revision ?? 0;
    const missing: Route[] = [];
    for (let at = has + 1; at < revision; at += 1) missing.push(await this.#routes.mustHave(model, at));
    const last = missing.findLastIndex(({ document }) => lowersExposure(document.change));
    for (const route of missing.slice(0, last + 1)) await gateway.deliverRoute(await this.#delivery(route, false));
  }

  /** Puts a document into the log; where every gateway serves by it since `time`, with how long that took. */
  async note({ digest, document }: Route, time = isoTime(Date.now()), everywhere = false): Promise<void> {
    const { audit, id } = this.#deps;
    const serves = document.releases.map(({ version, weight }) => `${version} ${weight} %`).join(', ');
    const tookMs = Date.parse(time) - Date.parse(document.issuedAt);
    const took = everywhere ? `; every gateway served by it ${tookMs} ms after it was drawn` : '';
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

  async #delivery({ envelope, document }: Route, isNewest: boolean): Promise<RouteDelivery> {
    const { records } = this.#deps;
    const chain = await policiesFor(records, document.change);
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
      approvals: (await approvalsOf(records, approvals ?? [])).map((each) => each.envelope),
      proceed: await proceedEvidence(records, proceed),
      provisional: await gatherProvisional(records, request.verified.predicate),
      kills: (await killsDrilled(records, request.verified, chain)).map((each) => each.envelope),
      isNewest,
    };
  }
}

/** Somebody's forgery among the policies keeps callers from no release that is safer. */
export function policiesFor(records: Records, change: RoutingDocument['change']): Promise<PolicyChain> {
  return lowersExposure(change) ? records.usablePolicies() : records.policies();
}

export function approvalsOf(
  records: Records,
  digests: readonly Digest[],
): Promise<readonly Found<ApprovalPredicate>[]> {
  return Promise.all(digests.map((digest) => records.get('approval', digest)));
}

export async function proceedEvidence(records: Records, proceed: Proceeding | null): Promise<ProceedEvidence | null> {
  if (proceed === null) return null;
  const request = await records.get('request', proceed.request);
  const approvals = await approvalsOf(records, proceed.approvals);
  return { request: request.envelope, approvals: approvals.map(({ envelope }) => envelope) };
}

/** The revision a gateway says it has, where it refused because it lacks what lies between. */
function lacking(error: unknown): number | null {
  if (!(error instanceof CustodyError) || error.code !== 'REPLAYED') return null;
  const { revision } = error.details;
  return typeof revision === 'number' ? revision : null;
}
