import { CancellationScope, condition, isCancellation, patched } from '@temporalio/workflow';
import type { RoutedStep } from '../activities/contract.js';
import type { Digest } from '../domain/digest.js';
import type { Proceeding, RolloutOrder, StepVerdict } from '../domain/endpoint.js';
import { awaitGate, type Counting } from './gate.js';
import type { Inbox } from './inbox.js';
import { reasonOf } from './failures.js';
import type { Surroundings } from './rollout-state.js';
import { watch } from './watch.js';

/** A rollout that is not to go on, and why. */
export class StepFailed extends Error {}

const FOREIGN_VERDICTS = 3;
/** Of histories that were begun earlier: there nobody wrote down what a watch had counted. */
const JUDGED = 'verdicts-noted';

/** Ends where a step has passed, having been watched for its time since then. A verdict on another revision says nothing of it. */
export async function stepWatched(
  { model, judged }: Pick<Surroundings, 'model' | 'judged'>,
  { release }: RolloutOrder,
  { position: { revision }, bakeSeconds, timeoutSeconds }: RoutedStep,
  since: string,
): Promise<void> {
  for (let foreign = 0; foreign < FOREIGN_VERDICTS; foreign += 1) {
    const passed = (Date.now() - Date.parse(since)) / 1000;
    const left = (seconds: number): number => Math.max(0, seconds - passed);
    const verdict = await watch.watchStep(model, revision, release, left(bakeSeconds), left(timeoutSeconds));
    if (verdict.revision !== revision) continue;
    noted(judged, verdict, since);
    if (verdict.kind === 'pass') return;
    throw new StepFailed(`${verdict.kind}: ${verdict.reason}`);
  }
  throw new StepFailed(`inconclusive: no watch answers for revision ${revision}`);
}

function noted(judged: Surroundings['judged'], verdict: StepVerdict, watchedSince: string): void {
  if (patched(JUDGED)) judged({ verdict, watchedSince, reachedAt: new Date(Date.now()).toISOString() });
}

interface Pause {
  readonly model: string;
  readonly order: RolloutOrder;
  /** The step that pauses. */
  readonly routed: RoutedStep;
  readonly counting: Counting;
  readonly inbox: Inbox;
  readonly progressed: (counting: Counting) => void;
  readonly judged: Surroundings['judged'];
  /** Told of a rejection that the log has not taken yet. */
  readonly unnoted: (request: Digest, statement: Digest) => void;
}

/**
 * Waits after a step until people approve the next one. All the while the release is watched as before: what speaks against
 * it ends the pause. A cancellation ends it, too, once what people have already sent has its verdict.
 */
export async function awaitProceed(pause: Pause): Promise<Proceeding> {
  const { counting, inbox, progressed } = pause;
  const around = CancellationScope.current();
  const watchScope = new CancellationScope();
  let broken: string | null = null;
  const watched = watchScope
    .run(() => watchPaused(pause))
    .then(
      (reason) => (broken = reason),
      (error: unknown) => {
        if (!isCancellation(error)) broken = reasonOf(error);
      },
    );
  const over = (): boolean => around.consideredCancelled || broken !== null;
  const until = async (arrived: () => boolean, ms: number, summary: string): Promise<boolean> =>
    (await condition(() => over() || arrived(), ms, { summary })) && !over();
  const outcome = await CancellationScope.nonCancellable(() => awaitGate(inbox, counting, until, progressed));
  watchScope.cancel();
  await watched;
  if (broken !== null) throw new StepFailed(broken);
  switch (outcome.kind) {
    case 'approved':
      return { request: outcome.approved.request, approvals: outcome.approved.approvals };
    case 'rejected':
      if (outcome.unnoted === true) pause.unnoted(counting.gate.request, outcome.statement);
      throw new StepFailed(`${outcome.by} rejected the next step: ${outcome.reason}`);
    case 'expired':
      if (around.consideredCancelled) await around.cancelRequested;
      throw new StepFailed(`the next step was not approved before ${counting.gate.expiresAt}`);
  }
}

/** Why the release is not to go on; `null` where nothing has spoken against it for as long as people may decide. */
async function watchPaused({ model, order, routed, counting, judged }: Pause): Promise<string | null> {
  const { revision } = routed.position;
  const seconds = Math.max(0, (Date.parse(counting.gate.expiresAt) - Date.now()) / 1000);
  const since = new Date(Date.now()).toISOString();
  const verdict = await watch.watchStep(model, revision, order.release, seconds, seconds);
  if (verdict.kind === 'pass') return null;
  noted(judged, verdict, since);
  return `${verdict.kind}: ${verdict.reason}`;
}
