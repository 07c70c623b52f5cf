import { ApplicationFailure, workflowInfo } from '@temporalio/workflow';
import { isModelName } from '../domain/names.js';
import type { TrainingInput } from './messages.js';
import { orRejected, type Rejected } from './desk.js';
import { shortWorkflow } from './short.js';
import { obstacleOf, refusalOf } from './failures.js';
import { training as zone } from './zones.js';

export type TrainingOutcome =
  | { readonly kind: 'trained'; readonly source: string; readonly bundle: string; readonly provenance: string }
  | Rejected;

/** One sandboxed run: a signed request goes in, a folder signed by its producer comes out. */
export async function training(input: TrainingInput): Promise<TrainingOutcome> {
  const [kind, model, run, ...rest] = workflowInfo().workflowId.split('/');
  if (kind !== 'training' || model === undefined || !isModelName(model) || run === undefined || rest.length > 0)
    throw ApplicationFailure.nonRetryable('the workflow id is not training/<model>/<run>', 'USAGE');
  return shortWorkflow(
    { model, version: null, title: `training ${model} ${run}` },
    'training',
    () =>
      // A full disk is no reason to wait: whoever asked runs it again.
      orRejected(
        async () => ({ kind: 'trained', ...(await zone.train(model, run, input.request)) }) as const,
        (error) => refusalOf(error) ?? obstacleOf(error),
      ),
    (outcome) => ({ facts: [outcome.kind === 'trained' ? ['Output', outcome.source] : ['Reason', outcome.reason]] }),
  );
}
