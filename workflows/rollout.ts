import { CancellationScope, isCancellation } from '@temporalio/workflow';
import type { EndpointPosition, RolloutOrder } from '../domain/endpoint.js';
import type { RolloutResult } from '../domain/lifecycle.js';
import { control, refusalOf, serving, watch } from './zones.js';

/**
 * One release through the steps of its approved plan. It runs in a scope of its own, so that a kill or an order to roll
 * back ends it at once; how it ended is always said, and a rollout that did not get to its end is rolled back.
 */
export class Rollout {
  readonly order: RolloutOrder;
  step = 0;
  result: RolloutResult | null = null;
  private readonly scope = new CancellationScope({ cancellable: true });
  private readonly model: string;
  private stoppedBy: string | null = null;

  constructor(model: string, order: RolloutOrder, moved: (position: EndpointPosition) => void) {
    this.model = model;
    this.order = order;
    void this.scope.run(() => this.run(moved)).catch(() => this.undo(moved));
  }

  stop(reason: string): void {
    this.stoppedBy ??= reason;
    this.scope.cancel();
  }

  private async run(moved: (position: EndpointPosition) => void): Promise<void> {
    const { model, order } = this;
    try {
      await serving.startRelease({ model, version: order.version }, order.release);
      for (let last = false; !last; this.step += 1) {
        const routed = await control.routeStep(model, order, this.step);
        moved(routed.position);
        last = routed.last;
        const verdict = await watch.watchStep(model, routed.position.revision, order.release, routed.bakeSeconds);
        if (verdict.kind !== 'pass') throw new StepFailed(verdict.reason);
      }
      const position = await control.promoteRelease(model, order);
      moved(position);
      this.result = { kind: 'promoted', revision: position.revision };
    } catch (error) {
      this.stoppedBy ??= reasonOf(error);
      const refusal = refusalOf(error);
      if (refusal !== null && this.step === 0) this.result = { kind: 'refused', ...refusal } as RolloutResult;
      throw error;
    }
  }

  private async undo(moved: (position: EndpointPosition) => void): Promise<void> {
    const reason = this.stoppedBy ?? 'stopped';
    const position = await control.rollBack(this.model, null, reason, this.order.request);
    moved(position);
    this.result ??= { kind: 'rolled back', revision: position.revision, reason };
  }
}

class StepFailed extends Error {}

function reasonOf(error: unknown): string {
  const refusal = refusalOf(error);
  if (refusal !== null) return `${refusal.code}: ${refusal.reason}`;
  if (isCancellation(error)) return 'stopped';
  return error instanceof Error ? error.message : String(error);
}
