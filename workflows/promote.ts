import { ApplicationFailure, workflowInfo } from '@temporalio/workflow';
import type { Promoted, PromotionControl } from '../activities/contract.js';
import { parsePromoteId, type ReleaseName } from '../domain/names.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { given } from './arguments.js';
import { carriedOut, type Rejected } from './desk.js';
import type { PromoteInput } from './messages.js';
import { shortWorkflow } from './short.js';
import { zone } from './zone.js';
import { of, short, signing } from './zones.js';

export type PromoteOutcome = ({ readonly kind: 'promoted' } & Promoted) | Rejected;

const control = zone<Omit<PromotionControl, 'refuse'>>(
  { taskQueue: 'control', ...short },
  {
    admitPromotion: (name) => `verifies the request to verify ${of(name)} for another environment`,
    recordPromotion: (name) => `records that ${of(name)} was verified for another environment`,
  },
);

/** Has a release verified for another environment. The signing zone looks at all of it itself, and says what it has found. */
export async function promote(input: PromoteInput): Promise<PromoteOutcome> {
  const name = parsePromoteId(workflowInfo().workflowId);
  if (name === null) throw ApplicationFailure.nonRetryable('the workflow id is not promote/<model>/<version>', 'USAGE');
  const what = { ...name, title: `${name.model} ${name.version} for another environment` };
  return shortWorkflow(
    what,
    'verify',
    () => verified(name, given(input).request),
    (outcome) =>
      outcome.kind === 'promoted'
        ? { digest: outcome.release }
        : { facts: [['Reason', `${outcome.code}: ${outcome.reason}`]] },
  );
}

async function verified(name: ReleaseName, envelope: SignedEnvelope): Promise<PromoteOutcome> {
  return carriedOut(
    { model: name.model, message: 'promote', envelope },
    () => control.admitPromotion(name, envelope),
    async (request): Promise<PromoteOutcome> => {
      const promoted = await signing.summariseRelease(name, request);
      await control.recordPromotion(name, request, promoted);
      return { kind: 'promoted', ...promoted };
    },
  );
}
