import { condition, setHandler } from '@temporalio/workflow';
import { rolloutOrderIn, type EndpointStatus, type RolloutEnded, type RolloutOrder } from '../domain/endpoint.js';
import type { RolloutResult } from '../domain/lifecycle.js';
import { rolloutSignal } from './messages.js';
import { Rollout } from './rollout.js';
import { unbegun, type RolloutState } from './rollout-state.js';
import type { Traffic } from './traffic.js';

export interface RolloutsCarried {
  readonly current: RolloutState | null;
  readonly orders: readonly RolloutOrder[];
  readonly ended: readonly RolloutEnded[];
}

const MAX_ENDED = 50;
const MAX_ORDERS = 20;
/** An order that came while the endpoint was killed is refused when nobody restores it for so long. */
const HELD_MS = 24 * 3_600_000;

/** The rollouts of one endpoint: one under way, the others in the order they came, and how the last ones ended. */
export class Rollouts {
  current: Rollout | null = null;
  orders: RolloutOrder[];
  ended: readonly RolloutEnded[];
  private handingOn = false;
  private readonly traffic: Traffic;

  constructor(traffic: Traffic, carried?: RolloutsCarried) {
    this.traffic = traffic;
    this.orders = [...(carried?.orders ?? [])];
    this.ended = carried?.ended ?? [];
    if (carried?.current) this.current = this.at(carried.current);
  }

  listen(): void {
    setHandler(rolloutSignal, (order) => this.ordered(order));
  }

  /** Rollouts one after another; none begins while the endpoint is killed or a rollback is under way. */
  async desk(): Promise<never> {
    await condition(() => this.traffic.resumed);
    for (;;) {
      const current = (this.current ??= await this.next());
      this.traffic.display();
      const { stopped } = current.state;
      const result = await current.run();
      if (result !== 'paused') {
        this.current = null;
        this.end(current.state.order, result);
      } else await condition(() => current.state.stopped !== stopped);
    }
  }

  /** The next run goes on with what is under way. */
  handOn(): void {
    this.handingOn = true;
    this.current?.yield();
  }

  /** Nothing is under way that a new run could not go on with. */
  get quiet(): boolean {
    return this.current === null || this.current.paused;
  }

  carry(): RolloutsCarried {
    return { current: this.current?.state ?? null, orders: this.orders, ended: this.ended };
  }

  /**
   * Ends the rollout under way, if any, and waits until it is undone; whether that brought the stable release back. Where its
   * undoing does not come about it is tried again, and nobody waits for that, nor for a promotion.
   */
  async stop(why: string): Promise<boolean> {
    const { current } = this;
    if (current === null) return false;
    current.stop(why);
    await condition(() => this.current !== current || current.held || current.promoting);
    if (current.held || current.promoting) return false;
    const end = this.ended.find((each) => each.request === current.state.order.request);
    return end?.result.kind !== 'promoted';
  }

  private async next(): Promise<Rollout> {
    const { traffic } = this;
    for (;;) {
      const free = (): boolean =>
        !this.handingOn && !traffic.rollingBack && traffic.reverting === 0 && !traffic.inbox.has('rollback');
      await condition(() => this.orders.length > 0 && free());
      const alive = (): boolean => traffic.position.killedBy.length === 0;
      const summary = 'a rollout waits until the endpoint is restored';
      if (!alive() && !(await condition(alive, HELD_MS, { summary })))
        this.end(this.orders.shift(), { kind: 'refused', code: 'POLICY_REFUSED', reason: 'the endpoint is killed' });
      else if (free()) {
        const order = this.orders.shift();
        if (order !== undefined) return this.at(unbegun(order));
      }
    }
  }

  private ordered(payload: unknown): void {
    const { model, inbox, chores } = this.traffic;
    const order = rolloutOrderIn(payload, model);
    if (order === null) return inbox.unknown(rolloutSignal.name, payload);
    const before = this.ended.find((end) => end.request === order.request);
    if (before !== undefined) return chores.add({ kind: 'reply', replyTo: order.replyTo, ended: before });
    const known = [...this.orders, ...(this.current === null ? [] : [this.current.state.order])];
    if (known.some((other) => other.request === order.request)) return;
    if (this.orders.length >= MAX_ORDERS) return inbox.unknown(rolloutSignal.name, order);
    this.orders.push(order);
    this.traffic.display();
  }

  status(): Pick<EndpointStatus, 'rollout' | 'queued' | 'ended'> {
    const { current, orders, ended } = this;
    const rollout = current === null ? null : { order: current.state.order, step: current.state.step };
    return { rollout, queued: orders.map((order) => order.request), ended };
  }

  private end(order: RolloutOrder | undefined, result: RolloutResult): void {
    if (order === undefined) return;
    const ended = { request: order.request, result };
    this.ended = [...this.ended, ended].slice(-MAX_ENDED);
    this.traffic.chores.add({ kind: 'reply', replyTo: order.replyTo, ended });
    this.traffic.display();
  }

  private at(state: RolloutState): Rollout {
    const { traffic } = this;
    return new Rollout(state, {
      model: traffic.model,
      moved: (position) => traffic.routed(position),
      revision: () => traffic.position.revision,
      trouble: (what, why) => traffic.held(what, why),
      inbox: traffic.inbox,
      display: () => traffic.display(),
      judged: (judged) => traffic.chores.add({ kind: 'note verdict', model: traffic.model, judged }),
      rejected: (request, statement) => traffic.chores.add({ kind: 'note rejection', request, statement }),
    });
  }
}
