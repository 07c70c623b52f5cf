import type { Digest } from '../../../domain/digest.js';
import {
  NOT_PROVISIONAL,
  type ProceedEvidence,
  type ProvisionalEvidence,
  type RouteDelivery,
} from '../../../domain/evidence.js';
import { endpointId, lifecycleId } from '../../../domain/names.js';
import {
  planStep,
  promote,
  restored,
  rollbackTo,
  stableOf,
  withdraw,
  type RouteIntent,
  type RoutingDocument,
} from '../../../domain/routing.js';
import type {
  ApprovalPredicate,
  KillPredicate,
  RequestAction,
  RequestPredicate,
  SignedEnvelope,
} from '../../../domain/statements.js';
import { plusSeconds } from '../../../domain/time.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { sha256 } from '../../../formats/sha256.js';
import { nonce, type KeyName, type Organisation, type Signed } from './organisation.js';
import type { Release } from './releases.js';
import type { Words } from './words.js';

/** A routing document, and what control would deliver to a gateway for it. */
export interface Route {
  readonly digest: Digest;
  readonly document: RoutingDocument;
  readonly envelope: SignedEnvelope;
  readonly request: Signed<RequestPredicate> | null;
  readonly approvals: readonly Signed<ApprovalPredicate>[];
  readonly delivery: RouteDelivery;
}

interface RouteOptions {
  readonly by?: KeyName;
  readonly document?: Partial<RoutingDocument>;
  readonly request?: Signed<RequestPredicate> | null;
  readonly approvals?: readonly Signed<ApprovalPredicate>[];
  /** Without it, alice has agreed to go on wherever the plan pauses. */
  readonly proceed?: ProceedEvidence | null;
  readonly provisional?: ProvisionalEvidence;
  readonly kills?: readonly Signed<KillPredicate>[];
  readonly isNewest?: boolean;
}

type Deploy = Extract<RequestAction, { kind: 'deploy' }>;

