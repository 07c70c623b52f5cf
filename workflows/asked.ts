import { allHandlersFinished, CancellationScope, condition, continueAsNew, setHandler } from '@temporalio/workflow';
import { handedOn, isDue } from './arguments.js';
import { refuseStrays, type Rejected } from './desk.js';
import { show, type Shown } from './display.js';
import { awaitGate, type Counting, type GateOutcome, type Until } from './gate.js';
import { Inbox, type CarriedMessages } from './inbox.js';
import { askedStatusQuery, type AskedStatus } from './messages.js';

/** What a continued run takes over. */
export interface AskedCarried {
  readonly messages: CarriedMessages;
  readonly counting: Counting;
}

/** The arguments of a workflow that somebody asks for and others agree to: as in a lifecycle. */
export interface AskedInput<I> {
  readonly input: I;
  readonly continueAfterEvents: number | null;
  readonly carried: AskedCarried | undefined;
}

export interface AskedDesk {
  /** Where an earlier run has left the gate. */
  readonly from: Counting | null;
  /** What people agreed to, or how it ends without. */
  readonly ask: (counting: Counting) => Promise<Answer>;
  readonly shown: (stage: string) => void;
}

type Answer = Exclude<GateOutcome, { readonly kind: 'rejected' }> | Rejected;
type Facts = Shown['facts'];

/**
 * A workflow that does one thing, once people agree: what arrives while nothing waits for it is refused and audited, and its
 * history is continued before it grows too long.
 */
export function askedWorkflow<I, O extends { readonly kind: string }>(
  about: Pick<Shown, 'model' | 'version' | 'title'> & { readonly model: string },
  { input, continueAfterEvents, ...before }: AskedInput<I>,
  decided: (desk: AskedDesk) => Promise<O>,
  tell: (outcome: O) => Facts,
): Promise<O> {
  const carried = handedOn(before.carried);
  const inbox = new Inbox(['approve', 'reject'], carried?.messages);
  let counting = carried?.counting ?? null;
  let stage = 'ask';
  const shown = (at: string, next: Counting | null, facts: Facts = []): void => {
    stage = at;
    counting = next;
    show({ ...about, stage: at, digest: null, facts, counting: next, trouble: [] });
  };
  setHandler(askedStatusQuery, (): AskedStatus => ({
    stage,
    gate: counting?.gate ?? null,
    missing: counting?.missing ?? 0,
  }));
  inbox.listen();

  const until: Until = async (arrived, ms, summary) => {
    const ready = (): boolean => isDue(continueAfterEvents) && inbox.settled && allHandlersFinished();
    const happened = await condition(() => arrived() || ready(), ms, { summary });
    if (happened && !arrived() && counting !== null)
      await continueAsNew<(input: I, after: number | null, carried: AskedCarried) => Promise<O>>(
        input,
        continueAfterEvents,
        { messages: inbox.carry(), counting },
      );
    return happened;
  };
  const ask = async (from: Counting): Promise<Answer> => {
    shown('approve', from);
    const said = await awaitGate(inbox, from, until, (next) => shown('approve', next));
    if (said.kind !== 'rejected') return said;
    return { kind: 'rejected', code: 'POLICY_REFUSED', reason: `${said.by}: ${said.reason}` };
  };
  return CancellationScope.nonCancellable(async () => {
    void refuseStrays(about.model, inbox, () =>
      stage === 'ask' || stage === 'approve'
        ? []
        : [{ names: ['approve', 'reject'], reason: 'nothing waits for a decision' }],
    );
    const outcome = await decided({ from: carried?.counting ?? null, ask, shown: (at) => shown(at, null) });
    shown(outcome.kind, null, tell(outcome));
    await condition(() => inbox.empty && inbox.settled && allHandlersFinished());
    return outcome;
  });
}
