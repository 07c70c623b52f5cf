import { checkVote, type Refusal } from './approvals.js';
import type { Digest } from './digest.js';
import { denied, isToCome, rightlyAsked, signedInRole, type Permission, type Rules } from './permission.js';
import type { Policy, Quorum } from './policy.js';
import type { OverridePredicate } from './provisional-predicates.js';
import type { RequestPredicate, TestResultPredicate, Verified } from './statements.js';
import { isoTime } from './time.js';

/** What lifts a failed validation, every signature in it checked. */
export interface VerifiedOverride {
  /** Control's request: what has failed. */
  readonly request: Verified<RequestPredicate>;
  /** The policy that it was made under. */
  readonly gate: Policy;
  /** What override authorities have said to it: the first ones and all renewals. */
  readonly statements: readonly Verified<OverridePredicate>[];
}

/** What nobody may lift where the policy does not say. */
export const SAFETY: readonly string[] = ['safety/*'];
/** A suite with too few cases or rows has not tried the release: there is nothing to weigh. */
const UNTRIED: readonly string[] = ['cases/*', 'rows/*'];

export function overrideQuorum({ override }: Policy): Quorum | null {
  if (override === undefined) return null;
  return { role: 'override-authority', count: override.count, withinSeconds: override.withinSeconds };
}

/** Why these criteria may not be lifted under a policy; `null` when they may. */
export function liftingRefused(criteria: readonly string[], { override, validation }: Policy): string | null {
  if (override === undefined) return 'the policy knows no override';
  const always = [...UNTRIED, ...(validation.always ?? SAFETY)].map(pattern);
  const found = criteria.find((criterion) => always.some((each) => each.test(criterion)));
  return found === undefined ? null : `${found} can never be lifted`;
}

/** What would lift these criteria under a policy, in words for whoever is told that they failed. */
export function remedyOf(criteria: readonly string[], policy: Policy): string {
  const refused = liftingRefused(criteria, policy);
  const { override } = policy;
  if (refused !== null || override === undefined) return `no override can help: ${refused ?? ''}`;
  const { count, withinSeconds, holdsSeconds } = override;
  return (
    `${count} with the role override-authority, within ${withinSeconds} s, who lift exactly ${criteria.join(', ')}; ` +
    `it would hold for ${holdsSeconds} s at most`
  );
}

