import type { GatewayClient } from '../adapters/gateway/client.js';
import type { PolicyChain } from '../adapters/records.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import { lateKills, type GatewayState, type KillLatched } from '../domain/gateway.js';
import { endpointId } from '../domain/names.js';
import { returned } from '../domain/drill.js';
import { restored } from '../domain/routing.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime, outsideValidity } from '../domain/time.js';
import type { KillPredicate, SignedEnvelope, Verified } from '../domain/statements.js';
import { parseEnvelope } from '../formats/dsse.js';
import { readKillOrder } from '../formats/kill-order.js';
import type { Desk } from './control.js';
import type { EndpointControl } from './contract.js';
import { isDrills } from './drilled.js';
import { openAskedGate } from './gate.js';
import { verdictOn, type Entry } from './journal.js';
import type { Route } from './router.js';

function limitSeconds({ newest }: PolicyChain): number {
  return newest.emergency.killResponseSeconds;
}

type Kill = Pick<EndpointControl, 'sortKills' | 'killEndpoint' | 'confirmKill' | 'openRestoreGate' | 'restoreEndpoint'>;

/** A status document that the store's records do not allow, as after a forgery, keeps no order from counting. */
async function unlessRefused(reissueStatus: () => Promise<void>): Promise<string> {
  try {
    await reissueStatus();
    return '';
  } catch (error) {
    if (!(error instanceof CustodyError) || !isPermanent(error.code)) throw error;
    return `; no status document could be made: ${error.code}: ${error.message}`;
  }
}

/** A gateway that refuses it may only lack the policy by which it counts. */
async function relay(gateway: GatewayClient, order: SignedEnvelope, { envelopes }: PolicyChain): Promise<KillLatched> {
  try {
    return await gateway.deliverKill(order);
  } catch (error) {
    const isUnknown = error instanceof CustodyError && ['SIGNATURE_INVALID', 'NOT_AUTHORISED'].includes(error.code);
    if (!isUnknown) throw error;
    await gateway.deliverPolicies(envelopes);
    return gateway.deliverKill(order);
  }
}

