import {
  allHandlersFinished,
  ApplicationFailure,
  CancellationScope,
  condition,
  workflowInfo,
} from '@temporalio/workflow';
import type { ErrorCode } from '../domain/errors.js';
import { isModelName } from '../domain/names.js';
import { refuseStrays } from './desk.js';
import { show } from './display.js';
import { Inbox } from './inbox.js';
import type { TrainingInput } from './messages.js';
import { obstacleOf, refusalOf, training as zone } from './zones.js';

export type TrainingOutcome =
  | { readonly kind: 'trained'; readonly source: string; readonly bundle: string; readonly provenance: string }
  | { readonly kind: 'rejected'; readonly code: ErrorCode; readonly reason: string };

/** One sandboxed run: a signed request goes in, a folder signed by its producer comes out. */
export async function training(input: TrainingInput): Promise<TrainingOutcome> {
  const [kind, model, run, ...rest] = workflowInfo().workflowId.split('/');
  if (kind !== 'training' || model === undefined || !isModelName(model) || run === undefined || rest.length > 0)
    throw ApplicationFailure.nonRetryable('the workflow id is not training/<model>/<run>', 'USAGE');
  const inbox = new Inbox([]);
  inbox.listen();
  return CancellationScope.nonCancellable(async () => {
    void refuseStrays(model, inbox, () => []);
    const display = (stage: string, facts: readonly (readonly [string, string])[]): void =>
      show({
        model,
        version: null,
        title: `training ${model} ${run}`,
        stage,
        digest: null,
        facts,
        counting: null,
        trouble: [],
      });
    display('training', []);
    const outcome = await train(model, run, input);
    display(outcome.kind, [outcome.kind === 'trained' ? ['Output', outcome.source] : ['Reason', outcome.reason]]);
    await condition(() => inbox.empty && inbox.settled && allHandlersFinished());
    return outcome;
  });
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
