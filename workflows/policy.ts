import {
  allHandlersFinished,
  ApplicationFailure,
  CancellationScope,
  condition,
  workflowInfo,
} from '@temporalio/workflow';
import type { AppliedPolicy } from '../activities/contract.js';
import type { ErrorCode } from '../domain/errors.js';
import { parsePolicyId } from '../domain/names.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { refuseStrays } from './desk.js';
import { show } from './display.js';
import { Inbox } from './inbox.js';
import { control, refusalOf } from './zones.js';

export type PolicyOutcome =
  | ({ readonly kind: 'applied' } & AppliedPolicy)
  | { readonly kind: 'rejected'; readonly code: ErrorCode; readonly reason: string };

/** Puts the next policy into force. Its argument is the signed policy itself; who starts it decides nothing. */
export async function policy(signed: SignedEnvelope): Promise<PolicyOutcome> {
  const version = parsePolicyId(workflowInfo().workflowId);
  if (version === null) throw ApplicationFailure.nonRetryable('the workflow id is not policy/<version>', 'USAGE');
  const inbox = new Inbox([]);
  inbox.listen();
  return CancellationScope.nonCancellable(async () => {
    void refuseStrays('', inbox, () => []);
    const display = (stage: string, facts: readonly (readonly [string, string])[]): void =>
      show({
        model: null,
        version: null,
        title: `policy ${version}`,
        stage,
        digest: null,
        facts,
        counting: null,
        trouble: [],
      });
    display('verify', []);
    const outcome = await apply(version, signed);
    display(outcome.kind, [
      outcome.kind === 'applied' ? ['Digest', outcome.digest] : ['Reason', `${outcome.code}: ${outcome.reason}`],
    ]);
    await condition(() => inbox.empty && inbox.settled && allHandlersFinished());
    return outcome;
  });
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
