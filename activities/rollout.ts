import { WorkflowNotFoundError } from '@temporalio/client';
import { progressOf } from '../adapters/dossier.js';
import { rolloutOf, type EndpointStatus, type RolloutOrder } from '../domain/endpoint.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import { endpointId } from '../domain/names.js';
import { holdsRole, mayDrill } from '../domain/policy.js';
import { drilledBack } from '../domain/drill.js';
import {
  establishedOf,
  planStep,
  promote,
  rollbackTo,
  stableOf,
  type RouteIntent,
  type RoutingDocument,
} from '../domain/routing.js';
import { isoTime, outsideValidity } from '../domain/time.js';
import { rolloutSignal } from '../workflows/messages.js';
import { thisAct } from './act.js';
import type { Desk } from './control.js';
import type { EndpointControl, LifecycleControl } from './contract.js';
import { isDrills } from './drilled.js';
import { notBefore, type Grounds } from './router.js';
import { tellEndpoint } from './tell-endpoint.js';

type Rollouts = Pick<
  EndpointControl,
  | 'resumeEndpoint'
  | 'resumeRollout'
  | 'routeStep'
  | 'promoteRelease'
  | 'rollBack'
  | 'noteRoute'
  | 'confirmRoute'
  | 'checkRollback'
  | 'noteRollback'
  | 'replyRollout'
> &
  Pick<LifecycleControl, 'askEndpoint' | 'rolloutState'>;

