import { ApplicationFailure, patched, workflowInfo } from '@temporalio/workflow';
import { isModelName } from '../domain/names.js';
import type { TrainingEnded } from '../activities/contract.js';
import type { Digest } from '../domain/digest.js';
import type { TrainingInput } from './messages.js';
import { orRejected, type Rejected } from './desk.js';
import { shortWorkflow } from './short.js';
import { obstacleOf, refusalOf } from './failures.js';
import { control, training as zone } from './zones.js';

export type TrainingOutcome =
  | {
      readonly kind: 'trained';
      readonly source: string;
      readonly bundle: string;
      readonly provenance: string;
      readonly statement: Digest;
    }
  | Rejected;

/** Of histories that were begun earlier: there a run left no record. */
const AUDITED = 'training-audited';

/** One sandboxed run: a signed request goes in, a folder signed by its producer comes out. */
export async function training(input: TrainingInput): Promise<TrainingOutcome> {
  const [kind, model, run, ...rest] = workflowInfo().workflowId.split('/');
  if (kind !== 'training' || model === undefined || !isModelName(model) || run === undefined || rest.length > 0)
    throw ApplicationFailure.nonRetryable('the workflow id is not training/<model>/<run>', 'USAGE');
  return shortWorkflow(
    { model, version: null, title: `training ${model} ${run}` },
    'training',
    async () => {
      // A full disk is no reason to wait: whoever asked runs it again.
      const outcome = await orRejected(
        async () => ({ kind: 'trained', ...(await zone.train(model, run, input.request)) }) as const,
        (error) => refusalOf(error) ?? obstacleOf(error),
      );
      if (!patched(AUDITED)) return outcome;
      return orRejected(async () => {
        await control.recordTraining(model, run, input.request, endedOf(outcome));
        return outcome;
      });
    },
    (outcome) => ({ facts: [outcome.kind === 'trained' ? ['Output', outcome.source] : ['Reason', outcome.reason]] }),
  );
}

function endedOf(outcome: TrainingOutcome): TrainingEnded {
  if (outcome.kind === 'trained') return { kind: 'trained', statement: outcome.statement };
  return { kind: 'rejected', code: outcome.code, reason: outcome.reason };
}