/** Stopping an endpoint, by one person at once, and starting it again, by a quorum. */
export function createKill(desk: Desk): Kill {
  const { records, journal, router, gateways, killMetrics, reissueStatus, id } = desk;
  const noteLate = (model: string, order: Digest, key: string, reason: string): Promise<void> =>
    journal.note({
      change: 'kill.late',
      key,
      actor: { id, statement: order },
      subject: { model, version: null, release: null },
      after: order,
      reason,
    });
  const assertGenuine = (
    model: string,
    envelope: unknown,
    policies: PolicyChain,
  ): { readonly order: SignedEnvelope; readonly kill: Verified<KillPredicate> } => {
    const kill = readKillOrder(envelope, policies.newest, records.environment);
    if (kill.predicate.model !== model) throw new CustodyError('REPLAYED', `the order is for ${kill.predicate.model}`);
    return { order: parseEnvelope(envelope), kill };
  };
  return {
    sortKills: async (model, orders) => {
      const policies = await records.knownPolicies();
      const verdicts = await Promise.all(
        orders.map(({ envelope }) =>
          verdictOn(async () => {
            const { kill } = assertGenuine(model, envelope, policies);
            return { by: kill.signers[0] ?? '', statement: kill.digest };
          }),
        ),
      );
      return journal.noteRefused(orders, verdicts, { model, version: null, release: null });
    },

    killEndpoint: async (model, envelope) => {
      const startedAt = performance.now();
      const subject = { model, version: null, release: null };
      const policies = await records.knownPolicies();
      const { order, kill, relayed } = await journal.refusingSoon({ name: 'kill', envelope, subject }, async () => {
        const { order, kill } = assertGenuine(model, envelope, policies);
        // The gateways act before anything is written; one that knows the order was lifted refuses it.
        const relayed = await Promise.allSettled(gateways.map((gateway) => relay(gateway, order, policies)));
        const outside = outsideValidity(kill.predicate, isoTime(Date.now()));
        // What a gateway holds it took in time: expiry bounds the acceptance of an order, never its effect.
        const isHeld = relayed.some(({ status }) => status === 'fulfilled');
        if (outside !== null && !isHeld && (await records.record(storeKeys.kill(model, kill.digest))) === null)
          throw new CustodyError('EXPIRED', `the order is ${outside}`);
        if (await router.lifted.has(model, kill.digest))
          throw new CustodyError('REPLAYED', 'this order was lifted by a quorum: it does nothing any more');
        return { order, kill, relayed };
      });
      const ms = performance.now() - startedAt;
      const time = isoTime(Date.now());
      const reached = relayed.filter(({ status }) => status === 'fulfilled').length;
      await records.keep(order, storeKeys.kill(model, kill.digest));
      const untold = await unlessRefused(reissueStatus);
      await journal.note({
        change: 'endpoint.killed',
        key: kill.digest,
        actor: { id: kill.signers[0] ?? '', statement: kill.digest },
        subject,
        after: kill.digest,
        time,
        reason: `${kill.predicate.reason} (${reached} of ${gateways.length} gateways in ${Math.round(ms)} ms)${untold}`,
      });
      const failures = relayed.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
      const refusals = failures.filter(
        (reason): reason is CustodyError => reason instanceof CustodyError && isPermanent(reason.code),
      );
      const replayed = refusals.find(({ code }) => code === 'REPLAYED');
      if (replayed !== undefined) throw replayed;
      const since = relayed.map((result) => (result.status === 'fulfilled' ? result.value.since : null));
      const overdue = lateKills(since, {
        issuedAt: kill.predicate.issuedAt,
        now: isoTime(Date.now()),
        limitSeconds: limitSeconds(policies),
      });
      // Until the time is over that the policy gives, a gateway that does not answer is only tried again. So is one that refuses, as
      // with a wrong clock: the order counts all the same, and the endpoint must know of it, or nobody could lift it.
      const open = failures.length > 0;
      if (open && overdue.length === 0)
        throw new CustodyError('GATEWAY_UNAVAILABLE', 'a gateway has not stopped yet', { cause: failures[0] });
      const late = [...overdue, ...refusals.map(({ message }) => `a gateway refuses the order: ${message}`)];
      if (!open) {
        const stopped = Math.max(...since.map((at) => Date.parse(at ?? '')));
        killMetrics.took((stopped - Date.parse(kill.predicate.issuedAt)) / 1000);
      }
      if (late.length > 0) {
        killMetrics.late();
        await noteLate(model, kill.digest, kill.digest, late.join('; '));
      }
      return { order: kill.digest, gateways: reached, ms: Math.round(ms), late, open };
    },

    confirmKill: async (model, digest) => {
      if (await router.lifted.has(model, digest)) return null;
      const states = await Promise.all(gateways.map((gateway) => gateway.state()));
      const lists = ({ models }: GatewayState): boolean =>
        models.some((served) => served.model === model && served.killedBy.some(({ order }) => order === digest));
      if (!states.every(lists)) throw new CustodyError('GATEWAY_UNAVAILABLE', 'a gateway has not stopped yet');
      const { issuedAt } = await router.killOrder(model, digest);
      const passed = (Date.now() - Date.parse(issuedAt)) / 1000;
      killMetrics.took(passed);
      const seconds = Math.round(passed);
      const given = limitSeconds(await records.knownPolicies());
      const took = `all gateways have stopped, after ${seconds} s: the policy gives ${given} s`;
      await noteLate(model, digest, `${digest} everywhere`, took);
      return took;
    },

    openRestoreGate: (model, envelope) =>
      openAskedGate(desk, {
        kind: 'restore',
        envelope,
        workflowId: endpointId(model),
        subject: { model, version: null, release: null },
        check: async ({ predicate: { action } }) => {
          if (action.kind !== 'restore') throw new CustodyError('MALFORMED', 'the request is not to restore');
          const position = await router.position(model);
          if (action.revision !== position.revision)
            throw new CustodyError('REPLAYED', `the request was made for revision ${action.revision}`);
          const unknown = action.kills.find((order) => !position.killedBy.includes(order));
          if (unknown !== undefined)
            throw new CustodyError('POLICY_REFUSED', `no order ${unknown.slice(0, 12)} stops the endpoint`);
        },
      }),

    restoreEndpoint: async (model, { request: digest, approvals, approvers }) => {
      const request = await records.get('request', digest);
      const { action } = request.verified.predicate;
      if (action.kind !== 'restore') throw new CustodyError('REPLAYED', 'the request is not to restore');
      const current = await router.current(model);
      if (current === null) throw new CustodyError('POLICY_REFUSED', 'the endpoint has never served');
      const orders = await Promise.all(
        action.kills.map(async (order) => ({ order, until: (await router.killOrder(model, order)).expiresAt })),
      );
      const { requester, policy } = request.verified.predicate;
      const policies = await records.policies();
      const isDrill = isDrills(request.verified, policies.byDigest(policy), policies.newest);
      const draw = (): Promise<Route> => {
        const lifting = restored(current.document, orders, digest, isoTime(Date.now()));
        const intent = isDrill ? { ...lifting, releases: returned(current.document) } : lifting;
        return router.draw(model, current, intent, { request, approvals });
      };
      const { document } = current.document.restore === digest ? current : await draw();
      const by = isDrill ? requester : approvers.join(' and ');
      const release = current.document.releases[0]?.release ?? null;
      const lifted = (order: Digest): Entry => ({
        change: 'endpoint.restored',
        key: `${digest} ${order}`,
        actor: { id: by, statement: digest },
        subject: { model, version: null, release },
        before: order,
        after: digest,
        reason: isDrill ? `a drill's own kill, lifted by ${by}` : `lifted by ${by}`,
      });
      await journal.note(...action.kills.map(lifted));
      for (const { order } of orders) await router.lifted.keep(model, order, document.revision);
      await router.deliver(model);
      await reissueStatus();
      return router.position(model);
    },
  };
}
