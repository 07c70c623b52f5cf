import { ApplicationFailure, workflowInfo } from '@temporalio/workflow';
import type { HoldControl, KeepingActivities, Keeping } from '../activities/keeping-contract.js';
import type { Digest } from '../domain/digest.js';
import { parseHoldId, type ReleaseName } from '../domain/names.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { carriedOut, type Rejected } from './desk.js';
import { shortWorkflow } from './short.js';
import { zone } from './zone.js';
import { again, long, of, short } from './zones.js';

export type HoldOutcome =
  | ({ readonly kind: 'held'; readonly release: Digest; readonly hold: Digest; readonly by: string } & Keeping)
  | Rejected;

export const holdControl = zone<Omit<HoldControl, 'decide' | 'refuse'>>(
  { taskQueue: 'control', ...short },
  {
    admitHold: (name) => `verifies a hold of ${of(name)}`,
    openLiftGate: (name) => `asks for approval to lift holds of ${of(name)}`,
    recordLifted: (name) => `records that holds of ${of(name)} were lifted`,
  },
);

/** There can be very many objects: the work is tried again from its start, and does nothing twice. */
export const keeping = zone<Pick<KeepingActivities, 'holdRelease' | 'liftHolds'>>(
  { taskQueue: 'signing', ...long, retry: again },
  {
    holdRelease: (name) => `holds every object of ${of(name)}`,
    liftHolds: (name) => `lifts holds of ${of(name)}`,
  },
);

/** Puts a release on legal hold. Its argument is the signed order of one person; who starts it decides nothing. */
export async function hold(signed: SignedEnvelope): Promise<HoldOutcome> {
  const name = parseHoldId(workflowInfo().workflowId);
  if (name === null) throw ApplicationFailure.nonRetryable('the workflow id is not hold/<model>/<version>', 'USAGE');
  return shortWorkflow(
    { ...name, title: `hold of ${of(name)}` },
    'hold',
    () => place(name, signed),
    (outcome) =>
      outcome.kind === 'held'
        ? { digest: outcome.release, facts: [['Held', `${outcome.objects} objects, by ${outcome.by}`]] }
        : { facts: [['Reason', `${outcome.code}: ${outcome.reason}`]] },
  );
}

async function place(name: ReleaseName, envelope: SignedEnvelope): Promise<HoldOutcome> {
  return carriedOut(
    { model: name.model, message: 'hold', envelope },
    () => holdControl.admitHold(name, envelope),
    async (held): Promise<HoldOutcome> => {
      const { release, hold: statement, by } = held;
      return { kind: 'held', release, hold: statement, by, ...(await keeping.holdRelease(name, held)) };
    },
  );
}
