import { CancellationScope, condition, isCancellation } from '@temporalio/workflow';
import type { ServiceReverted, ServiceVerdict } from '../domain/endpoint.js';
import { insist } from './desk.js';
import type { Traffic } from './traffic.js';
import { failureOf } from './failures.js';
import { watch } from './watch.js';
import { control } from './zones.js';

/** What stays broken is said again so often, and no oftener: the history of an endpoint that nobody looks at stays short. */
const ALARM_AGAIN_MS = 6 * 3_600_000;
const UNWATCHED = 'is not watched in service';
const BREACHED = 'what serves breaks its limits';

/** Watches what serves all callers for as long as it does. One watch at a time; it never delays anything else. */
export class ServiceWatch {
  /** No watch is under way: the next run may begin one. */
  quiet = true;
  private handingOn = false;
  private readonly traffic: Traffic;

  constructor(traffic: Traffic) {
    this.traffic = traffic;
  }

  handOn(): void {
    this.handingOn = true;
  }

  async desk(): Promise<never> {
    for (;;) {
      await condition(() => this.watchable() !== null);
      const serving = this.watchable();
      if (serving === null) continue;
      this.quiet = false;
      const verdict = await this.watched(serving);
      const reverted = verdict === null ? null : await this.answered(serving, verdict);
      this.quiet = true;
      const summary = 'before what is broken is looked at again';
      // Whatever changes the routes or takes the endpoint away ends the wait, and so does time.
      if (reverted === 'alarm' && !(await condition(() => !this.stands(serving), ALARM_AGAIN_MS, { summary })))
        continue;
      this.traffic.held(BREACHED, null);
    }
  }

  /** `null`: it was cancelled, because the endpoint is no longer where it was, or nobody answers. */
  private async watched(serving: Serving): Promise<ServiceVerdict | null> {
    const { model } = this.traffic;
    const scope = new CancellationScope();
    let over = false;
    void condition(() => over || !this.stands(serving)).then(() => scope.cancel());
    try {
      const verdict = await insist(
        () => scope.run(() => watch.watchService(model, serving.revision, serving.release)),
        this.until(serving, UNWATCHED),
        (error) => (isCancellation(error) ? null : failureOf(error)),
      );
      return verdict;
    } catch (error) {
      if (!isCancellation(error)) throw error;
      return null;
    } finally {
      over = true;
      this.traffic.held(UNWATCHED, null);
    }
  }

  private async answered({ revision, release }: Serving, verdict: ServiceVerdict): Promise<'alarm' | null> {
    const { traffic } = this;
    if (verdict.revision !== revision) {
      traffic.held(BREACHED, `nobody can tell: the watch answers for revision ${verdict.revision}`);
      return 'alarm';
    }
    if (verdict.kind === 'again') return null;
    const { reason } = verdict;
    traffic.reverting += 1;
    const reverted = await insist(
      () => control.revertService(traffic.model, revision, release, reason),
      this.until({ revision, release }, 'cannot go back'),
    );
    traffic.reverting -= 1;
    if (reverted !== null) hasReverted(traffic, reverted);
    if (reverted?.kind !== 'alarm') return null;
    traffic.held(BREACHED, reverted.reason);
    return 'alarm';
  }

  private until(serving: Serving, what: string) {
    return {
      trouble: (why: string | null): void => this.traffic.held(what, why),
      pause: (ms: number): Promise<boolean> =>
        condition(() => !this.stands(serving), ms, { summary: `before it is tried again: ${what}` }),
    };
  }

  private stands({ revision }: Serving): boolean {
    return this.watchable()?.revision === revision;
  }

  /** What serves all callers, with nothing under way that is about to change that. */
  private watchable(): Serving | null {
    const { resumed, position, rollouts, rollingBack, inbox } = this.traffic;
    const [first] = position.serving;
    const isBusy = this.handingOn || rollouts.current !== null || rollouts.orders.length > 0 || rollingBack;
    if (!resumed || isBusy || position.killedBy.length > 0 || inbox.has('rollback')) return null;
    return first?.weight === 100 ? { revision: position.revision, release: first.release } : null;
  }
}

/** What followed from a breach takes effect here; it is audited beside all else. */
export function hasReverted(traffic: Traffic, { breached, ...end }: ServiceReverted): void {
  if (breached !== undefined) traffic.chores.add({ kind: 'note breach', model: traffic.model, breached });
  if (end.kind === 'rolled back') traffic.routed(end.position);
}

interface Serving {
  readonly revision: number;
  readonly release: string;
}
