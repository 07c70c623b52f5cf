import { denied, personAsks, quorumReached, signedInRole, type Permission, type Rules } from './authorise.js';
import type { Digest } from './digest.js';
import { lifecycleId } from './names.js';
import { endOf, periodOf, unanswered } from './notice.js';
import type {
  AcknowledgementPredicate,
  ApprovalPredicate,
  NoticePredicate,
  RequestPredicate,
  RevocationPredicate,
  Verified,
  WaiverPredicate,
} from './statements.js';

/** What a retirement rests on, every signature checked. `notice` is `null` while none has been given. */
export interface VerifiedRetirement {
  readonly release: Digest;
  readonly model: string;
  readonly version: string;
  readonly request: Verified<RequestPredicate>;
  readonly approvals: readonly Verified<ApprovalPredicate>[];
  readonly notice: Verified<NoticePredicate> | null;
  /** To those who appeared after that. */
  readonly laterNotices: readonly Verified<NoticePredicate>[];
  /** What consumers' owners have said to it, and those who may stand in for them. */
  readonly acknowledgements: readonly Verified<AcknowledgementPredicate>[];
  readonly waivers: readonly Verified<WaiverPredicate>[];
}

/** Before notice is given: a person with the right to ask has asked, and a quorum agreed. */
type Agreed = Pick<VerifiedRetirement, 'release' | 'model' | 'version' | 'request' | 'approvals'>;

export function authoriseRetirement(retirement: Agreed, rules: Rules): Permission {
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

/** Before anything is revoked or destroyed: agreed, notice given, its whole period over, and answered by those who must. */
export function authoriseDestruction(retirement: VerifiedRetirement, rules: Rules): Permission {
  const agreed = authoriseRetirement(retirement, rules);
  if (!agreed.allowed) return agreed;
  const { notice, request, release } = retirement;
  if (notice === null) return denied('PENDING', 'no notice has been given');
  const { environment, issuedAt } = notice.predicate;
  if (environment !== rules.environment) return denied('REPLAYED', `the notice is for environment ${environment}`);
  if (!signedInRole(rules, notice, 'control')) return denied('NOT_AUTHORISED', 'the notice was not given by control');
  if (notice.subject !== release || notice.predicate.request !== request.digest)
    return denied('REPLAYED', 'the notice is about another retirement');
  const period = periodOf(request, rules);
  const about = { ...retirement, name: retirement, notices: [notice, ...retirement.laterNotices] };
  // Control dates the notice, people date what they agree to: notice of what nobody has agreed to is none.
  const agreedAt = retirement.approvals.map(({ predicate }) => Date.parse(predicate.issuedAt));
  const earliest = Math.max(
    Date.parse(endOf(about, rules)),
    Math.max(Date.parse(issuedAt), ...agreedAt) + period * 1000,
  );
  if (Date.parse(rules.now) < earliest)
    return denied('PENDING', `the notice period ends at ${new Date(earliest).toISOString()}`);
  const open = unanswered(about, rules);
  if (open.length > 0) return denied('PENDING', `${open.join(', ')} must acknowledge it first, or somebody waive that`);
  return agreed;
}

/** Whether a release was revoked because of this retirement, by who may. */
export function revocationHolds(
  retirement: Pick<VerifiedRetirement, 'release' | 'model' | 'version' | 'request'>,
  revocation: Verified<RevocationPredicate>,
  rules: Rules,
): Permission {
  const said = revocation.predicate;
  if (!signedInRole(rules, revocation, 'control') && !signedInRole(rules, revocation, 'release-signer'))
    return denied('NOT_AUTHORISED', `${revocation.signers.join(', ')} may not revoke releases`);
  if (said.environment !== rules.environment)
    return denied('REPLAYED', `the revocation is for environment ${said.environment}`);
  if (
    revocation.subject !== retirement.release ||
    said.model !== retirement.model ||
    said.version !== retirement.version
  )
    return denied('REPLAYED', 'the revocation is about another release');
  return said.request === retirement.request.digest
    ? { allowed: true, approvers: [] }
    : denied('REPLAYED', 'the revocation rests on another request');
}
