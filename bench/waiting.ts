import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Client, WorkflowHandle } from '@temporalio/client';
import { freePort } from '../client/stack/layout.js';
import { executable } from '../client/stack/stack.js';
import { Supervisor } from '../client/stack/supervisor.js';
import { temporalProcess } from '../client/stack/temporal.js';
import { connectClient } from '../workers/temporal.js';
import { decisionUpdate, startLifecycle } from '../workflows/messages.js';
import type { lifecycle } from '../workflows/index.js';
import { median, MIB, round, say, seconds, spread } from './measure.js';
import { envelope } from './waiting-release.js';
import type { Said } from './waiting-worker.js';

/**
 * What releases cost that wait out a year's notice: MiB of the control worker, which has the workflows and the options that it
 * has in life, and of the server on a file, at each number of them; how many one GiB of worker carries; and the events of each
 * history once it waits. `held` runs are in the worker's cache; the others are read again when something happens to them. Then
 * the worker is killed: what the next one takes before anything has happened, and how many milliseconds an answer takes that is
 * the first thing to happen to a release, and the second. Activities answer at once, so none of this is the work of the zones.
 * What the rest of the year adds to a history is asserted by test/workflow/notice.test.ts. The server writes one thing after the
 * other, so that starting them takes most of the time: a TMPDIR in memory saves two thirds of it. Usage: waiting [releases]
 */
const releases = Number(process.argv[2] ?? 10_000);
const POINTS = [1, 10, 100, 1_000, 2_000, 5_000];
/** On their way to their notice, or looked at, at the same time. */
const AT_ONCE = 50;
const ANSWERS = 50;
const SETTLE_MS = 5_000;
/** Longer than the server keeps anything for the worker that was killed. */
const RESTARTED_MS = 15_000;
const GOAL = { releasesPerGib: 3_000, eventsOfAYear: 100 };

interface Worker {
  readonly rss: () => number;
  /** How many runs it has in its cache. */
  readonly held: () => Promise<number>;
  /** Resolves once the notice of that release has been followed. */
  readonly noticed: (id: string) => Promise<void>;
  readonly died: Promise<never>;
  readonly end: (signal: NodeJS.Signals) => Promise<void>;
}

interface Point {
  readonly releases: number;
  readonly workerMib: number;
  readonly held: number;
  readonly serverMib: number;
  readonly fileMib: number;
}

const folder = mkdtempSync(join(tmpdir(), 'custody-bench-'));
const database = join(folder, 'server', 'temporal.db');
const [port, uiPort] = [await freePort(), await freePort()];
const temporal = { address: `127.0.0.1:${port}`, namespace: 'default' };
const server = new Supervisor();
const workers: Worker[] = [];
try {
  const options = { executable: executable('CUSTODY_TEMPORAL', 'temporal'), logFile: join(folder, 'log') };
  await server.start(temporalProcess({ ...options, database, port, uiPort, namespace: temporal.namespace }));
  const client = await connectClient({ temporal });
  try {
    say(await measure(client));
  } finally {
    await client.connection.close();
  }
} finally {
  for (const worker of workers) await worker.end('SIGKILL');
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
}

async function measure(client: Client): Promise<object> {
  const first = await startWorker();
  await setTimeout(SETTLE_MS);
  const empty = await point(0, first);
  const [points, lengths]: [Point[], number[]] = [[], []];
  let took = 0;
  for (const upTo of [...POINTS.filter((at) => at < releases), releases]) {
    const from = points.at(-1)?.releases ?? 0;
    const starting = (at: number): Promise<void> => toItsNotice(client, at, first);
    took += await seconds(() => alive(first, each(from, upTo, starting)));
    const idle = async (at: number): Promise<void> => void lengths.push(await eventsOnceIdle(handleOf(client, at)));
    await alive(first, each(from, upTo, idle));
    await setTimeout(SETTLE_MS);
    points.push(await point(upTo, first));
  }
  await first.end('SIGKILL');

  const next = await startWorker();
  await setTimeout(RESTARTED_MS);
  const untouched = await point(releases, next);
  const answerMs = await alive(next, answers(client, Math.min(ANSWERS, releases)));
  const answered = await point(releases, next);

  const full = points.at(-1) ?? empty;
  // The first ones also load what all the others use.
  const least = points.find((at) => at.releases >= 100) ?? full;
  const held = points.findLast((at) => at.held === at.releases) ?? least;
  const each1000 = (of: 'workerMib' | 'serverMib' | 'fileMib', from: Point, to: Point): number =>
    round(((to[of] - from[of]) * 1000) / (to.releases - from.releases));
  return {
    ...{ releases, broughtToNoticePerSecond: round(releases / took), points: [empty, ...points] },
    lifecycles: points.map((at) => moreThan(empty, at)),
    worker: {
      mibPer1000: each1000('workerMib', empty, full),
      releasesPerGib: Math.floor((releases * 1024) / full.workerMib),
      ...(held === least ? {} : { mibPer1000Held: each1000('workerMib', least, held) }),
      killed: { untouched, answered, answers: Math.min(ANSWERS, releases), answerMs },
    },
    server: { mibPer1000: each1000('serverMib', empty, full), fileMibPer1000: each1000('fileMib', empty, full) },
    events: { median: median(lengths), max: Math.max(...lengths) },
    goal: GOAL,
  };
}

