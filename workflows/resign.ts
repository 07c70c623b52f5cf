import { ApplicationFailure, workflowInfo } from '@temporalio/workflow';
import type { Resigned } from '../activities/contract.js';
import { parseResignId, type ReleaseName } from '../domain/names.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { given } from './arguments.js';
import { carriedOut, type Rejected } from './desk.js';
import type { ResignInput } from './messages.js';
import { shortWorkflow } from './short.js';
import { control, signing } from './zones.js';

export type ResignOutcome = ({ readonly kind: 'resigned' } & Resigned) | Rejected;

/** Gives a release one more signature, by the key that signs today. The signing zone checks for itself whether it may. */
export async function resign(input: ResignInput): Promise<ResignOutcome> {
  const name = parseResignId(workflowInfo().workflowId);
  if (name === null) throw ApplicationFailure.nonRetryable('the workflow id is not resign/<model>/<version>', 'USAGE');
  const what = { ...name, title: `one more signature for ${name.model} ${name.version}` };
  return shortWorkflow(
    what,
    'sign',
    () => signOnceMore(name, given(input).request),
    (outcome) =>
      outcome.kind === 'resigned'
        ? { digest: outcome.release }
        : { facts: [['Reason', `${outcome.code}: ${outcome.reason}`]] },
  );
}

async function signOnceMore(name: ReleaseName, envelope: SignedEnvelope): Promise<ResignOutcome> {
  return carriedOut(
    { model: name.model, message: 'resign', envelope },
    () => control.admitResign(name, envelope),
    async (request): Promise<ResignOutcome> => {
      const resigned = await signing.resignRelease(name, request);
      await control.recordResigned(name, request, resigned);
      return { kind: 'resigned', ...resigned };
    },
  );
}
