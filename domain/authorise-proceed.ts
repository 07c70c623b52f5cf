import { denied, quorumReached, signedInRole, type Permission, type Rules } from './permission.js';
import { endpointId } from './names.js';
import type { Policy } from './policy.js';
import type { RoutingDocument } from './routing.js';
import type { ApprovalPredicate, PlanStep, RequestPredicate, Verified } from './statements.js';
import { plusSeconds } from './time.js';

/** What people said after a step that pauses, every signature in it checked. */
export interface VerifiedProceed {
  /** Control's request, for one step of one plan. */
  readonly request: Verified<RequestPredicate>;
  /** The policy that it was made under. */
  readonly gate: Policy;
  readonly approvals: readonly Verified<ApprovalPredicate>[];
}

/**
 * Whether people agreed that the plan goes on after a step that pauses: to this very step, of this deployment, having been
 * asked once the paused step had been watched for its time.
 */
export function mayProceed(
  proceed: VerifiedProceed | null,
  deploy: Verified<RequestPredicate>,
  paused: RoutingDocument,
  to: { readonly step: number; readonly weight: number; readonly after: PlanStep },
  rules: Rules,
): Permission {
  if (proceed === null)
    return denied('NOT_AUTHORISED', `the plan pauses: people must approve step ${to.step} before it begins`);
  const { request, gate, approvals } = proceed;
  const { action, ...asked } = request.predicate;
  const planned = deploy.predicate;
  if (action.kind !== 'proceed') return denied('REPLAYED', 'what was approved is not that the plan goes on');
  const isSame =
    action.deploy === deploy.digest &&
    action.step === to.step &&
    action.weight === to.weight &&
    request.subject === deploy.subject &&
    asked.environment === planned.environment &&
    asked.workflowId === endpointId(planned.model) &&
    asked.model === planned.model &&
    asked.version === planned.version &&
    asked.release === planned.release;
  if (!isSame) return denied('REPLAYED', `what was approved is not step ${to.step} of this plan`);
  // Whoever asked for the release, or made it, is not to decide here either.
  if (asked.requester !== planned.requester || asked.producer !== planned.producer)
    return denied('REPLAYED', 'the request to go on names another requester or producer than its plan');
  if (gate.version < rules.gate.version)
    return denied('POLICY_REFUSED', 'the request to go on was made under an older policy than its plan');
  const then = { ...rules, gate };
  if (!signedInRole(then, request, 'control'))
    return denied('NOT_AUTHORISED', 'the request to go on was not made by control');
  if (asked.issuedAt < plusSeconds(paused.issuedAt, to.after.bakeSeconds))
    return denied('POLICY_REFUSED', `people were asked before the step had been watched for ${to.after.bakeSeconds} s`);
  return quorumReached(then, request, approvals, gate.approvals.deploy);
}
