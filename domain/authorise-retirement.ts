import { denied, personAsks, quorumReached, signedInRole, type Permission, type Rules } from './authorise.js';
import type { Digest } from './digest.js';
import { lifecycleId } from './names.js';
import { endOf, periodOf, unanswered } from './notice.js';
import { condemns, isEmergency, type Vulnerability } from './vulnerability.js';
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
  /** The notice that has condemned the release; `null`: it is in no emergency. */
  readonly vulnerability: Vulnerability | null;
}

/** Before notice is given: a person with the right to ask has asked, and a quorum agreed. */
type Agreed = Pick<VerifiedRetirement, 'release' | 'model' | 'version' | 'request' | 'approvals' | 'vulnerability'>;

export function authoriseRetirement(retirement: Agreed, rules: Rules): Permission {
  const { request, release } = retirement;
  const asked = request.predicate;
  const admissible = personAsks(rules, request, 'retire', lifecycleId(retirement));
  if (!admissible.allowed) return admissible;
  if (asked.release !== release || asked.version !== retirement.version)
    return denied('REPLAYED', 'the request is about another release');
  const { noticeSeconds } = rules.gate.retirement;
  if (asked.action.kind === 'retire' && asked.action.noticeSeconds < noticeSeconds && !isEmergency(retirement, rules))
    return denied('POLICY_REFUSED', `the policy demands ${noticeSeconds} s of notice`);
  return quorumReached(rules, request, retirement.approvals, rules.gate.approvals.retire);
}

/**
 * Before anything is revoked or destroyed: agreed, notice given, its whole period over, and answered by those who must. What a
 * vulnerability has ended everybody is told of, and nobody waits for.
 */
export function authoriseDestruction(retirement: VerifiedRetirement, rules: Rules): Permission {
  const agreed = authoriseRetirement(retirement, rules);
  if (!agreed.allowed) return agreed;
  const { notice, request, release } = retirement;
  if (notice === null) return denied('PENDING', 'no notice has been given');
  const { environment } = notice.predicate;
  if (environment !== rules.environment) return denied('REPLAYED', `the notice is for environment ${environment}`);
  if (!signedInRole(rules, notice, 'control')) return denied('NOT_AUTHORISED', 'the notice was not given by control');
  const inEmergency = isEmergency(retirement, rules);
  const about = inEmergency ? retirement.vulnerability?.digest : request.digest;
  if (notice.subject !== release || notice.predicate.request !== about)
    return denied('REPLAYED', 'the notice is about another retirement');
  return inEmergency ? agreed : noticeOver(retirement, notice, agreed, rules);
}

/** The whole period is over of everybody who was told, and those who must have answered. */
function noticeOver(
  retirement: VerifiedRetirement,
  notice: Verified<NoticePredicate>,
  agreed: Permission,
  rules: Rules,
): Permission {
  const { request } = retirement;
  const period = periodOf(request, rules);
  const about = { ...retirement, name: retirement, notices: [notice, ...retirement.laterNotices] };
  // Control dates the notice, people date what they agree to: notice of what nobody has agreed to is none.
  const agreedAt = retirement.approvals.map(({ predicate }) => Date.parse(predicate.issuedAt));
  const earliest = Math.max(
    Date.parse(endOf(about, rules)),
    Math.max(Date.parse(notice.predicate.issuedAt), ...agreedAt) + period * 1000,
  );
  if (Date.parse(rules.now) < earliest)
    return denied('PENDING', `the notice period ends at ${new Date(earliest).toISOString()}`);
  const open = unanswered(about, rules);
  if (open.length > 0) return denied('PENDING', `${open.join(', ')} must acknowledge it first, or somebody waive that`);
  return agreed;
}

/** Whether a release was revoked because of this retirement, by who may. */
export function revocationHolds(
  retirement: Pick<VerifiedRetirement, 'release' | 'model' | 'version' | 'request' | 'vulnerability'>,
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
  const { request, vulnerability } = retirement;
  const isOfNotice =
    vulnerability !== null &&
    said.request === vulnerability.digest &&
    condemns(vulnerability, retirement, rules).allowed;
  return said.request === request.digest || isOfNotice
    ? { allowed: true, approvers: [] }
    : denied('REPLAYED', 'the revocation rests on another request');
}