async function toItsNotice(client: Client, at: number, worker: Worker): Promise<void> {
  const start = startOf(at);
  const noticed = worker.noticed(start.workflowId);
  await client.workflow.start<typeof lifecycle>('lifecycle', { ...start, args: [{ request: envelope() }] });
  await noticed;
}

/** Once nothing is on its way to it, nor from it: it waits, for a time or for somebody. */
async function eventsOnceIdle(handle: WorkflowHandle): Promise<number> {
  for (;;) {
    const { raw, historyLength } = await handle.describe();
    if (!raw.pendingWorkflowTask && (raw.pendingActivities ?? []).length === 0) return historyLength;
    await setTimeout(50);
  }
}

/** Of some among all of them, one after the other. */
async function answers(client: Client, count: number): Promise<object> {
  const took: Record<'first' | 'second', number[]> = { first: [], second: [] };
  for (let time = 0; time < count; time += 1) {
    const handle = handleOf(client, Math.floor((time * releases) / count));
    const acknowledge = () => handle.executeUpdate(decisionUpdate('acknowledge'), { args: [envelope()] });
    for (const which of ['first', 'second'] as const) took[which].push((await seconds(acknowledge)) * 1000);
  }
  return { first: spread(took.first), second: spread(took.second) };
}

function startOf(at: number) {
  return startLifecycle({ model: `model-${at}`, version: '1.0.0' });
}

function handleOf(client: Client, at: number): WorkflowHandle<typeof lifecycle> {
  return client.workflow.getHandle<typeof lifecycle>(startOf(at).workflowId);
}

async function each(from: number, upTo: number, act: (at: number) => Promise<void>): Promise<void> {
  let next = from;
  const lane = async (): Promise<void> => {
    while (next < upTo) await act(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
}

async function startWorker(): Promise<Worker> {
  const program = join(import.meta.dirname, 'waiting-worker.js');
  // Temporal's core warns on stdout, where the result belongs.
  const child = fork(program, [temporal.address, temporal.namespace], { stdio: ['ignore', 2, 2, 'ipc'] });
  const waiting = new Map<string, (value: number) => void>();
  const said = (what: string): Promise<number> => new Promise((done) => waiting.set(what, done));
  child.on('message', ({ what, value = 0 }: Said) => {
    waiting.get(what)?.(value);
    waiting.delete(what);
  });
  const died = once(child, 'exit').then(() => Promise.reject(new Error('the worker has ended')));
  died.catch(() => undefined);
  const worker: Worker = {
    rss: () => rssMib(child.pid),
    held: async () => {
      child.send('held');
      return said('held');
    },
    noticed: async (id) => void (await said(id)),
    died,
    end: async (signal) => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill(signal);
      await ended;
    },
  };
  workers.push(worker);
  await alive(worker, said('ready'));
  return worker;
}

function alive<T>(worker: Worker, work: Promise<T>): Promise<T> {
  return Promise.race([work, worker.died]);
}

async function point(at: number, worker: Worker): Promise<Point> {
  return {
    ...{ releases: at, workerMib: worker.rss(), held: await worker.held() },
    ...{ serverMib: rssMib(server.pids()['temporal']), fileMib: fileMib() },
  };
}

function rssMib(pid: number | undefined): number {
  const status = readFileSync(`/proc/${pid ?? 0}/status`, 'utf8');
  return round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024);
}

/** What the releases have added to what was there without any. */
function moreThan(empty: Point, { releases: count, workerMib, serverMib, fileMib }: Point): object {
  return {
    ...{ releases: count, workerMib: round(workerMib - empty.workerMib) },
    ...{ serverMib: round(serverMib - empty.serverMib), fileMib: round(fileMib - empty.fileMib) },
  };
}

/** With what has not been taken over into it yet. */
function fileMib(): number {
  const files = readdirSync(dirname(database)).filter((name) => name.startsWith(basename(database)));
  return round(files.reduce((sum, name) => sum + statSync(join(dirname(database), name)).size, 0) / MIB);
}
