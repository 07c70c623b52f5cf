import { ApplicationFailure, CancellationScope, isCancellation, patched, workflowInfo } from '@temporalio/workflow';
import type { TrainingEnded } from '../activities/training-contract.js';
import type { Digest } from '../domain/digest.js';
import { isModelName } from '../domain/names.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { given } from './arguments.js';
import { askedWorkflow, type AskedCarried, type AskedDesk } from './asked.js';
import { orRejected, whyOf, type Rejected } from './desk.js';
import { obstacleOf, refusalOf } from './failures.js';
import { opened, type Counting } from './gate.js';
import type { TrainingInput } from './messages.js';
import { unaskedTraining } from './unasked-training.js';
import { control, training as zone } from './zones.js';

export type TrainingOutcome =
  | {
      readonly kind: 'trained';
      readonly source: string;
      readonly bundle: string;
      readonly provenance: string;
      readonly statement: Digest;
    }
  | { readonly kind: 'expired' }
  | Rejected;

export interface Run {
  readonly model: string;
  readonly run: string;
}

/** Of histories that were begun earlier: there nobody was asked. */
const ASKED = 'training-asked';

/**
 * One sandboxed run, once people agree: a signed request goes in, a folder signed by its producer comes out. The training zone
 * checks request, approvals, code and data for itself. The last two arguments are as in a lifecycle.
 */
export async function training(
  input: TrainingInput,
  continueAfterEvents: number | null = null,
  carried?: AskedCarried,
): Promise<TrainingOutcome> {
  const [kind, model, run, ...rest] = workflowInfo().workflowId.split('/');
  if (kind !== 'training' || model === undefined || !isModelName(model) || run === undefined || rest.length > 0)
    throw ApplicationFailure.nonRetryable('the workflow id is not training/<model>/<run>', 'USAGE');
  if (!patched(ASKED)) return unaskedTraining({ model, run }, input);
  return askedWorkflow(
    { model, version: null, title: `training ${model} ${run}` },
    { input, continueAfterEvents, carried },
    (desk) => decided({ model, run }, given(input), desk),
    factsOf,
  );
}

export const factsOf = (outcome: TrainingOutcome): readonly (readonly [string, string])[] =>
  outcome.kind === 'trained' ? [['Output', outcome.source]] : whyOf(outcome);

async function decided({ model, run }: Run, { request }: TrainingInput, desk: AskedDesk): Promise<TrainingOutcome> {
  // A request that control does not admit it has audited itself.
  return orRejected(async () => {
    const gate = desk.from ?? opened('train', await control.openTrainingGate(model, run, request));
    // A full disk is no reason to wait: whoever asked runs it again.
    const outcome = await orRejected(
      async (): Promise<TrainingOutcome> => {
        if (desk.from === null && !(await examined({ model, run }, request, gate))) return { kind: 'expired' };
        const said = await desk.ask(gate);
        if (said.kind !== 'approved') return said;
        desk.shown('train');
        return { kind: 'trained', ...(await zone.train(model, run, request, said.approved.approvals)) };
      },
      (error) => refusalOf(error) ?? obstacleOf(error),
    );
    await control.recordTraining(model, run, request, endedOf(outcome));
    return outcome;
  });
}

/** Nobody is asked before the zone has looked; where it does not come to that in time, nobody is. */
async function examined({ model, run }: Run, request: SignedEnvelope, { gate }: Counting): Promise<boolean> {
  const left = Math.max(1, Date.parse(gate.expiresAt) - Date.now());
  try {
    await CancellationScope.withTimeout(left, () => zone.examine(model, run, request));
    return true;
  } catch (error) {
    if (isCancellation(error)) return false;
    throw error;
  }
}

export function endedOf(outcome: TrainingOutcome): TrainingEnded {
  if (outcome.kind === 'trained') return { kind: 'trained', statement: outcome.statement };
  if (outcome.kind === 'expired')
    return { kind: 'rejected', code: 'EXPIRED', reason: 'nobody, or too few, agreed to it in time' };
  return { kind: 'rejected', code: outcome.code, reason: outcome.reason };
}
