import { ApplicationFailure, workflowInfo } from '@temporalio/workflow';
import type { DeclaredConsumer } from '../activities/contract.js';
import { parseConsumerId } from '../domain/names.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { shortWorkflow } from './short.js';
import { refusalOf, type Failure } from './failures.js';
import { control } from './zones.js';

export type ConsumerOutcome =
  ({ readonly kind: 'declared' } & DeclaredConsumer) | ({ readonly kind: 'rejected' } & Failure);

/** Takes one statement about a consumer. Its argument is the statement itself; who starts it decides nothing. */
export async function consumer(signed: SignedEnvelope): Promise<ConsumerOutcome> {
  const id = parseConsumerId(workflowInfo().workflowId);
  if (id === null) throw ApplicationFailure.nonRetryable('the workflow id is not consumer/<id>/<number>', 'USAGE');
  const what = { model: null, version: null, title: `consumer ${id.consumer}, statement ${id.sequence}` };
  return shortWorkflow(
    what,
    'verify',
    () => declare(id.consumer, id.sequence, signed),
    (outcome) => ({
      facts: [
        outcome.kind === 'declared'
          ? ['Statement', outcome.statement]
          : ['Reason', `${outcome.code}: ${outcome.reason}`],
      ],
    }),
  );
}

async function declare(consumer: string, sequence: number, signed: SignedEnvelope): Promise<ConsumerOutcome> {
  try {
    return { kind: 'declared', ...(await control.declareConsumer(consumer, sequence, signed)) };
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal === null) throw error;
    return { kind: 'rejected', ...refusal };
  }
}
