import { denied, personAsks, quorumReached, signedInRole, type Permission, type Rules } from './authorise.js';
import type { Digest } from './digest.js';
import { lifecycleId } from './names.js';
import type { ApprovalPredicate, NoticePredicate, RequestPredicate, Verified } from './statements.js';

/** What a retirement rests on, every signature checked. `notice` is `null` while none has been given. */
export interface VerifiedRetirement {
  readonly release: Digest;
  readonly model: string;
  readonly version: string;
  readonly request: Verified<RequestPredicate>;
  readonly approvals: readonly Verified<ApprovalPredicate>[];
  readonly notice: Verified<NoticePredicate> | null;
}

/** Before notice is given: a person with the right to ask has asked, and a quorum agreed. */
export function authoriseRetirement(retirement: Omit<VerifiedRetirement, 'notice'>, rules: Rules): Permission {
  const { request, release } = retirement;
  const asked = request.predicate;
  const admissible = personAsks(rules, request, 'retire', lifecycleId(retirement));
  if (!admissible.allowed) return admissible;
  if (asked.release !== release || asked.version !== retirement.version)
    return denied('REPLAYED', 'the request is about another release');
  if (asked.action.kind === 'retire' && asked.action.noticeSeconds < rules.gate.retirement.noticeSeconds)
    return denied('POLICY_REFUSED', `the policy demands ${rules.gate.retirement.noticeSeconds} s of notice`);
  return quorumReached(rules, request, retirement.approvals, rules.gate.approvals.retire);
}

/** Before anything is revoked or destroyed: agreed, notice given, and its whole period over. */
export function authoriseDestruction(retirement: VerifiedRetirement, rules: Rules): Permission {
  const agreed = authoriseRetirement(retirement, rules);
  if (!agreed.allowed) return agreed;
  const { notice, request, release } = retirement;
  if (notice === null) return denied('PENDING', 'no notice has been given');
  const { environment, issuedAt, retiresAt } = notice.predicate;
  if (environment !== rules.environment) return denied('REPLAYED', `the notice is for environment ${environment}`);
  if (!signedInRole(rules, notice, 'control')) return denied('NOT_AUTHORISED', 'the notice was not given by control');
  if (notice.subject !== release || notice.predicate.request !== request.digest)
    return denied('REPLAYED', 'the notice is about another retirement');
  const period = request.predicate.action.kind === 'retire' ? request.predicate.action.noticeSeconds : 0;
  // Control dates the notice, people date what they agree to: notice of what nobody has agreed to is none.
  const agreedAt = retirement.approvals.map(({ predicate }) => Date.parse(predicate.issuedAt));
  const earliest = Math.max(Date.parse(retiresAt), Math.max(Date.parse(issuedAt), ...agreedAt) + period * 1000);
  if (Date.parse(rules.now) < earliest)
    return denied('PENDING', `the notice period ends at ${new Date(earliest).toISOString()}`);
  return agreed;
}