function pattern(text: string): RegExp {
  const parts = text.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`);
}

/** Whether one override counts. A renewal may come after the request has expired; all else is the same. */
export function checkOverride(
  { request, gate }: Omit<VerifiedOverride, 'statements'>,
  said: Verified<OverridePredicate>,
  newest: Policy,
  isRenewal: boolean,
): { readonly approver: string } | Refusal {
  const asked = request.predicate;
  const { release, testResult, lifts, holdsUntil, issuedAt } = said.predicate;
  const refuse = (code: Refusal['code'], reason: string): Refusal => ({ statement: said.digest, code, reason });
  const quorum = overrideQuorum(gate);
  if (asked.action.kind !== 'override' || quorum === null)
    return refuse('REPLAYED', 'the request does not ask for an override');
  const vote = checkVote({ request, quorum, gate, newest }, said, isRenewal ? null : asked.expiresAt);
  if ('code' in vote) return vote;
  if (release !== asked.release || testResult !== asked.evidence['testResult'])
    return refuse('REPLAYED', 'it is about another validation');
  if (!isSame(lifts, asked.action.failed))
    return refuse('POLICY_REFUSED', `it must lift exactly what has failed: ${asked.action.failed.join(', ')}`);
  const refused = liftingRefused(lifts, gate) ?? liftingRefused(lifts, newest);
  if (refused !== null) return refuse('POLICY_REFUSED', refused);
  const longest = Date.parse(issuedAt) + (gate.override?.holdsSeconds ?? 0) * 1000;
  if (Date.parse(holdsUntil) > longest)
    return refuse('POLICY_REFUSED', `an override holds until ${isoTime(longest)} at the latest`);
  if (holdsUntil <= issuedAt) return refuse('EXPIRED', 'it does not hold for any time');
  return vote;
}

/**
 * Whether the failed validation that a deploy request rests on was lifted: for this very request, by a quorum whose
 * statements the request names, so that its approvers have seen them. Until when it holds is another question.
 */
export function overrideAgreed(
  deploy: Verified<RequestPredicate>,
  override: VerifiedOverride | null,
  rules: Rules,
): Permission {
  const asked = deploy.predicate;
  const named = asked.evidence['override'];
  if (named !== override?.request.digest)
    return denied('REPLAYED', 'the approved request names another override than there is');
  if (override === null) return { allowed: true, approvers: [] };
  const { request, gate, statements } = override;
  const about = request.predicate;
  const isSameRelease =
    about.environment === asked.environment &&
    about.workflowId === asked.workflowId &&
    about.release === asked.release &&
    about.requester === asked.requester &&
    about.producer === asked.producer &&
    about.evidence['testResult'] === asked.evidence['testResult'];
  if (!isSameRelease) return denied('REPLAYED', 'the override was asked for something else');
  const then = { ...rules, gate };
  if (!signedInRole(then, request, 'control'))
    return denied('NOT_AUTHORISED', 'the override was not asked for by control');
  const quorum = overrideQuorum(gate);
  if (quorum === null) return denied('POLICY_REFUSED', 'the policy knows no override');
  const rightly = rightlyAsked(then, request, quorum);
  if (!rightly.allowed) return rightly;

  const people = new Set<string>();
  const known = new Set<Digest>(Object.values(asked.evidence));
  for (const statement of statements) {
    if (isToCome(statement.predicate.issuedAt, rules.now))
      return denied('EXPIRED', `an override says it was made at ${statement.predicate.issuedAt}, which is to come`);
    if (!known.has(statement.digest)) continue;
    const checked = checkOverride(override, statement, rules.newest, false);
    if ('code' in checked) return denied(checked.code, `the override does not count: ${checked.reason}`);
    people.add(checked.approver);
  }
  if (people.size >= quorum.count) return { allowed: true, approvers: [...people] };
  return denied('NOT_AUTHORISED', `${quorum.count - people.size} more with the role ${quorum.role} must override`);
}

/** Whether an override lifts exactly what this test result says has failed. */
export function failureLifted(result: TestResultPredicate, override: VerifiedOverride | null): boolean {
  const action = override?.request.predicate.action;
  return action?.kind === 'override' && result.failedTests.length > 0 && isSame(action.failed, result.failedTests);
}

/**
 * When, for the first time, fewer people than the quorum hold the override. A renewal that came after that renews nothing.
 * `null` where there has never been a quorum at once.
 */
export function heldUntil(override: VerifiedOverride, newest: Policy): string | null {
  const count = overrideQuorum(override.gate)?.count ?? Infinity;
  const spans = override.statements.flatMap((statement) => {
    const checked = checkOverride(override, statement, newest, true);
    if ('code' in checked) return [];
    const { issuedAt, holdsUntil } = statement.predicate;
    return [{ who: checked.approver, from: Date.parse(issuedAt), until: Date.parse(holdsUntil) }];
  });
  const holds = (at: number): boolean =>
    new Set(spans.flatMap(({ who, from, until }) => (from <= at && at < until ? [who] : []))).size >= count;
  const begun = spans
    .map(({ from }) => from)
    .sort((a, b) => a - b)
    .find(holds);
  if (begun === undefined) return null;
  const end = spans
    .map(({ until }) => until)
    .filter((until) => until > begun)
    .sort((a, b) => a - b)
    .find((until) => !holds(until));
  return end === undefined ? null : isoTime(end);
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return new Set(a).size === a.length && a.length === b.length && a.every((each) => b.includes(each));
}
