import { ApplicationFailure, workflowInfo } from '@temporalio/workflow';
import type { AppliedPolicy } from '../activities/contract.js';
import type { ErrorCode } from '../domain/errors.js';
import { parsePolicyId } from '../domain/names.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { shortWorkflow } from './short.js';
import { refusalOf } from './failures.js';
import { control } from './zones.js';

export type PolicyOutcome =
  | ({ readonly kind: 'applied' } & AppliedPolicy)
  | { readonly kind: 'rejected'; readonly code: ErrorCode; readonly reason: string };

/** Puts the next policy into force. Its argument is the signed policy itself; who starts it decides nothing. */
export async function policy(signed: SignedEnvelope): Promise<PolicyOutcome> {
  const version = parsePolicyId(workflowInfo().workflowId);
  if (version === null) throw ApplicationFailure.nonRetryable('the workflow id is not policy/<version>', 'USAGE');
  const what = { model: null, version: null, title: `policy ${version}` };
  return shortWorkflow(
    what,
    'verify',
    () => apply(version, signed),
    (outcome) => ({
      facts: [
        outcome.kind === 'applied' ? ['Digest', outcome.digest] : ['Reason', `${outcome.code}: ${outcome.reason}`],
      ],
    }),
  );
}

async function apply(version: number, signed: SignedEnvelope): Promise<PolicyOutcome> {
  try {
    return { kind: 'applied', ...(await control.applyPolicy(version, signed)) };
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal === null) throw error;
    return { kind: 'rejected', ...refusal };
  }
}
