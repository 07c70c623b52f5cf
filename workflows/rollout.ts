import { CancellationScope, condition, isCancellation } from '@temporalio/workflow';
import type { RoutedStep } from '../activities/contract.js';
import type { Proceeding, RolloutOrder } from '../domain/endpoint.js';
import type { RolloutResult } from '../domain/lifecycle.js';
import { insist } from './desk.js';
import { opened, type Counting } from './gate.js';
import { awaitProceed, stepWatched } from './pause.js';
import { AT_ITS_START, sinceStopped, stoppedBy, type RolloutState, type Surroundings } from './rollout-state.js';
import { obstacleOf, reasonOf, refusalOf } from './failures.js';
import { control, serving } from './zones.js';

/**
 * One release through the steps of its approved plan, in a scope of its own, so that a kill or an order to roll back ends
 * it at once. How it ended is always said, and a rollout that did not get to its end is undone, outside that scope.
 */
export class Rollout {
  state: RolloutState;
  /** At rest, with nothing under way: its state may be carried on. */
  paused = true;
  /** People decide on its next step, or will once the gate is open. */
  asking: boolean;
  /** It was to be undone, and that was refused: it is tried again, by the next run if need be. */
  held = false;
  /** Whoever stops it now takes back by itself what it has brought: its last act waits for whoever audits it. */
  promoting = false;
  private scope = new CancellationScope();
  private yielding = false;
  private readonly around: Surroundings;

  constructor(state: RolloutState, around: Surroundings) {
    this.state = state;
    this.asking = state.counting !== null;
    this.around = around;
  }

  stop(why: string): void {
    if (this.state.stopped === null) this.set(stoppedBy(why));
    this.scope.cancel();
  }

  /** Ends the watch without a verdict: the next run watches the same step for the rest of its time. */
  yield(): void {
    this.yielding = true;
    this.scope.cancel();
  }

  /** Goes on to the end; `paused` where it had to yield. */
  async run(): Promise<RolloutResult | 'paused'> {
    this.paused = false;
    const result = await this.toItsEnd();
    this.paused = result === 'paused';
    return result;
  }

  private async toItsEnd(): Promise<RolloutResult | 'paused'> {
    const { order } = this.state;
    if (this.state.stopped === null && this.yielding) return 'paused';
    if (this.state.stopped === null) {
      this.scope = new CancellationScope();
      try {
        return await this.scope.run(() => this.forward(order));
      } catch (error) {
        if (this.state.stopped === null) {
          if (this.yielding && isCancellation(error)) return 'paused';
          const refusal = refusalOf(error);
          if (refusal !== null && !this.state.begun) return { kind: 'refused', ...refusal };
          this.set(stoppedBy(reasonOf(error)));
        }
      }
    }
    return this.undo();
  }

  private async forward(order: RolloutOrder): Promise<RolloutResult> {
    const { model, moved } = this.around;
    const at = await control.resumeRollout(model, order);
    if (at.kind === 'ended') return at.result;
    if (at.kind === 'at') {
      // What people have agreed to need not be routed yet; nothing else is known of a step that is not.
      const isKnown = at.step === this.state.step || (this.state.agreed !== null && at.step === this.state.step - 1);
      this.set({ begun: true, ...(isKnown ? {} : { step: at.step, ...AT_ITS_START }) });
    }
    await this.started(order);
    for (let last = false; !last;) {
      const routed = await this.route(order);
      moved(routed.position);
      if (this.state.counting === null) await this.watched(order, routed);
      last = routed.last;
      const agreed = routed.pauses && !last ? await this.proceeding(order, routed) : null;
      if (!last) this.set({ step: this.state.step + 1, ...AT_ITS_START, agreed });
      if (agreed !== null) this.around.display();
    }
    // Not left half done: a stop that comes now is answered by a rollback of what has been promoted, or was to be.
    this.promoting = true;
    const position = await CancellationScope.nonCancellable(() => control.promoteRelease(model, order));
    moved(position);
    return { kind: 'promoted', revision: position.revision };
  }

  /** A host whose disk is full is waited for, as long as the plan may still begin. */
  private async started({ version, release }: RolloutOrder): Promise<void> {
    const trouble = (why: string | null): void => this.around.trouble(`cannot start ${version}`, why);
    const pause = (ms: number): Promise<boolean> =>
      condition(() => false, ms, { summary: `before ${version} is started again` });
    try {
      await insist(
        () => serving.startRelease({ model: this.around.model, version }, release),
        { trouble, pause },
        obstacleOf,
      );
    } finally {
      trouble(null);
    }
  }

  private async route(order: RolloutOrder): Promise<RoutedStep> {
    const { agreed, begun, step } = this.state;
    this.set({ begun: true });
    try {
      return await control.routeStep(this.around.model, order, step, agreed);
    } catch (error) {
      // What is refused was not routed.
      if (refusalOf(error) !== null) this.set({ begun });
      throw error;
    }
  }

  private watched(order: RolloutOrder, routed: RoutedStep): Promise<void> {
    const watchedSince = this.state.watchedSince ?? new Date(Date.now()).toISOString();
    this.set({ watchedSince });
    return stepWatched(this.around, order, routed, watchedSince);
  }

  /** What people agree to after this step. */
  private async proceeding(order: RolloutOrder, routed: RoutedStep): Promise<Proceeding> {
    const { model, inbox, display, judged, rejected: unnoted } = this.around;
    const count = (counting: Counting): void => {
      this.set({ counting });
      display();
    };
    this.asking = true;
    try {
      const counting =
        this.state.counting ?? opened('proceed', await control.openStepGate(model, order, this.state.step + 1));
      count(counting);
      return await awaitProceed({ model, order, routed, counting, inbox, progressed: count, judged, unnoted });
    } finally {
      this.asking = false;
    }
  }

  private async undo(): Promise<RolloutResult | 'paused'> {
    const { model, moved, revision, trouble } = this.around;
    const { begun, order, stopped } = this.state;
    const reason = stopped ?? 'stopped';
    if (!begun) return { kind: 'rolled back', revision: revision(), reason };
    const position = await insist(() => control.rollBack(model, null, reason, order.request), {
      trouble: (why) => {
        this.held = why !== null;
        trouble('cannot roll back', why);
      },
      pause: (ms) => condition(() => this.yielding, ms, { summary: 'before the rollback is tried again' }),
    });
    if (position === null) return 'paused';
    moved(position);
    return { kind: 'rolled back', revision: position.revision, reason, ...sinceStopped(this.state) };
  }

  private set(change: Partial<RolloutState>): void {
    this.state = { ...this.state, ...change };
  }
}
