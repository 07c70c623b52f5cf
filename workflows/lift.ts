import { ApplicationFailure, workflowInfo } from '@temporalio/workflow';
import type { Keeping } from '../activities/keeping-contract.js';
import { parseLiftId, type ReleaseName } from '../domain/names.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { askedWorkflow, type AskedCarried, type AskedDesk } from './asked.js';
import { carriedOut, whyOf, type Rejected } from './desk.js';
import { opened } from './gate.js';
import { holdControl, keeping } from './hold.js';

export type LiftOutcome =
  ({ readonly kind: 'lifted'; readonly by: readonly string[] } & Keeping) | { readonly kind: 'expired' } | Rejected;

/**
 * Ends legal holds of a release once a quorum agrees. Its argument is the signed request of whoever asks; the signing zone and
 * the vault check for themselves that people agreed. The last two arguments are as in a lifecycle.
 */
export async function lift(
  request: SignedEnvelope,
  continueAfterEvents: number | null = null,
  carried?: AskedCarried,
): Promise<LiftOutcome> {
  const name = parseLiftId(workflowInfo().workflowId);
  if (name === null) throw ApplicationFailure.nonRetryable('the workflow id is not lift/<model>/<version>', 'USAGE');
  return askedWorkflow(
    { ...name, title: `holds of ${name.model} ${name.version} are to be lifted` },
    { input: request, continueAfterEvents, carried },
    (desk) => decided(name, request, desk),
    whyOf,
  );
}

async function decided(
  name: ReleaseName,
  envelope: SignedEnvelope,
  { from, ask, shown }: AskedDesk,
): Promise<LiftOutcome> {
  return carriedOut(
    { model: name.model, message: 'lift', envelope },
    async () => from ?? opened('lift', await holdControl.openLiftGate(name, envelope)),
    async (counting): Promise<LiftOutcome> => {
      const outcome = await ask(counting);
      if (outcome.kind !== 'approved') return outcome;
      shown('lift');
      const { approved } = outcome;
      const kept = await keeping.liftHolds(name, approved);
      await holdControl.recordLifted(name, approved, kept);
      return { kind: 'lifted', by: approved.approvers, ...kept };
    },
  );
}
