import { tally } from './approvals.js';
import { denied, isToCome, quorumReached, signedInRole, type Permission, type Rules } from './permission.js';
import { findAuthority, holdsRole, type Policy, type Quorum } from './policy.js';
import type { RiskAssessmentPredicate } from './provisional-predicates.js';
import type { ApprovalPredicate, PlanStep, RequestPredicate, Verified } from './statements.js';
import { isoTime } from './time.js';

/** What an emergency deployment rests on beside its approvals, every signature in it checked. */
export interface VerifiedEmergency {
  readonly assessment: Verified<RiskAssessmentPredicate>;
  /** What people have said of it afterwards; `null` while nobody has. */
  readonly review: {
    readonly request: Verified<RequestPredicate>;
    readonly approvals: readonly Verified<ApprovalPredicate>[];
  } | null;
}

/** A deploy request that rests on a risk assessment takes the shorter path. */
export function isEmergency({ evidence }: RequestPredicate): boolean {
  return evidence['riskAssessment'] !== undefined;
}

export function emergencyQuorum({ emergency }: Policy): Quorum | null {
  return emergency.deployment === undefined ? null : { role: 'security-authority', ...emergency.deployment.approval };
}

/** Who must say afterwards that it was right. */
export function reviewQuorum({ emergency }: Policy): Quorum | null {
  return emergency.deployment?.review ?? null;
}

/** The plan of an emergency: all callers at once, watched for its own time. */
export function emergencyPlan({ emergency }: Policy): readonly PlanStep[] {
  return emergency.deployment === undefined ? [] : [{ weight: 100, bakeSeconds: emergency.deployment.bakeSeconds }];
}

/** Whether a written assessment of this release stands behind it, by the person who asks: a workload cannot weigh risks. */
export function assessed(
  { environment, model, version, release, requester }: Pick<RequestPredicate, Asked>,
  assessment: Verified<RiskAssessmentPredicate>,
  { gate, newest, now }: Rules,
): Permission {
  if (gate.emergency.deployment === undefined)
    return denied('POLICY_REFUSED', 'the policy knows no emergency deployment');
  const said = assessment.predicate;
  const isSame = said.environment === environment && said.model === model && said.version === version;
  if (!isSame || (release !== null && assessment.subject !== release))
    return denied('REPLAYED', 'the risk assessment is about another release');
  if (isToCome(said.issuedAt, now))
    return denied('EXPIRED', `the risk assessment says it was made at ${said.issuedAt}, which is to come`);
  if (assessment.signers.length !== 1 || assessment.signers[0] !== requester)
    return denied('NOT_AUTHORISED', `${requester}, and nobody else, must have signed the risk assessment`);
  const isPerson = [gate, newest].every((policy) => findAuthority(policy, requester)?.kind === 'person');
  const mayAsk = holdsRole(gate, newest, requester, 'requester') || holdsRole(gate, newest, requester, 'operator');
  return isPerson && mayAsk
    ? { allowed: true, approvers: [] }
    : denied('NOT_AUTHORISED', `${requester} is not a person who may ask for an emergency deployment`);
}
type Asked = 'environment' | 'model' | 'version' | 'release' | 'requester';

/** Whether the assessment that a deploy request names is the one there is, and stands behind it. */
export function emergencyAssessed(
  { predicate }: Verified<RequestPredicate>,
  emergency: VerifiedEmergency | null,
  rules: Rules,
): Permission {
  if (predicate.evidence['riskAssessment'] !== emergency?.assessment.digest)
    return denied('REPLAYED', 'the approved request names another risk assessment than there is');
  return emergency === null ? { allowed: true, approvers: [] } : assessed(predicate, emergency.assessment, rules);
}

interface Deployed {
  readonly request: Verified<RequestPredicate>;
  readonly approvals: readonly Verified<ApprovalPredicate>[];
}

/** Who has approved an emergency, and until when it must have been reviewed: the policy's time, from the last approval on. */
export function reviewTerms(
  { request, approvals }: Deployed,
  { gate, newest }: Rules,
): { readonly due: string; readonly approvers: readonly string[] } {
  const quorum = emergencyQuorum(gate);
  const count = quorum === null ? null : tally({ request, approvals, quorum, gate, newest });
  const approvers = count?.kind === 'approved' ? count.approvers : [];
  const times = count?.kind === 'approved' ? approvals.filter(({ digest }) => count.approvals.includes(digest)) : [];
  const from = Math.max(Date.parse(request.predicate.issuedAt), ...times.map((t) => Date.parse(t.predicate.issuedAt)));
  return { due: isoTime(from + (gate.emergency.deployment?.review.withinSeconds ?? 0) * 1000), approvers };
}

/** Until when an emergency deployment stands, and why no longer; `null` once it was rightly reviewed. */
export function reviewOpenUntil(
  deployed: Deployed,
  { review }: VerifiedEmergency,
  rules: Rules,
): { readonly until: string; readonly why: string } | null {
  const { due, approvers } = reviewTerms(deployed, rules);
  const pending = { until: due, why: 'the emergency deployment was not reviewed in time' };
  const quorum = reviewQuorum(rules.gate);
  if (review === null || quorum === null) return pending;
  const { request, approvals } = review;
  const { predicate } = request;
  const asked = deployed.request.predicate;
  const isOfThis =
    predicate.action.kind === 'review' &&
    predicate.evidence['deploy'] === deployed.request.digest &&
    predicate.environment === asked.environment &&
    predicate.workflowId === asked.workflowId &&
    predicate.policy === asked.policy &&
    predicate.requester === asked.requester &&
    predicate.producer === asked.producer &&
    predicate.expiresAt <= due;
  if (!isOfThis || !signedInRole(rules, request, 'control')) return pending;
  const { gate, newest } = rules;
  const count = tally({ request, approvals, quorum, apart: approvers, gate, newest });
  if (count.kind === 'rejected') {
    const until = approvals.find(({ digest }) => digest === count.statement)?.predicate.issuedAt ?? due;
    return { until, why: `${count.by} rejected it in review: ${count.reason}` };
  }
  return quorumReached(rules, request, approvals, quorum, approvers).allowed ? null : pending;
}
