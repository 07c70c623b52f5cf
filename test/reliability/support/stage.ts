import { activityInfo } from '@temporalio/activity';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Client } from '@temporalio/client';
import { GracefulShutdownPeriodExpiredError, Worker } from '@temporalio/worker';
import { randomUUID } from 'node:crypto';
import { ZONES, type Zone } from '../../../domain/names.js';
import { IDENTITY, workflowBundle } from '../../support/temporal.js';
import { ZONE_OF, type ActivityName } from '../../support/zones.js';
import type { Zones } from './faults.js';

/** A server with one worker for each zone, as the product's, for any number of towns at once: a workflow's id says whose it is. */
export class Stage {
  /** It never lets the clock skip, as the environment's own does: what is real judges by real clocks. */
  readonly client: Client;
  private readonly env: TestWorkflowEnvironment;
  private readonly towns = new Map<string, Zones>();
  private workers: { readonly zone: Zone; readonly worker: Worker; readonly ended: Promise<void> }[] = [];

  private constructor(env: TestWorkflowEnvironment) {
    this.env = env;
    this.client = new Client({ connection: env.connection, namespace: env.namespace ?? 'default' });
  }

  static async start(server: () => Promise<TestWorkflowEnvironment>): Promise<Stage> {
    const stage = new Stage(await server());
    stage.workers = await Promise.all(ZONES.map((zone) => stage.work(zone)));
    return stage;
  }

  /** `name`: the second part of the ids of its workflows. */
  add(name: string, zones: Zones): void {
    this.towns.set(name, zones);
  }

  remove(name: string): void {
    this.towns.delete(name);
  }

  /** Control's worker ends in the middle of whatever it does; the next one begins with an empty cache. */
  async crash(): Promise<void> {
    const crashed = this.workers.findIndex(({ zone }) => zone === 'control');
    const { worker, ended } = this.workers[crashed]!;
    worker.shutdown();
    await ended;
    this.workers[crashed] = await this.work('control');
  }

  /** Begins the newest run of a workflow again from its first task. */
  async reset(workflowId: string): Promise<void> {
    const { events } = await this.client.workflow.getHandle(workflowId).fetchHistory();
    const first = events?.find(({ workflowTaskCompletedEventAttributes: completed }) => Boolean(completed));
    await this.client.workflowService.resetWorkflowExecution({
      namespace: this.client.options.namespace,
      workflowExecution: { workflowId },
      reason: 'again',
      requestId: randomUUID(),
      workflowTaskFinishEventId: first?.eventId ?? null,
    });
  }

  async stop(): Promise<void> {
    for (const { worker } of this.workers) worker.shutdown();
    await Promise.all(this.workers.map(({ ended }) => ended));
    await this.env.teardown();
  }

  private async work(zone: Zone): Promise<Stage['workers'][number]> {
    const names = (Object.keys(ZONE_OF) as ActivityName[]).filter((name) => ZONE_OF[name] === zone);
    const runsWorkflows = zone === 'control';
    const worker = await Worker.create({
      connection: this.env.nativeConnection,
      namespace: this.env.namespace ?? 'default',
      taskQueue: zone,
      identity: IDENTITY,
      activities: Object.fromEntries(
        names.map((name) => [name, (...args: unknown[]) => this.townOf().run(name, args)]),
      ),
      maxHeartbeatThrottleInterval: zone === 'watch' || runsWorkflows ? '1s' : '5s',
      maxConcurrentActivityTaskExecutions: 500,
      shutdownForceTime: runsWorkflows ? '1 millisecond' : '5 seconds',
      ...(runsWorkflows ? { workflowBundle: await workflowBundle(), stickyQueueScheduleToStartTimeout: '1s' } : {}),
    });
    // One that is ended by force says so.
    const ended = worker.run().catch((error: unknown) => {
      if (!(error instanceof GracefulShutdownPeriodExpiredError)) throw error;
    });
    return { zone, worker, ended };
  }

  private townOf(): Zones {
    const { workflowExecution } = activityInfo();
    const [kind = '', name = ''] = (workflowExecution?.workflowId ?? '').split('/');
    const zones = this.towns.get(kind === 'policy' ? kind : name);
    if (zones === undefined) throw new Error(`no town has the workflow ${workflowExecution?.workflowId ?? ''}`);
    return zones;
  }
}
