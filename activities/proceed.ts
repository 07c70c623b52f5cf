import { randomBytes } from 'node:crypto';
import { policyInForce } from '../domain/authorise.js';
import { CustodyError } from '../domain/errors.js';
import type { OpenGate } from '../domain/lifecycle.js';
import { endpointId } from '../domain/names.js';
import type { RequestPredicate } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime, plusSeconds } from '../domain/time.js';
import { demand } from '../formats/evidence.js';
import { newNonce } from '../formats/requests.js';
import { signStatement } from '../formats/statements.js';
import type { Desk } from './control.js';
import type { EndpointControl } from './contract.js';

/** Asks people after a step that pauses: the request is in WORM and in the log before anyone hears of it. */
export function createProceedDesk({ records, journal, key, id }: Desk): Pick<EndpointControl, 'openStepGate'> {
  return {
    openStepGate: async (model, { request: deploy, version }, step) => {
      const place = storeKeys.stepGate(deploy, step);
      const kept = (await records.record(place)) as OpenGate | null;
      if (kept !== null) return kept;
      const asked = (await records.get('request', deploy)).verified.predicate;
      const { action, release, requester, producer } = asked;
      if (action.kind !== 'deploy' || asked.model !== model || asked.version !== version || release === null)
        throw new CustodyError('REPLAYED', 'the order names a request that is not for this deployment');
      const planned = action.plan[step];
      if (planned === undefined) throw new CustodyError('POLICY_REFUSED', `the plan has no step ${step}`);
      const { newest, newestDigest } = await records.policies();
      const issuedAt = isoTime(Date.now());
      demand(policyInForce({ newest, now: issuedAt }));
      const { role, count, withinSeconds } = newest.approvals.deploy;
      // Whoever decides later than the plan may go on has decided nothing.
      const expiresAt = [plusSeconds(issuedAt, withinSeconds), action.deployBefore].sort()[0] ?? issuedAt;
      const predicate: RequestPredicate = {
        requestId: `proceed-${model}-${version}-${randomBytes(4).toString('hex')}`,
        nonce: newNonce(),
        environment: records.environment,
        workflowId: endpointId(model),
        model,
        version,
        release,
        action: { kind: 'proceed', deploy, step, weight: planned.weight },
        evidence: {},
        policy: newestDigest,
        requester,
        producer,
        issuedAt,
        expiresAt,
      };
      const envelope = signStatement('request', { name: endpointId(model), sha256: release }, predicate, [key]);
      const { digest: request } = (await records.verify('request', envelope)).verified;
      await records.keep(envelope, storeKeys.request(request));
      const gate: OpenGate = { request, requestId: predicate.requestId, role, count, expiresAt, envelope };
      const opened = await records.recordOnce(place, gate);
      await journal.note({
        change: 'gate.opened',
        key: `${deploy} ${step}`,
        actor: { id, statement: opened.request },
        subject: { model, version, release },
        before: deploy,
        after: opened.request,
        policy: newestDigest,
        reason: `${count} × ${role} must decide on ${opened.requestId}, to give it ${planned.weight} %, before ${opened.expiresAt}`,
      });
      return opened;
    },
  };
}