/** One release's way through the steps of its plan, and the way back. */
export function createRollouts({ records, journal, router, temporal }: Desk): Rollouts {
  const groundsOf = async ({ request, approvals }: Pick<RolloutOrder, 'request' | 'approvals'>): Promise<Grounds> => ({
    request: await records.get('request', request),
    approvals,
  });

  /** An endpoint that is not there has said nothing. */
  const statusOf = async (model: string): Promise<Pick<EndpointStatus, 'rollout' | 'queued' | 'ended'>> => {
    try {
      return await temporal.workflow.getHandle(endpointId(model)).query<EndpointStatus>('status');
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return { rollout: null, queued: [], ended: [] };
      throw error;
    }
  };

  /** As its order has it: a drill keeps what it goes back from. */
  const ordered = async (document: RoutingDocument, target: Digest, order: Digest): Promise<RouteIntent> => {
    const policies = await records.usablePolicies();
    const { newest } = policies;
    const { verified } = await records.get('rollback', order, policies);
    if (!isDrills(verified, newest, newest)) return rollbackTo(document, target);
    const intent = drilledBack(document, order);
    if (intent?.releases[0]?.release === target) return intent;
    throw new CustodyError('POLICY_REFUSED', 'the endpoint has moved on since the drill began');
  };

  return {
    askEndpoint: (model, order) => tellEndpoint(temporal, model, rolloutSignal, order),

    rolloutState: async (model, request) => {
      const state = rolloutOf(await statusOf(model), request);
      if (state === null || state === 'under way' || state.kind !== 'promoted') return state;
      // Temporal's word is not enough to call a release promoted: the routes say so, or it is not.
      const document = await router.at(model, state.revision);
      const asked = await records.get('request', request);
      if (document?.change === 'promote' && document.releases[0]?.release === asked.verified.predicate.release)
        return state;
      return { kind: 'refused', code: 'REPLAYED', reason: 'no routing document shows that the release was promoted' };
    },

    resumeRollout: async (model, { request, release, version }) => {
      const asked = (await records.get('request', request)).verified.predicate;
      if (asked.action.kind !== 'deploy' || asked.model !== model || asked.release !== release)
        throw new CustodyError('REPLAYED', 'the order names a request that is not for this deployment');
      const { rollout } = await progressOf(records, { model, version });
      if (rollout !== undefined) return { kind: 'ended', result: rollout };
      const first = asked.action.from.revision + 1;
      for (let revision = first; ; revision += 1) {
        const document = await router.at(model, revision);
        if (document?.plan?.request === request) continue;
        if (revision === first) return { kind: 'new' };
        if (document === null) return { kind: 'at', step: revision - 1 - first };
        if (document.change === 'promote') return { kind: 'ended', result: { kind: 'promoted', revision } };
        const reason = `revision ${revision} ended it: ${document.change}`;
        return { kind: 'ended', result: { kind: 'rolled back', revision, reason } };
      }
    },

    replyRollout: async (replyTo, ended) => {
      try {
        await temporal.workflow.getHandle(replyTo).signal('rolloutEnded', ended);
      } catch (error) {
        // A lifecycle that has ended meanwhile needs no answer.
        if (!(error instanceof WorkflowNotFoundError)) throw error;
      }
    },

    // It waits for no gateway and no log: what gateways lack is brought to them in any case, and that order may lower exposure.
    resumeEndpoint: (model) => router.resumed(model),

    routeStep: async (model, order, step, proceed) => {
      const grounds = { ...(await groundsOf(order)), proceed };
      const { action, release, version, policy } = grounds.request.verified.predicate;
      if (action.kind !== 'deploy' || release !== order.release || version === null)
        throw new CustodyError('REPLAYED', 'the order names a request that is not for this deployment');
      const planned = action.plan[step];
      if (planned === undefined) throw new CustodyError('POLICY_REFUSED', `the plan has no step ${step}`);
      const current = await router.current(model);
      if ((await router.activeKills(model, current)).length > 0)
        throw new CustodyError('POLICY_REFUSED', 'the endpoint is killed: restore it first');
      const { rollout: over, outcome, lapsed, condemned } = await progressOf(records, { model, version });
      if (over !== undefined || outcome !== undefined || lapsed !== undefined || condemned !== undefined)
        throw new CustodyError('REPLAYED', 'the lifecycle that asked for this has ended');
      const position = current?.document.plan;
      const { rollout, rollback } = (await records.policies()).byDigest(policy);
      if (position?.request !== order.request || position.step !== step) {
        const target = { release, version, weight: planned.weight };
        const at = { request: order.request, step };
        const intent = planStep(current?.document ?? null, target, at, rollout.triggers, rollback.warmReleases);
        await router.draw(model, current, intent, grounds);
      }
      await router.deliver(model);
      return {
        position: await router.routed(model),
        bakeSeconds: planned.bakeSeconds,
        timeoutSeconds: rollout.stepTimeoutSeconds,
        last: step === action.plan.length - 1,
        pauses: planned.pause === true,
      };
    },

    promoteRelease: async (model, order) => {
      const current = await router.current(model);
      if (current === null) throw new CustodyError('POLICY_REFUSED', 'nothing has been rolled out');
      if (current.document.plan?.request === order.request)
        await router.draw(model, current, promote(current.document), null);
      else if (current.document.change !== 'promote' || current.document.releases[0]?.release !== order.release)
        throw new CustodyError('REPLAYED', 'the endpoint has moved on from this plan');
      await router.deliver(model);
      return router.routed(model);
    },

    rollBack: async (model, target, _reason, actor) => {
      const current = await router.current(model);
      if (current === null) return router.routed(model);
      const { document } = current;
      const stable = stableOf(document)?.release ?? null;
      // A rollout undoes its own plan; an order by a person names where to go. Anything else has been done already.
      const isOwnPlan = target === null && document.plan?.request === actor;
      const isOrdered = target !== null && (document.plan !== null || stable !== target);
      if (isOwnPlan) await router.draw(model, current, rollbackTo(document, stable), null);
      else if (isOrdered) await router.draw(model, current, await ordered(document, target, actor), null);
      return router.lower(model);
    },

    noteRoute: (model, what) => router.note(model, what),

    confirmRoute: (model, revision) => router.confirm(model, revision),

    checkRollback: (model, envelope) =>
      journal.refusingSoon(
        { name: 'rollback', envelope, subject: { model, version: null, release: null } },
        async () => {
          const policies = await records.usablePolicies();
          const { newest } = policies;
          const { envelope: order, verified } = await records.receive('rollback', envelope, policies);
          const said = verified.predicate;
          const operator = verified.signers.find((signer) => holdsRole(newest, newest, signer, 'operator'));
          const drill = verified.signers.find((signer) => mayDrill(newest, newest, signer, said.model));
          const by = operator ?? drill;
          if (by === undefined)
            throw new CustodyError('NOT_AUTHORISED', `${verified.signers.join(', ')} does not hold the role operator`);
          if (said.environment !== records.environment || said.model !== model)
            throw new CustodyError('REPLAYED', `the order is for ${said.model} in ${said.environment}`);
          const outside = outsideValidity(said, isoTime(Date.now()));
          if (outside !== null) throw new CustodyError('EXPIRED', `the order is ${outside}`);
          const current = await router.current(model);
          const established = establishedOf(current?.document ?? null);
          const inPlan = (current?.document.plan ?? null) !== null;
          const target = said.target ?? established[inPlan ? 0 : 1]?.release ?? null;
          if (isDrills(verified, newest, newest) && (inPlan || target !== established[1]?.release))
            throw new CustodyError('POLICY_REFUSED', 'a drill goes back by one release, and stops no rollout');
          if (target === null || !established.some(({ release }) => release === target))
            throw new CustodyError('POLICY_REFUSED', 'there is no such release to go back to: it is not kept warm');
          await records.spend(said.nonce, { statement: verified.digest, request: thisAct() });
          await records.keep(order);
          return { target, reason: said.reason, by, statement: verified.digest, unnoted: isoTime(Date.now()) };
        },
      ),

    noteRollback: async (model, order, target, since) => {
      const { digest, signers, predicate } = (await records.get('rollback', order, await records.usablePolicies()))
        .verified;
      await journal.note({
        change: 'decision.accepted',
        key: digest,
        actor: { id: signers.join(' and '), statement: digest },
        subject: { model, version: null, release: target },
        after: digest,
        time: notBefore(predicate, since),
        reason: `roll back: ${predicate.reason}`,
      });
    },
  };
}
