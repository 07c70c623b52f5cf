import { denied, personAsks, policyInForce, quorumReached, type Permission, type Rules } from './authorise.js';
import { trainingId } from './names.js';
import type { Quorum } from './policy.js';
import type { ApprovalPredicate, RequestPredicate, Verified } from './statements.js';

export interface TrainingRun {
  readonly model: string;
  readonly run: string;
  readonly request: Verified<RequestPredicate>;
}

/** Before people are asked to agree to a run: asked for by somebody who may, for this very run, and whole. */
export function mayAskToTrain({ model, run, request }: TrainingRun, rules: Rules): Permission {
  const inForce = policyInForce(rules);
  if (!inForce.allowed) return inForce;
  const admissible = personAsks(rules, request, 'train', trainingId(model, run));
  if (!admissible.allowed) return admissible;
  const { action, version, model: about } = request.predicate;
  if (action.kind !== 'train' || action.run !== run || about !== model)
    return denied('REPLAYED', `the request is for another run than ${run} of ${model}`);
  if (version === null) return denied('VERSION_INVALID', 'the request does not say which version to make');
  if (action.data === undefined)
    return denied('POLICY_REFUSED', 'the request does not say on which data: name the statement about them');
  if (action.commit === undefined)
    return denied('POLICY_REFUSED', 'the request does not say with which code: name the commit');
  if (quorumsOf(rules).length < 2)
    return denied('POLICY_REFUSED', 'the policy does not say who must agree to a run (approvals.train)');
  return { allowed: true, approvers: [] };
}

/** Before anything is run: the same, and people agreed who did not ask for it. */
export function authoriseTraining(
  training: TrainingRun & { readonly approvals: readonly Verified<ApprovalPredicate>[] },
  rules: Rules,
): Permission {
  let permission = mayAskToTrain(training, rules);
  for (const quorum of quorumsOf(rules))
    if (permission.allowed) permission = quorumReached(rules, training.request, training.approvals, quorum);
  return permission;
}

/** Nothing shows when a request was made but its own word: an older policy, which asked for fewer people, gains nothing. */
const quorumsOf = ({ gate, newest }: Rules): readonly Quorum[] =>
  [gate.approvals.train, newest.approvals.train].filter((quorum) => quorum !== undefined);
