import { emergencyAssessed, emergencyPlan, emergencyQuorum, isEmergency, reviewOpenUntil } from './emergency.js';
import type { VerifiedEmergency } from './emergency.js';
import { heldUntil, overrideAgreed, type VerifiedOverride } from './override.js';
import { denied, type Permission, type Rules } from './permission.js';
import { planWeaker } from './plan.js';
import type { Policy, Quorum } from './policy.js';
import type { ApprovalPredicate, PlanStep, RequestPredicate, Verified } from './statements.js';

/** An approved deployment with all that may make it provisional: an override, an emergency, both or none. */
export interface Provisional {
  /** The deploy request. */
  readonly request: Verified<RequestPredicate>;
  readonly approvals: readonly Verified<ApprovalPredicate>[];
  readonly override: VerifiedOverride | null;
  readonly emergency: VerifiedEmergency | null;
}

/** Until when something stands, and what is said of it from then on. */
export interface Proviso {
  readonly until: string;
  readonly why: string;
}

/** Who must agree to a deployment; `null` where the policy has no such path. */
export function deployQuorum(policy: Policy, request: RequestPredicate): Quorum | null {
  return isEmergency(request) ? emergencyQuorum(policy) : policy.approvals.deploy;
}

/** The least that people can agree to: with nothing to share callers with, a first release takes them all at once. */
export function agreedPlan(policy: Policy, isUrgent: boolean, isFirst: boolean): readonly PlanStep[] {
  if (isUrgent) return emergencyPlan(policy);
  return isFirst ? policy.rollout.steps.slice(-1) : policy.rollout.steps;
}

/** In what a plan falls short of that; `null` where it does not. In an emergency, and at first, nobody waits for more steps. */
export function weakerThanAgreed(
  plan: readonly PlanStep[],
  policy: Policy,
  isUrgent: boolean,
  isFirst: boolean,
): string | null {
  const least = agreedPlan(policy, isUrgent, isFirst);
  const isAlone = isUrgent || isFirst;
  return isAlone && plan.length !== least.length ? 'it has more than one step' : planWeaker(plan, least);
}

/** Until when a deployment stands unless something happens; `null`: for good. */
export function standsUntil({ override, emergency, ...deployed }: Provisional, rules: Rules): Proviso | null {
  const provisos: Proviso[] = [];
  if (override !== null) {
    // One that never held lets nothing stand: it ended when it was asked for.
    const until = heldUntil(override, rules.newest) ?? override.request.predicate.issuedAt;
    provisos.push({ until, why: 'the override of its failed validation has ended' });
  }
  const review = emergency === null ? null : reviewOpenUntil(deployed, emergency, rules);
  if (review !== null) provisos.push(review);
  return provisos.sort((a, b) => Date.parse(a.until) - Date.parse(b.until))[0] ?? null;
}

/** Whether what a deployment provisionally rests on is there, was rightly agreed to, and still holds. */
export function stands(deployment: Provisional, rules: Rules): Permission {
  const agreed = overrideAgreed(deployment.request, deployment.override, rules);
  if (!agreed.allowed) return agreed;
  const weighed = emergencyAssessed(deployment.request, deployment.emergency, rules);
  if (!weighed.allowed) return weighed;
  const proviso = standsUntil(deployment, rules);
  if (proviso !== null && Date.parse(rules.now) >= Date.parse(proviso.until))
    return denied('EXPIRED', `it stood until ${proviso.until}: ${proviso.why}`);
  return { allowed: true, approvers: [] };
}
