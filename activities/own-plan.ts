import type { Records } from '../adapters/records.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import { planTooLong } from '../domain/plan.js';
import type { Policy } from '../domain/policy.js';
import { weakerThanAgreed } from '../domain/provisional.js';
import type { PlanStep } from '../domain/statements.js';

/** The plan that whoever asked for a release has given it; `null`: the policy's. */
export async function ownPlan(records: Records, admission: Digest): Promise<readonly PlanStep[] | null> {
  const { action } = (await records.get('request', admission)).verified.predicate;
  return action.kind === 'release' ? (action.plan ?? null) : null;
}

/** Refuses a plan before anybody is asked to approve it. POLICY_REFUSED says in what it falls short. */
export function demandPlan(own: readonly PlanStep[], policy: Policy, isUrgent: boolean): void {
  if (isUrgent) throw new CustodyError('POLICY_REFUSED', 'an emergency deployment has the plan of the policy');
  const weaker = weakerThanAgreed(own, policy, false, false);
  if (weaker !== null) throw new CustodyError('POLICY_REFUSED', `the plan is weaker than the policy's: ${weaker}`);
  const long = planTooLong(own, policy.rollout.deployWithinSeconds);
  if (long !== null) throw new CustodyError('POLICY_REFUSED', `the plan cannot come to its end: ${long}`);
}
