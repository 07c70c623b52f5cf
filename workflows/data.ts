import { ApplicationFailure, workflowInfo } from '@temporalio/workflow';
import type { DataControl, DataIntake, TakenData } from '../activities/data-contract.js';
import type { Digest } from '../domain/digest.js';
import { parseDataId } from '../domain/names.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { given } from './arguments.js';
import { carriedOut, type Rejected } from './desk.js';
import { shortWorkflow } from './short.js';
import { zone } from './zone.js';
import { long, short } from './zones.js';

export interface DataInput {
  /** What is said of the data, and each handover that it names, in their order. */
  readonly statement: SignedEnvelope;
  readonly handovers: readonly SignedEnvelope[];
  /** Where they lie: a folder that zone intake can read. */
  readonly folder: string;
}

export type DataOutcome =
  ({ readonly kind: 'registered'; readonly statement: Digest; readonly by: string } & TakenData) | Rejected;

const control = zone<Omit<DataControl, 'refuse'>>(
  { taskQueue: 'control', ...short },
  {
    admitData: (source) => `verifies through whose hands the data ${source} came`,
    recordData: (source) => `records that the data ${source} may be used`,
  },
);
const intake = zone<DataIntake>(
  { taskQueue: 'intake', ...long },
  { takeData: (source) => `compares the data ${source} with what was signed for` },
);

/** Registers data to train on. Its argument is what a publisher or a data steward has signed; who starts it decides nothing. */
export async function data(input: DataInput): Promise<DataOutcome> {
  const { statement, handovers, folder } = given(input);
  const id = parseDataId(workflowInfo().workflowId);
  if (id === null) throw ApplicationFailure.nonRetryable('the workflow id is not data/<source>/<digest>', 'USAGE');
  const { source } = id;
  return shortWorkflow(
    { model: null, version: null, title: `data ${source}` },
    'verify',
    () =>
      carriedOut(
        { model: '', message: 'data', envelope: statement },
        () => control.admitData(source, statement, handovers),
        async (admitted): Promise<DataOutcome> => {
          const taken = await intake.takeData(source, admitted, folder);
          await control.recordData(source, admitted, taken);
          return { kind: 'registered', statement: admitted.statement, by: admitted.by, ...taken };
        },
      ),
    (outcome) =>
      outcome.kind === 'registered'
        ? { digest: outcome.statement, facts: [['Files', String(outcome.files)]] }
        : { facts: [['Reason', `${outcome.code}: ${outcome.reason}`]] },
  );
}