/** Routing documents one after another, each with what it rests on. */
export function createRoutes(
  { environment, at, policy, policyEnvelope, policyDigest: gate, statement }: Organisation,
  { request, approve, restoreRequest }: Words,
  deployAction: (after: Route | null) => Deploy,
) {
  /** Signs the document that follows `current`; the next one is made a second later than the one before. */
  function route(current: Route | null, intent: RouteIntent, model: string, options: RouteOptions = {}): Route {
    const { request: asked = null, approvals = [] } = options;
    const document: RoutingDocument = {
      environment,
      model,
      revision: (current?.document.revision ?? 0) + 1,
      previous: current?.digest ?? null,
      ...intent,
      policy: asked?.predicate.policy ?? gate,
      issuedAt: current === null ? at(-20) : plusSeconds(current.document.issuedAt, 1),
      ...options.document,
    };
    const subject = { name: endpointId(model), sha256: sha256(canonicalBytes(document)) };
    const { envelope, digest } = statement('route', subject, document, options.by ?? 'control');
    const delivery: RouteDelivery = {
      policies: [policyEnvelope],
      document: envelope,
      request: asked?.envelope ?? null,
      approvals: approvals.map((approval) => approval.envelope),
      proceed: options.proceed ?? null,
      provisional: options.provisional ?? NOT_PROVISIONAL,
      kills: (options.kills ?? []).map(({ envelope: order }) => order),
      isNewest: options.isNewest ?? true,
    };
    return { digest, document, envelope, request: asked, approvals, delivery };
  }

  /**
   * One step of a release's plan. Step 0 asks anew where the release's own request is for another revision than `current`;
   * later steps go on with the request of the step before.
   */
  function routePlan(
    current: Route | null,
    of: Release,
    options: RouteOptions & { readonly step?: number } = {},
  ): Route {
    const step = options.step ?? 0;
    const { request: asked, approvals } = groundsOf(current, of, step);
    const grounds = { request: options.request ?? asked, approvals: options.approvals ?? approvals };
    const { action } = grounds.request.predicate;
    const planned = action.kind === 'deploy' ? action.plan[step] : undefined;
    const target = { release: of.release, version: of.name.version, weight: planned?.weight ?? 100 };
    const position = { request: grounds.request.digest, step };
    const { rollout, rollback } = policy;
    const before = current?.document ?? null;
    const intent = planStep(before, target, position, rollout.triggers, rollback.warmReleases);
    const pauses = action.kind === 'deploy' && action.plan[step - 1]?.pause === true;
    const proceed = options.proceed === undefined && pauses && current !== null ? agreed(current) : options.proceed;
    return route(current, intent, of.name.model, {
      ...options,
      ...grounds,
      ...(proceed === undefined ? {} : { proceed }),
    });
  }

  /** Control's request to go on after the step in `current`, which has been watched. */
  function proceedRequest(
    current: Route,
    overrides: Partial<RequestPredicate> & { readonly subject?: Digest } = {},
    by: KeyName = 'control',
  ): Signed<RequestPredicate> {
    const deploy = current.request;
    if (deploy?.predicate.action.kind !== 'deploy' || current.document.plan === null)
      throw new Error('it is in no plan');
    const { subject = deploy.predicate.release ?? '', ...said } = overrides;
    const { model, version, release, requester, producer, action } = deploy.predicate;
    const step = current.document.plan.step + 1;
    return request(
      { name: endpointId(model), sha256: subject },
      {
        ...{ model, version, release, requester, producer, workflowId: endpointId(model) },
        action: { kind: 'proceed', deploy: deploy.digest, step, weight: action.plan[step]?.weight ?? 100 },
        issuedAt: plusSeconds(current.document.issuedAt, 1),
        ...said,
      },
      by,
    );
  }

  function agreed(
    current: Route,
    asked = proceedRequest(current),
    by: readonly KeyName[] = ['alice'],
  ): ProceedEvidence {
    return { request: asked.envelope, approvals: by.map((each) => approve(asked, each).envelope) };
  }

  function groundsOf(
    current: Route | null,
    of: Release,
    step: number,
  ): { request: Signed<RequestPredicate>; approvals: readonly Signed<ApprovalPredicate>[] } {
    if (step > 0 && current?.request != null) return { request: current.request, approvals: current.approvals };
    const { action } = of.request.predicate;
    if (action.kind === 'deploy' && action.from.revision === (current?.document.revision ?? 0)) return of;
    const subject = { name: lifecycleId(of.name), sha256: of.release };
    const asked = request(
      subject,
      { ...of.request.predicate, nonce: nonce(), action: deployAction(current) },
      'control',
    );
    return { request: asked, approvals: [approve(asked, 'alice')] };
  }

  const routes = {
    route,
    routePlan,
    proceedRequest,
    agreed,
    promote: (current: Route, options?: RouteOptions) =>
      route(current, promote(current.document), current.document.model, options),
    rollback: (
      current: Route,
      target: Digest | null = stableOf(current.document)?.release ?? null,
      options?: RouteOptions,
    ) => route(current, rollbackTo(current.document, target), current.document.model, options),
    withdraw: (current: Route, gone: Digest, options?: RouteOptions) =>
      route(current, withdraw(current.document, gone), current.document.model, options),
    /** Lifts these orders, as oscar asked and olga and otto agreed. */
    restored: (current: Route, kills: readonly Signed<KillPredicate>[], options: RouteOptions = {}) => {
      const digests = kills.map(({ digest }) => digest);
      const asked = options.request ?? restoreRequest(current, digests);
      const approvals = options.approvals ?? [approve(asked, 'olga'), approve(asked, 'otto')];
      const orders = kills.map(({ digest, predicate }) => ({ order: digest, until: predicate.expiresAt }));
      const intent = restored(current.document, orders, asked.digest, at(0));
      return route(current, intent, current.document.model, { ...options, request: asked, approvals });
    },
    /** A release that serves all callers, through all the steps of its plan: the deliveries in order. */
    inService: (of: Release, current: Route | null = null): Route[] => {
      const chain: Route[] = [];
      const last = (): Route | null => chain.at(-1) ?? current;
      const steps = deployAction(current).plan.length;
      for (let step = 0; step < steps; step += 1) chain.push(routePlan(last(), of, { step }));
      const end = last();
      if (end !== null) chain.push(routes.promote(end));
      return chain;
    },
  };

  return routes;
}
