import { setHandler } from '@temporalio/workflow';
import type { Killed } from '../activities/contract.js';
import type { Digest } from '../domain/digest.js';
import { movedTo, sharesOf } from '../domain/endpoint.js';
import type { EndpointPosition, EndpointStatus, RoutedPosition } from '../domain/endpoint.js';
import { Alarms, type Alarm } from './alarms.js';
import { Chores, type Chore } from './chores.js';
import type { Stray } from './desk.js';
import { show } from './display.js';
import type { Counting } from './gate.js';
import { Inbox, type CarriedMessages } from './inbox.js';
import { LateKills, type LateKill } from './late-kills.js';
import { ENDPOINT_DECISIONS, endpointStatusQuery, routesChangedSignal } from './messages.js';
import { Rollouts, type RolloutsCarried } from './rollouts.js';
import { ServiceWatch } from './service.js';

/** What a continued run takes over: everything else it reads from verified records. */
export interface EndpointCarried {
  readonly messages: CarriedMessages;
  readonly rollouts: RolloutsCarried;
  readonly chores: readonly Chore[];
  readonly restore: Counting | null;
  readonly late?: readonly LateKill[];
  readonly alarms?: readonly Alarm[];
}

/** Where one endpoint stands and what people see of it; the desks act on it. */
export class Traffic {
  readonly model: string;
  readonly inbox: Inbox;
  readonly chores: Chores;
  readonly rollouts: Rollouts;
  readonly service: ServiceWatch;
  readonly alarms: Alarms;
  position: EndpointPosition = { revision: 0, document: null, serving: [], killedBy: [] };
  restore: Counting | null;
  /** The records are to be read again. */
  stale = true;
  /** The records have been read. */
  resumed = false;
  rollingBack = false;
  /** How many acts are under way that take back what serves. */
  reverting = 0;
  restoring = false;
  /** A gate is being opened: decisions wait for it. */
  asking = false;
  private lifted: readonly Digest[] = [];
  private readonly late: LateKills;
  private readonly troubles = new Map<string, string>();

  constructor(model: string, carried?: EndpointCarried) {
    this.model = model;
    this.inbox = new Inbox(ENDPOINT_DECISIONS, carried?.messages);
    this.chores = new Chores(
      carried?.chores ?? [],
      (order, took) => this.tooLate(order, took),
      () => this.display(),
    );
    this.late = new LateKills(carried?.late ?? []);
    this.alarms = new Alarms(carried?.alarms ?? []);
    this.restore = carried?.restore ?? null;
    this.rollouts = new Rollouts(this, carried?.rollouts);
    this.service = new ServiceWatch(this);
    // A handler is given at once what has arrived before it: everything that it needs is there by now.
    this.rollouts.listen();
    setHandler(routesChangedSignal, () => {
      this.stale = true;
    });
    setHandler(endpointStatusQuery, () => this.status());
    this.inbox.listen();
  }

  killed({ order, late = [], open = false }: Killed): void {
    this.moved({ ...this.position, killedBy: [...this.position.killedBy, order] });
    if (late.length > 0) this.tooLate(order, late.join('; '));
    if (open) this.chores.add({ kind: 'confirm', model: this.model, order });
  }

  private tooLate(order: Digest, why: string): void {
    this.late.add(order, why);
    this.display();
  }

  moved(to: EndpointPosition): void {
    const before = this.position.killedBy;
    this.position = movedTo(this.position, to, this.lifted);
    if (this.position.killedBy.some((order) => !before.includes(order)))
      this.rollouts.current?.stop('the endpoint was killed');
    this.display();
  }

  routed(to: RoutedPosition): void {
    this.moved(to);
    this.chores.follow(this.model, to);
  }

  /** Of the orders that stood when the restore was carried out, those that its answer no longer lists are lifted. */
  restored(before: readonly Digest[], to: EndpointPosition): void {
    this.lifted = [...this.lifted, ...before.filter((order) => !to.killedBy.includes(order))];
    this.moved(to);
  }

  count(counting: Counting | null): void {
    this.restore = counting;
    this.display();
  }

  held(what: string, why: string | null): void {
    if (why === null) this.troubles.delete(what);
    else this.troubles.set(what, why);
    this.display();
  }

  /** The gate that people are asked at. A rollout has none while the endpoint is killed, and nothing else is to be restored. */
  private get counting(): Counting | null {
    const { current } = this.rollouts;
    return this.restore ?? (current?.state.stopped === null ? current.state.counting : null);
  }

  strays(): Stray[] {
    const { restore } = this;
    if (restore !== null)
      return [{ names: ['restore'], reason: `request ${restore.gate.requestId} to restore is already open` }];
    if (this.asking || this.rollouts.current?.asking === true || this.inbox.has('restore')) return [];
    return [{ names: ['approve', 'reject'], reason: 'nothing waits for a decision' }];
  }

  /** Nothing is under way that a new run could not begin again. */
  get quiet(): boolean {
    return this.inbox.settled && !this.restoring && this.rollouts.quiet && this.service.quiet;
  }

  carry(): EndpointCarried {
    return {
      messages: this.inbox.carry(),
      rollouts: this.rollouts.carry(),
      chores: this.chores.unfinished,
      restore: this.restore,
      late: this.late.standing(this.position.killedBy),
      alarms: this.alarms.standing(this.position.serving),
    };
  }

  display(): void {
    const { position, counting } = this;
    const { current, orders } = this.rollouts;
    const steady = current === null ? 'steady' : `rolling out ${current.state.order.version}`;
    const serves = sharesOf(position.serving, current === null ? null : current.state);
    const waiting = orders.map((order) => order.version).join(', ');
    show({
      model: this.model,
      version: position.serving[0]?.version ?? null,
      title: `endpoint ${this.model}`,
      stage: position.killedBy.length > 0 ? 'killed' : steady,
      digest: position.serving[0]?.release ?? null,
      facts: [
        ['Serves', serves === '' ? 'nothing' : serves],
        ['Revision', String(position.revision)],
        ...(waiting === '' ? [] : [['Waiting for their turn', waiting] as const]),
      ],
      counting,
      trouble: this.trouble(),
    });
  }

  private status(): EndpointStatus {
    const { position, rollouts, counting } = this;
    const gate = { gate: counting?.gate ?? null, missing: counting?.missing ?? 0 };
    return { ...position, ...rollouts.status(), ...gate, trouble: this.trouble() };
  }

  private trouble(): string[] {
    const late = this.late.trouble(this.position.killedBy);
    const alarms = this.alarms.standing(this.position.serving).map(({ reason }) => reason);
    return [...late, ...alarms, ...this.chores.trouble, ...[...this.troubles].map(([what, why]) => `${what}: ${why}`)];
  }
}
