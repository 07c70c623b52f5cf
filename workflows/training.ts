import { ApplicationFailure, workflowInfo } from '@temporalio/workflow';
import type { ErrorCode } from '../domain/errors.js';
import { isModelName } from '../domain/names.js';
import type { TrainingInput } from './messages.js';
import { shortWorkflow } from './short.js';
import { obstacleOf, refusalOf } from './failures.js';
import { training as zone } from './zones.js';

export type TrainingOutcome =
  | { readonly kind: 'trained'; readonly source: string; readonly bundle: string; readonly provenance: string }
  | { readonly kind: 'rejected'; readonly code: ErrorCode; readonly reason: string };

/** One sandboxed run: a signed request goes in, a folder signed by its producer comes out. */
export async function training(input: TrainingInput): Promise<TrainingOutcome> {
  const [kind, model, run, ...rest] = workflowInfo().workflowId.split('/');
  if (kind !== 'training' || model === undefined || !isModelName(model) || run === undefined || rest.length > 0)
    throw ApplicationFailure.nonRetryable('the workflow id is not training/<model>/<run>', 'USAGE');
  return shortWorkflow(
    { model, version: null, title: `training ${model} ${run}` },
    'training',
    () => train(model, run, input),
    (outcome) => ({ facts: [outcome.kind === 'trained' ? ['Output', outcome.source] : ['Reason', outcome.reason]] }),
  );
}

async function train(model: string, run: string, input: TrainingInput): Promise<TrainingOutcome> {
  try {
    return { kind: 'trained', ...(await zone.train(model, run, input.request)) };
  } catch (error) {
    const refusal = refusalOf(error) ?? obstacleOf(error);
    if (refusal === null) throw error;
    return { kind: 'rejected', ...refusal };
  }
}
