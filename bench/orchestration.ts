import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client, WorkflowHandle } from '@temporalio/client';
import { tsToMs } from '@temporalio/common/lib/time.js';
import type { lifecycle } from '../workflows/index.js';
import { endpointId, lifecycleId, type ReleaseName } from '../domain/names.js';
import { decisionSignal, startLifecycle } from '../workflows/messages.js';
import { median, round, say, seconds, spread } from './measure.js';
import { envelope } from './no-op.js';
import { custodySide, naiveSide, type Side } from './orchestration-sides.js';

/**
 * What Temporal costs: a whole release, from its request to the moment when it is in service, by the two workflows and five
 * workers that it has in life, whose activities do nothing; approvals are there before they are asked for. Beside it a
 * workflow of one activity after the other, on a server and a worker with their defaults. One alone, in milliseconds by the server's own
 * clock, with all that its histories have; then many at once, releases a second, with the server's database in memory and on
 * a file. Ratios above one are in Custody's favour. Usage: orchestration [at once] [turns] [alone]
 */
const atOnce = Number(process.argv[2] ?? 50);
const turns = Number(process.argv[3] ?? 5);
const alone = Number(process.argv[4] ?? 20);
const NAIVE = { alone: 20, atOnce: 5 };

interface Took {
  readonly ms: number;
  readonly events: number;
  readonly activities: number;
}

let count = 0;
const folder = mkdtempSync(join(tmpdir(), 'custody-bench-'));
try {
  for (const database of ['memory', 'file'] as const) {
    const sides = { custody: await custodySide(folder, database), naive: await naiveSide(folder, database) };
    try {
      const perSecond = await many(sides);
      const one = { custody: await each(() => release(sides.custody)), naive: await each(() => naive(sides.naive)) };
      const ms = { custody: spread(msOf(one.custody)), naive: spread(msOf(one.naive)) };
      const [last, lastNaive] = [one.custody.at(-1), one.naive.at(-1)];
      say({
        [database]: {
          alone: {
            ...{ milliseconds: ms, ratio: round(ms.naive.p50 / ms.custody.p50) },
            ...{ activities: last?.activities, events: last?.events },
            naive: { activities: NAIVE.alone, events: lastNaive?.events },
          },
          atOnce: {
            ...{ of: atOnce, perSecond, ratio: round(perSecond.custody / perSecond.naive) },
            naiveActivities: NAIVE.atOnce,
          },
        },
      });
    } finally {
      await sides.custody.stop();
      await sides.naive.stop();
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function many({ custody, naive: peer }: { readonly custody: Side; readonly naive: Side }) {
  const took: Record<'custody' | 'naive', number[]> = { custody: [], naive: [] };
  const all = (act: () => Promise<unknown>) => seconds(() => Promise.all(Array.from({ length: atOnce }, act)));
  for (let turn = 0; turn <= turns; turn += 1) {
    const names: ReleaseName[] = [];
    const ours = await all(async () => names.push(await intoService(custody)));
    // What is in service is watched, which is a write every few seconds: each turn begins with none.
    for (const name of names) await outOfService(custody, name);
    const theirs = await all(() => execute(peer.client, NAIVE.atOnce));
    // The first turn only warms up.
    if (turn === 0) continue;
    took.custody.push(atOnce / ours);
    took.naive.push(atOnce / theirs);
  }
  return { custody: median(took.custody), naive: median(took.naive) };
}

async function each(act: () => Promise<Took>): Promise<readonly Took[]> {
  const took: Took[] = [];
  for (let time = 0; time < alone; time += 1) took.push(await act());
  return took;
}

function msOf(took: readonly Took[]): number[] {
  return took.map(({ ms }) => ms);
}

async function intoService({ client, told }: Side): Promise<ReleaseName> {
  const name = { model: `model-${(count += 1)}`, version: '1.0.0' };
  const start = startLifecycle(name);
  const arrived = told(start.workflowId);
  const handle = await client.workflow.start<typeof lifecycle>('lifecycle', {
    ...start,
    args: [{ request: envelope() }],
  });
  for (const by of ['alice', 'bob']) await handle.signal(decisionSignal('approve'), envelope(by));
  await arrived;
  return name;
}

async function outOfService({ client }: Side, name: ReleaseName): Promise<void> {
  for (const id of [lifecycleId(name), endpointId(name.model)]) await client.workflow.getHandle(id).terminate();
}

async function release(side: Side): Promise<Took> {
  const name = await intoService(side);
  const main = await took(side.client.workflow.getHandle(lifecycleId(name)));
  const beside = await took(side.client.workflow.getHandle(endpointId(name.model)));
  await outOfService(side, name);
  return { ms: main.ms, events: main.events + beside.events, activities: main.activities + beside.activities };
}

async function naive({ client }: Side): Promise<Took> {
  return took(await execute(client, NAIVE.alone));
}

async function execute(client: Client, activities: number): Promise<WorkflowHandle> {
  const workflowId = `naive-${(count += 1)}`;
  const handle = await client.workflow.start('naive', { taskQueue: 'naive', workflowId, args: [activities] });
  await handle.result();
  return handle;
}

/** From its first event to its last, once nothing is on its way to it. */
async function took(handle: WorkflowHandle): Promise<Took> {
  const isBusy = async (): Promise<boolean> => (await handle.describe()).raw.pendingWorkflowTask != null;
  while (await isBusy());
  const events = (await handle.fetchHistory()).events ?? [];
  const [first, last] = [events[0]?.eventTime, events.at(-1)?.eventTime];
  const activities = events.filter((event) => event.activityTaskScheduledEventAttributes != null).length;
  return { ms: tsToMs(last) - tsToMs(first), events: events.length, activities };
}
