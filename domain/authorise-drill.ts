import { denied, isToCome, signedInRole, type Permission, type Rules } from './permission.js';
import { DRILL_ORDER_SECONDS, drilledBack } from './drill.js';
import { matches } from './intent.js';
import { endpointId } from './names.js';
import { mayDrill } from './policy.js';
import type { RoutingDocument } from './routing.js';
import type { KillPredicate, RequestPredicate, Verified } from './statements.js';

/** Whether a document that says it drills a rollback is one of the drill endpoint, and goes back by one release and no more. */
export function drillGoesBack(current: RoutingDocument, document: RoutingDocument, { newest }: Rules): Permission {
  if (newest.drills?.model !== document.model)
    return denied('NOT_AUTHORISED', `${document.model} is not the endpoint that the policy has drilled`);
  const intent = drilledBack(current, document.drill ?? '');
  if (intent === null) return denied('POLICY_REFUSED', 'there is no release kept warm to drill a rollback to');
  return matches(document, intent);
}

/**
 * Whether a machine may lift kills without people: only on the endpoint that the policy, which people agreed to, declares for
 * drills, and only such orders as it has given itself. Whatever a person, a gateway or control has stopped takes the quorum.
 */
export function drillRestores(
  request: Verified<RequestPredicate>,
  kills: readonly Verified<KillPredicate>[],
  rules: Rules,
): Permission {
  const { action, environment, workflowId, model, requester, issuedAt, expiresAt } = request.predicate;
  const { gate, newest, now } = rules;
  if (action.kind !== 'restore') return denied('REPLAYED', `the request is to ${action.kind}, not to restore`);
  if (environment !== rules.environment) return denied('REPLAYED', `the request is for environment ${environment}`);
  if (workflowId !== endpointId(model)) return denied('REPLAYED', `the request is for workflow ${workflowId}`);
  // A second signer would have asked, too, without being the one.
  if (request.signers.length !== 1 || request.signers[0] !== requester)
    return denied('NOT_AUTHORISED', `${requester}, and nobody else, must have signed the request`);
  if (!mayDrill(gate, newest, requester, model))
    return denied('NOT_AUTHORISED', `${requester} may restore no endpoint but the one that the policy has drilled`);
  if (isToCome(issuedAt, now))
    return denied('EXPIRED', `the request says it was made at ${issuedAt}, which is to come`);
  if (Date.parse(now) > Date.parse(expiresAt)) return denied('EXPIRED', `the request expired at ${expiresAt}`);
  if (Date.parse(expiresAt) > Date.parse(issuedAt) + DRILL_ORDER_SECONDS * 1000)
    return denied('POLICY_REFUSED', `a drill's request may stand for ${DRILL_ORDER_SECONDS} s, this one for longer`);
  for (const order of action.kills) {
    const kill = kills.find(({ digest }) => digest === order);
    const isOwn =
      kill !== undefined &&
      kill.predicate.model === model &&
      kill.predicate.environment === environment &&
      kill.signers.length === 1 &&
      signedInRole(rules, kill, 'drill');
    if (!isOwn)
      return denied('NOT_AUTHORISED', `the order ${order.slice(0, 12)} is none of a drill: lifting it takes people`);
  }
  return { allowed: true, approvers: [] };
}
