import { ApplicationFailure, workflowInfo } from '@temporalio/workflow';
import type { AppliedPolicy } from '../activities/contract.js';
import { parsePolicyId } from '../domain/names.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { orRejected, type Rejected } from './desk.js';
import { shortWorkflow } from './short.js';
import { control } from './zones.js';

export type PolicyOutcome = ({ readonly kind: 'applied' } & AppliedPolicy) | Rejected;

/** Puts the next policy into force. Its argument is the signed policy itself; who starts it decides nothing. */
export async function policy(signed: SignedEnvelope): Promise<PolicyOutcome> {
  const version = parsePolicyId(workflowInfo().workflowId);
  if (version === null) throw ApplicationFailure.nonRetryable('the workflow id is not policy/<version>', 'USAGE');
  const what = { model: null, version: null, title: `policy ${version}` };
  return shortWorkflow(
    what,
    'verify',
    () => orRejected(async () => ({ kind: 'applied', ...(await control.applyPolicy(version, signed)) }) as const),
    (outcome) => ({
      facts: [
        outcome.kind === 'applied' ? ['Digest', outcome.digest] : ['Reason', `${outcome.code}: ${outcome.reason}`],
      ],
    }),
  );
}
