import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { activityInfo } from '@temporalio/activity';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Client } from '@temporalio/client';
import { Worker } from '@temporalio/worker';
import { randomUUID } from 'node:crypto';
import { ZONES, type Zone } from '../../../domain/names.js';
import { IDENTITY, workflowBundle } from '../../support/temporal.js';
import { ZONE_OF, type ActivityName } from '../../support/zones.js';
import type { Zones } from './faults.js';
import { until } from './until.js';

/** A server with one worker for each zone, as the product's, for any number of towns at once: a workflow's id says whose it is. */
export class Stage {
  /** It never lets the clock skip, as the environment's own does: what is real judges by real clocks. */
  readonly client: Client;
  private readonly env: TestWorkflowEnvironment;
  private readonly towns = new Map<string, Zones>();
  private apart: ChildProcess | null = null;
  private crashing: Promise<void> = Promise.resolve();
  private folder: string | null = null;
  private workers: { readonly worker: Worker; readonly ended: Promise<void> }[] = [];

  private constructor(env: TestWorkflowEnvironment) {
    this.env = env;
    this.client = new Client({ connection: env.connection, namespace: env.namespace ?? 'default' });
  }

  /** `apart`: workflows run in a process of their own, which can be killed. */
  static async start(server: () => Promise<TestWorkflowEnvironment>, { apart = false } = {}): Promise<Stage> {
    const stage = new Stage(await server());
    if (apart) stage.apart = await stage.fork();
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

  /** Control is killed in the middle of whatever it does; the next process begins with an empty cache. */
  crash(): Promise<void> {
    // Other towns have it crash, too: one after another.
    this.crashing = this.crashing.then(async () => {
      for (const zones of this.towns.values()) zones.crash();
      const killed = this.apart;
      if (killed === null) throw new Error('the workflows of this stage run in this process');
      const ended = once(killed, 'exit');
      killed.kill('SIGKILL');
      await ended;
      this.apart = await this.fork();
    });
    return this.crashing;
  }

  /** Begins the newest run of a workflow again from its first task. */
  async reset(workflowId: string): Promise<void> {
    // One that was reset a moment ago has no task to begin again from so far.
    const first = await until(`the first task of ${workflowId}`, async () => {
      const { events } = await this.client.workflow.getHandle(workflowId).fetchHistory();
      return events?.find(({ workflowTaskCompletedEventAttributes: completed }) => Boolean(completed)) ?? null;
    });
    await this.client.workflowService.resetWorkflowExecution({
      namespace: this.client.options.namespace,
      workflowExecution: { workflowId },
      reason: 'again',
      requestId: randomUUID(),
      workflowTaskFinishEventId: first.eventId ?? null,
    });
  }

  async stop(): Promise<void> {
    for (const { worker } of this.workers) worker.shutdown();
    await Promise.all(this.workers.map(({ ended }) => ended));
    this.apart?.kill('SIGKILL');
    await this.env.teardown();
    if (this.folder !== null) rmSync(this.folder, { recursive: true });
  }

  private async fork(): Promise<ChildProcess> {
    if (this.folder === null) {
      const { code } = await workflowBundle();
      this.folder = mkdtempSync(join(tmpdir(), 'custody-stage-'));
      writeFileSync(join(this.folder, 'bundle.js'), code);
    }
    const script = fileURLToPath(new URL('workflow-worker.mjs', import.meta.url));
    const args = [script, this.env.address, this.client.options.namespace, join(this.folder, 'bundle.js')];
    return spawn(process.execPath, args, { stdio: ['pipe', 'inherit', 'inherit'] });
  }

  private async work(zone: Zone): Promise<Stage['workers'][number]> {
    const names = (Object.keys(ZONE_OF) as ActivityName[]).filter((name) => ZONE_OF[name] === zone);
    const isControl = zone === 'control';
    const runsWorkflows = isControl && this.apart === null;
    const worker = await Worker.create({
      connection: this.env.nativeConnection,
      namespace: this.env.namespace ?? 'default',
      taskQueue: zone,
      identity: IDENTITY,
      activities: Object.fromEntries(
        names.map((name) => [name, (...args: unknown[]) => this.townOf().run(name, args)]),
      ),
      maxHeartbeatThrottleInterval: zone === 'watch' || isControl ? '1s' : '5s',
      maxConcurrentActivityTaskExecutions: 500,
      shutdownForceTime: '5 seconds',
      ...(runsWorkflows ? { workflowBundle: await workflowBundle(), stickyQueueScheduleToStartTimeout: '1s' } : {}),
    });
    return { worker, ended: worker.run() };
  }

  private townOf(): Zones {
    const { workflowExecution } = activityInfo();
    const [kind = '', name = ''] = (workflowExecution?.workflowId ?? '').split('/');
    const zones = this.towns.get(kind === 'policy' ? kind : name);
    if (zones === undefined) throw new Error(`no town has the workflow ${workflowExecution?.workflowId ?? ''}`);
    return zones;
  }
}
