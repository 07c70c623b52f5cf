import { ApplicationFailure, workflowInfo } from '@temporalio/workflow';
import { parseAlertId } from '../domain/names.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { orRejected, type Rejected } from './desk.js';
import { shortWorkflow } from './short.js';
import { control } from './zones.js';

export type AlertOutcome = { readonly kind: 'handed on' } | Rejected;

/** One security alert about a model whose endpoint was not there to take it. Its argument is the signed alert itself. */
export async function alert(signed: SignedEnvelope): Promise<AlertOutcome> {
  const model = parseAlertId(workflowInfo().workflowId);
  if (model === null) throw ApplicationFailure.nonRetryable('the workflow id is not alert/<model>/<digest>', 'USAGE');
  return shortWorkflow(
    { model, version: null, title: `security alert about ${model}` },
    'verify',
    () =>
      orRejected(async () => {
        await control.strayAlert(model, signed);
        return { kind: 'handed on' } as const;
      }),
    (outcome) => (outcome.kind === 'rejected' ? { facts: [['Reason', `${outcome.code}: ${outcome.reason}`]] } : {}),
  );
}
