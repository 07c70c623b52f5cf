import { ApplicationFailure, workflowInfo } from '@temporalio/workflow';
import { isModelName } from '../domain/names.js';
import { show } from './display.js';
import type { TrainingInput } from './messages.js';
import { refusalOf, training as zone } from './zones.js';

export type TrainingOutcome =
  | { readonly kind: 'trained'; readonly source: string; readonly bundle: string; readonly provenance: string }
  | { readonly kind: 'rejected'; readonly code: string; readonly reason: string };

/** One sandboxed run: a signed request goes in, a folder signed by its producer comes out. */
export async function training(input: TrainingInput): Promise<TrainingOutcome> {
  const [, model, run] = workflowInfo().workflowId.split('/');
  if (model === undefined || run === undefined || !isModelName(model))
    throw ApplicationFailure.nonRetryable('the workflow id is not training/<model>/<run>', 'USAGE');
  const title = `training ${model} ${run}`;
  show({ title, stage: 'training', digest: null, facts: [], gate: null });
  try {
    const trained = await zone.train(model, run, input.request);
    show({ title, stage: 'trained', digest: null, facts: [['Output', trained.source]], gate: null });
    return { kind: 'trained', ...trained };
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal === null) throw error;
    show({ title, stage: 'rejected', digest: null, facts: [['Reason', refusal.reason]], gate: null });
    return { kind: 'rejected', ...refusal };
  }
}
