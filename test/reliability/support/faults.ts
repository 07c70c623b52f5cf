import { activityInfo } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { deferred, ZONE_OF, type ActivityName } from '../../support/zones.js';
import type { Town } from './town.js';
import type { Witness } from './witness.js';

/** What goes wrong with an activity, the first time that it is called. */
export const FAULTS = {
  throws: 'fails before it has done anything',
  hangs: 'does nothing, says nothing, and sends no heartbeat until its time is over',
  crashes: 'is done, and its worker dies before it answers',
  'runs twice': 'is done twice, at the same time',
  'loses its answer': 'is done, is said to have failed, and so is done once more',
} as const;
export type Fault = keyof typeof FAULTS;

/** One attempt as a worker sees it. */
export interface Attempt {
  readonly workflowId: string;
  readonly activityId: string;
  readonly runId: string;
  readonly name: string;
  readonly attempt: number;
}

const lost = (): ApplicationFailure => ApplicationFailure.retryable('the network has lost it', 'INTERNAL');

/** A town whose zones run under one fault, and everything that was asked of them. */
export class Zones {
  readonly attempts: Attempt[] = [];
  isStruck = false;
  private lives = 0;
  private readonly grave = deferred();
  private readonly town: Town;
  private readonly witness: Witness;
  private readonly fault: { readonly activity: ActivityName; readonly kind: Fault } | null;

  constructor(town: Town, witness: Witness, fault: Zones['fault']) {
    this.town = town;
    this.witness = witness;
    this.fault = fault;
  }

  names(): ReadonlySet<string> {
    return new Set(this.attempts.map(({ name }) => name));
  }

  async run(name: ActivityName, args: readonly unknown[]): Promise<unknown> {
    const { activityId, attempt, workflowExecution } = activityInfo();
    const { workflowId = '', runId = '' } = workflowExecution ?? {};
    this.attempts.push({ workflowId, runId, activityId, name, attempt });
    const acts = this.town.activities as unknown as Record<string, (...args: readonly unknown[]) => Promise<unknown>>;
    const { lives } = this;
    const act = async (): Promise<unknown> => {
      try {
        return await acts[name]?.(...args);
      } finally {
        await this.witness.look(name);
        if (this.lives !== lives && ZONE_OF[name] === 'control') await this.grave.promise;
      }
    };
    if (this.isStruck || this.fault?.activity !== name) return act();
    this.isStruck = true;
    return this.strike(this.fault.kind, act);
  }

  /** Control dies: what it does at the moment may be done, and is not answered. */
  crash(): void {
    this.lives += 1;
  }

  /** Whatever is buried ends now. */
  exhume(): void {
    this.grave.resolve();
  }

  private async strike(kind: Fault, act: () => Promise<unknown>): Promise<unknown> {
    switch (kind) {
      case 'throws':
        throw lost();
      case 'hangs':
        return this.buried();
      case 'crashes':
        await act();
        return this.buried();
      case 'runs twice': {
        const [, later] = await Promise.all([act(), act()]);
        return later;
      }
      case 'loses its answer':
        await act();
        throw lost();
    }
  }

  private async buried(): Promise<never> {
    await this.grave.promise;
    throw lost();
  }
}
