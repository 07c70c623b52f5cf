import { ApplicationFailure, workflowInfo } from '@temporalio/workflow';
import type { DeclaredConsumer } from '../activities/contract.js';
import { parseConsumerId } from '../domain/names.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { orRejected, type Rejected } from './desk.js';
import { shortWorkflow } from './short.js';
import { control } from './zones.js';

export type ConsumerOutcome = ({ readonly kind: 'declared' } & DeclaredConsumer) | Rejected;

/** Takes one statement about a consumer. Its argument is the statement itself; who starts it decides nothing. */
export async function consumer(signed: SignedEnvelope): Promise<ConsumerOutcome> {
  const id = parseConsumerId(workflowInfo().workflowId);
  if (id === null) throw ApplicationFailure.nonRetryable('the workflow id is not consumer/<id>/<number>', 'USAGE');
  const what = { model: null, version: null, title: `consumer ${id.consumer}, statement ${id.sequence}` };
  return shortWorkflow(
    what,
    'verify',
    () =>
      orRejected(async () => {
        const declared = await control.declareConsumer(id.consumer, id.sequence, signed);
        const { added = [] }: Partial<typeof declared> = declared;
        if (added.length > 0) await control.wakeEndings(added);
        return { kind: 'declared', ...declared } as const;
      }),
    (outcome) => ({
      facts: [
        outcome.kind === 'declared'
          ? ['Statement', outcome.statement]
          : ['Reason', `${outcome.code}: ${outcome.reason}`],
      ],
    }),
  );
}
