import type { Digest } from './digest.js';
import type { ErrorCode } from './errors.js';
import { holdsRole, type Policy, type Quorum } from './policy.js';
import type { ApprovalPredicate, RequestPredicate, Verified } from './statements.js';
import { MAX_SKEW_MS } from './time.js';

export interface Refusal {
  readonly statement: Digest;
  readonly code: ErrorCode;
  readonly reason: string;
}

export type Tally =
  | { readonly kind: 'approved'; readonly approvals: readonly Digest[]; readonly approvers: readonly string[] }
  | { readonly kind: 'rejected'; readonly by: string; readonly statement: Digest; readonly reason: string }
  | { readonly kind: 'pending'; readonly missing: number; readonly approvers: readonly string[] };

export interface TallyInput {
  readonly request: Verified<RequestPredicate>;
  readonly approvals: readonly Verified<ApprovalPredicate>[];
  readonly quorum: Quorum;
  readonly gate: Policy;
  readonly newest: Policy;
  /** People who may not decide this, because they have had a part in it. */
  readonly apart?: readonly string[];
}

/** What every statement of a person about a request says of it. */
type Vote = Pick<ApprovalPredicate, 'requestId' | 'environment' | 'workflowId' | 'issuedAt'>;

/** Whether one decision counts for a request: inside the request's time, and by the rules of `checkVote`. */
export function checkDecision(
  input: Omit<TallyInput, 'approvals'>,
  approval: Verified<ApprovalPredicate>,
): { readonly approver: string } | Refusal {
  return checkVote(input, approval, input.request.predicate.expiresAt);
}

/**
 * It must name this very request, environment and workflow, be neither older than the request nor made after `closesAt`,
 * come from the quorum's role, and not from the requester, the producer or anybody else with a part in it.
 */
export function checkVote(
  input: Omit<TallyInput, 'approvals'>,
  approval: Verified<Vote>,
  closesAt: string | null,
): { readonly approver: string } | Refusal {
  const { request, quorum, gate, newest, apart = [] } = input;
  const asked = request.predicate;
  const said = approval.predicate;
  const refuse = (code: ErrorCode, reason: string): Refusal => ({ statement: approval.digest, code, reason });

  if (approval.subject !== request.digest || said.requestId !== asked.requestId)
    return refuse('REPLAYED', 'it decides another request');
  if (said.environment !== asked.environment) return refuse('REPLAYED', `it is for environment ${said.environment}`);
  if (said.workflowId !== asked.workflowId) return refuse('REPLAYED', `it is for workflow ${said.workflowId}`);

  const issued = Date.parse(said.issuedAt);
  if (issued < Date.parse(asked.issuedAt) - MAX_SKEW_MS) return refuse('EXPIRED', 'it is older than the request');
  if (closesAt !== null && issued > Date.parse(closesAt))
    return refuse('EXPIRED', 'it was given after the request had expired');

  const approver = approval.signers.find((id) => holdsRole(gate, newest, id, quorum.role));
  if (approver === undefined)
    return refuse('NOT_AUTHORISED', `${approval.signers.join(', ')} does not hold the role ${quorum.role}`);
  const asker = approval.signers.find((id) => id === asked.requester || request.signers.includes(id));
  if (asker !== undefined) return refuse('NOT_AUTHORISED', `${asker} asked for this and cannot decide it`);
  if (asked.producer !== null && approval.signers.includes(asked.producer))
    return refuse('NOT_AUTHORISED', `${asked.producer} produced this and cannot decide it`);
  const part = approval.signers.find((id) => apart.includes(id));
  if (part !== undefined) return refuse('NOT_AUTHORISED', `${part} has had a part in this and cannot decide it`);
  return { approver };
}

/** Counts people, not keys and not envelopes. One valid rejection outweighs any number of approvals. */
export function tally(input: TallyInput): Tally {
  const approvers = new Map<string, Digest>();
  for (const approval of input.approvals) {
    const checked = checkDecision(input, approval);
    if ('code' in checked) continue;
    if (approval.predicate.decision === 'reject')
      return { kind: 'rejected', by: checked.approver, statement: approval.digest, reason: approval.predicate.reason };
    if (!approvers.has(checked.approver)) approvers.set(checked.approver, approval.digest);
  }
  const names = [...approvers.keys()];
  if (names.length < input.quorum.count)
    return { kind: 'pending', missing: input.quorum.count - names.length, approvers: names };
  return { kind: 'approved', approvals: [...approvers.values()], approvers: names };
}
