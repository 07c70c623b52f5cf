import {
  allHandlersFinished,
  ApplicationFailure,
  CancellationScope,
  condition,
  continueAsNew,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { Keeping } from '../activities/keeping-contract.js';
import { parseLiftId, type ReleaseName } from '../domain/names.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { carriedOut, refuseStrays, type Rejected } from './desk.js';
import { show } from './display.js';
import { awaitGate, opened, type Counting, type Until } from './gate.js';
import { holdControl, keeping } from './hold.js';
import { Inbox, type CarriedMessages } from './inbox.js';
import { liftStatusQuery, type LiftStatus } from './messages.js';

export type LiftOutcome =
  ({ readonly kind: 'lifted'; readonly by: readonly string[] } & Keeping) | { readonly kind: 'expired' } | Rejected;

/** What a continued run takes over. */
export interface LiftCarried {
  readonly messages: CarriedMessages;
  readonly counting: Counting;
}

/**
 * Ends legal holds of a release once a quorum agrees. Its argument is the signed request of whoever asks; the signing zone and
 * the vault check for themselves that people agreed. The last two arguments are as in a lifecycle.
 */
export async function lift(
  request: SignedEnvelope,
  continueAfterEvents: number | null = null,
  carried?: LiftCarried,
): Promise<LiftOutcome> {
  const name = parseLiftId(workflowInfo().workflowId);
  if (name === null) throw ApplicationFailure.nonRetryable('the workflow id is not lift/<model>/<version>', 'USAGE');
  const inbox = new Inbox(['approve', 'reject'], carried?.messages);
  let counting = carried?.counting ?? null;
  let stage = 'ask';
  const shown = (at: string, next: Counting | null, facts: readonly (readonly [string, string])[] = []): void => {
    stage = at;
    counting = next;
    const title = `holds of ${name.model} ${name.version} are to be lifted`;
    show({ ...name, title, stage: at, digest: null, facts, counting: next, trouble: [] });
  };
  setHandler(liftStatusQuery, (): LiftStatus => ({
    stage,
    gate: counting?.gate ?? null,
    missing: counting?.missing ?? 0,
  }));
  inbox.listen();

  const until: Until = async (arrived, ms, summary) => {
    const due = (): boolean => {
      const { continueAsNewSuggested, historyLength } = workflowInfo();
      return continueAsNewSuggested || historyLength > (continueAfterEvents ?? Infinity);
    };
    const ready = (): boolean => due() && inbox.settled && allHandlersFinished();
    const happened = await condition(() => arrived() || ready(), ms, { summary });
    if (happened && !arrived() && counting !== null)
      await continueAsNew<typeof lift>(request, continueAfterEvents, { messages: inbox.carry(), counting });
    return happened;
  };
  return CancellationScope.nonCancellable(async () => {
    void refuseStrays(name.model, inbox, () =>
      stage === 'ask' || stage === 'approve'
        ? []
        : [{ names: ['approve', 'reject'], reason: 'nothing waits for a decision' }],
    );
    const outcome = await decided(name, request, { inbox, from: counting, until, shown });
    shown(outcome.kind, null, outcome.kind === 'rejected' ? [['Reason', `${outcome.code}: ${outcome.reason}`]] : []);
    await condition(() => inbox.empty && inbox.settled && allHandlersFinished());
    return outcome;
  });
}

interface Desk {
  readonly inbox: Inbox;
  readonly from: Counting | null;
  readonly until: Until;
  readonly shown: (stage: string, counting: Counting | null) => void;
}

async function decided(
  name: ReleaseName,
  envelope: SignedEnvelope,
  { inbox, from, until, shown }: Desk,
): Promise<LiftOutcome> {
  return carriedOut(
    { model: name.model, message: 'lift', envelope },
    async () => from ?? opened('lift', await holdControl.openLiftGate(name, envelope)),
    async (counting): Promise<LiftOutcome> => {
      shown('approve', counting);
      const outcome = await awaitGate(inbox, counting, until, (next) => shown('approve', next));
      if (outcome.kind === 'expired') return outcome;
      if (outcome.kind === 'rejected')
        return { kind: 'rejected', code: 'POLICY_REFUSED', reason: `${outcome.by}: ${outcome.reason}` };
      shown('lift', null);
      const { approved } = outcome;
      const kept = await keeping.liftHolds(name, approved);
      await holdControl.recordLifted(name, approved, kept);
      return { kind: 'lifted', by: approved.approvers, ...kept };
    },
  );
}
