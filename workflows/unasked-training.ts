import { patched } from '@temporalio/workflow';
import { orRejected } from './desk.js';
import { obstacleOf, refusalOf } from './failures.js';
import type { TrainingInput } from './messages.js';
import { shortWorkflow } from './short.js';
import { endedOf, factsOf, type Run, type TrainingOutcome } from './training.js';
import { control, training as zone } from './zones.js';

/** Of histories that were begun still earlier: there a run left no record. */
const AUDITED = 'training-audited';

/** How runs went that were begun before people were asked; the training zone refuses those that have not ended. */
export function unaskedTraining({ model, run }: Run, { request }: TrainingInput): Promise<TrainingOutcome> {
  return shortWorkflow(
    { model, version: null, title: `training ${model} ${run}` },
    'training',
    async (): Promise<TrainingOutcome> => {
      const outcome = await orRejected(
        async () => ({ kind: 'trained', ...(await zone.train(model, run, request, [])) }) as const,
        (error) => refusalOf(error) ?? obstacleOf(error),
      );
      if (!patched(AUDITED)) return outcome;
      return orRejected(async () => {
        await control.recordTraining(model, run, request, endedOf(outcome));
        return outcome;
      });
    },
    (outcome) => ({ facts: factsOf(outcome) }),
  );
}
