import { allHandlersFinished, CancellationScope, condition } from '@temporalio/workflow';
import { refuseStrays } from './desk.js';
import { show, type Shown } from './display.js';
import { Inbox } from './inbox.js';

type Told = Partial<Pick<Shown, 'digest' | 'facts' | 'trouble'>>;

/** A workflow that does one thing and takes no message: whatever arrives is refused and audited before it ends. */
export function shortWorkflow<O extends { readonly kind: string }>(
  what: Pick<Shown, 'model' | 'version' | 'title'>,
  stage: string,
  act: () => Promise<O>,
  tell: (outcome: O) => Told,
): Promise<O> {
  const inbox = new Inbox([]);
  inbox.listen();
  return CancellationScope.nonCancellable(async () => {
    void refuseStrays(what.model ?? '', inbox, () => []);
    const display = (at: string, told: Told): void =>
      show({ ...what, stage: at, digest: null, facts: [], counting: null, trouble: [], ...told });
    display(stage, {});
    const outcome = await act();
    display(outcome.kind, tell(outcome));
    await condition(() => inbox.empty && inbox.settled && allHandlersFinished());
    return outcome;
  });
}
