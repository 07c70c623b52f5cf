import { denied, isToCome, rightlyAsked, signedInRole, type Permission, type Rules } from './permission.js';
import { permitted } from './release-checks.js';
import type { VerifiedRelease } from './release-evidence.js';
import type { RequestPredicate, StatusPredicate, Verified } from './statements.js';
import { isAskedBy, mayAskFor } from './vouching.js';

export { denied, policyInForce, quorumReached, signedInRole, type Permission, type Rules } from './permission.js';
export { checksOf, notRevoked, type Check, type FoundCheck } from './release-checks.js';
export { changeHolds, contentHolds, resultHolds, type Tested, type VerifiedRelease } from './release-evidence.js';

/** Before the release key signs: request, evidence and quorum, all about these very bytes. */
export function authoriseSigning(release: VerifiedRelease, rules: Rules): Permission {
  return permitted('sign', { release, status: null }, rules);
}

/** Before people are asked to approve: everything that signing will demand, but for their answer. */
export function authoriseAsking(release: VerifiedRelease, rules: Rules): Permission {
  return permitted('ask', { release, status: null }, rules);
}

/** Before a key of the release is handed out, and before it is loaded: approved, signed, and freshly not revoked. */
export function authoriseLoading(
  release: VerifiedRelease,
  rules: Rules,
  status: Verified<StatusPredicate> | null,
): Permission {
  return permitted('load', { release, status }, rules);
}

/** All that loading demands but "not revoked": what becomes of a release under other rules. */
export function signedAndApproved(release: VerifiedRelease, rules: Rules): Permission {
  return permitted('stand', { release, status: null }, rules);
}

/** Whether the request is about this release, and all that it names is there, by whoever may say so. */
export function evidenceHolds(release: VerifiedRelease, rules: Rules): Permission {
  return permitted('evidence', { release, status: null }, rules);
}

/** A request that a person signed: by its own requester, with the right to ask, for this environment and workflow. */
export function personAsks(
  rules: Rules,
  request: Verified<RequestPredicate>,
  kind: RequestPredicate['action']['kind'],
  workflowId: string,
): Permission {
  const asked = request.predicate;
  if (asked.action.kind !== kind) return denied('REPLAYED', `the request is to ${asked.action.kind}, not to ${kind}`);
  if (asked.environment !== rules.environment)
    return denied('REPLAYED', `the request is for environment ${asked.environment}`);
  if (asked.workflowId !== workflowId) return denied('REPLAYED', `the request is for workflow ${asked.workflowId}`);
  if (isToCome(asked.issuedAt, rules.now))
    return denied('EXPIRED', `the request says it was made at ${asked.issuedAt}, which is to come`);
  const { gate, newest, newestSince = null } = rules;
  // What was open when the newest policy came keeps its rules; but of older ones nobody may choose that which asks for less.
  if (gate.version < newest.version && newestSince !== null && isToCome(asked.issuedAt, newestSince))
    return denied('POLICY_REFUSED', `policy ${newest.version} was in force already: ask under it`);
  if (!isAskedBy(rules, request, asked.requester))
    return denied('NOT_AUTHORISED', `${asked.requester}, and nobody else, must have signed the request`);
  if (!mayAskFor(rules, asked.requester) && !signedInRole(rules, request, 'operator'))
    return denied('NOT_AUTHORISED', `${asked.requester} may not ask for this`);
  const { restore, retire, train } = rules.gate.approvals;
  if (kind === 'restore' || kind === 'lift') return rightlyAsked(rules, request, restore);
  if (kind === 'retire') return rightlyAsked(rules, request, retire);
  if (kind === 'train' && train !== undefined) return rightlyAsked(rules, request, train);
  return { allowed: true, approvers: [] };
}
