import { afterAll, beforeAll, expect } from 'vitest';
import { setTimeout as pause } from 'node:timers/promises';
import { endpointStatus, lifecycleStatus, outcomeOf } from '../../client/messages.js';
import { startLoad, type Load } from '../../examples/digits/load.js';
import { seededRandom } from '../../examples/digits/training/random.mjs';
import { Bench, FIRST, MODEL } from '../e2e/harness.js';
import { modelServersOf, processesOf } from '../e2e/support/processes.js';
import { until } from '../e2e/support/until.js';
import { Run } from './support/experiment.js';
import { growthOf, OURS, sampleOf, SERVERS, type Sample } from './support/processes.js';

/*
 * For an hour a stack of real processes gets releases, which people agree to or reject, rollbacks, kills and retirements, one after
 * the other at random, while callers come. Every 15 s each process is looked at.
 *
 * How much a process grows is the difference between the medians of the second and the last quarter of the hour, for an hour.
 */
const HOUR_MS = 3_600_000;
const LOOK_MS = 15_000;
const PATIENCE_SECONDS = 300;
const TIMEOUT_MS = 2 * HOUR_MS;
const MOST = { rssMib: 32, handles: 8 } as const;

const run = new Run('soak');
const random = seededRandom(11);
const agreed = new Set<string>();
type Act = 'release' | 'rejection' | 'rollback' | 'kill' | 'retirement';
const done: Record<Act, number> = { release: 0, rejection: 0, rollback: 0, kill: 0, retirement: 0 };
const samples = new Map<string, Sample[]>();
let bench: Bench;
let load: Load;
let asked = 0;

beforeAll(async () => {
  bench = await Bench.start();
  await bench.putFirstInService();
  agreed.add((await lifecycleStatus(bench.custody, FIRST)).progress.ingested?.release ?? '');
  const url = bench.stack.description.gateway.url;
  load = startLoad({ url, model: MODEL, ratePerSecond: 20, callers: 40, maxSeconds: 7_200, maxRequests: 200_000 });
}, TIMEOUT_MS);

afterAll(async () => {
  await load?.stop();
  await bench?.stop();
}, TIMEOUT_MS);

async function ask(): Promise<{ readonly version: string; readonly release: string }> {
  const version = `1.1.${(asked += 1)}`;
  const source = await bench.source(version);
  await bench.start(source);
  return { version, release: source.release };
}

/** Those that served and can be retired: what has gone back has ended. */
async function leaving(): Promise<readonly string[]> {
  const { serving } = await endpointStatus(bench.custody, MODEL);
  const serves = serving.filter(({ weight }) => weight > 0).map(({ version }) => version);
  const { workflow } = bench.custody.temporal;
  const found: string[] = [];
  const query = `WorkflowType = 'lifecycle' AND ExecutionStatus = 'Running' AND CustodyStage = 'in service'`;
  for await (const { workflowId } of workflow.list({ query })) found.push(workflowId.split('/').at(-1) ?? '');
  return found.filter((version) => !serves.includes(version));
}

/** Does what it says, to its end, if there is something to do it with. */
const ACTS: Readonly<Record<Act, () => Promise<boolean>>> = {
  release: async () => {
    const { version, release } = await ask();
    agreed.add(release);
    await bench.approve(version, ['alice']);
    await bench.reached(version, 'in service');
    await bench.answers({ status: 200, version });
    return true;
  },
  rejection: async () => {
    const { version } = await ask();
    await bench.say('reject', await bench.openGate(version), ['alice']);
    await bench.reached(version, 'ended');
    return true;
  },
  rollback: async () => {
    const { serving } = await endpointStatus(bench.custody, MODEL);
    const warm = serving.find(({ weight }) => weight === 0);
    if (warm === undefined) return false;
    await bench.done('rollback', MODEL, '--to', warm.version, '--reason', 'slower than before', '--key', 'oscar');
    await bench.answers({ status: 200, version: warm.version });
    return true;
  },
  kill: async () => {
    await bench.done('kill', MODEL, '--reason', 'something is wrong', '--key', 'oscar');
    expect(await bench.call()).toMatchObject({ status: 503 });
    await bench.restore();
    return true;
  },
  retirement: async () => {
    const [version] = await leaving();
    if (version === undefined) return false;
    await bench.done('retire', MODEL, version, '--reason', 'replaced', '--key', 'otto');
    await bench.approve(version, ['alice', 'bob']);
    const outcome = await until('its end', PATIENCE_SECONDS, () => outcomeOf(bench.custody, { model: MODEL, version }));
    expect(outcome).toMatchObject({ kind: 'retired' });
    return true;
  },
};
/** How often each comes, in ten. As many are retired as there are, so that no more live at the end: what grows then is no release. */
const SHARES: readonly Act[] = [
  ...(['release', 'release', 'release', 'rejection', 'rollback', 'kill', 'kill'] as const),
  ...(['retirement', 'retirement', 'retirement'] as const),
];

function look(): void {
  const pids = bench.stack.supervisor.pids();
  for (const name of [...OURS, ...SERVERS]) {
    const before = samples.get(name) ?? [];
    samples.set(name, [...before, sampleOf(pids[name] ?? 0)]);
  }
}

const GROUP = 'an hour under traffic';
run.fault(
  GROUP,
  'whatever is done comes to its end',
  async () => {
    const end = Date.now() + HOUR_MS;
    const watch = new AbortController();
    const watched = (async (): Promise<void> => {
      for (; !watch.signal.aborted; await pause(LOOK_MS)) look();
    })();
    try {
      while (Date.now() < end) {
        const act = SHARES[Math.floor(random() * SHARES.length)] ?? 'release';
        if (await ACTS[act]()) done[act] += 1;
      }
    } finally {
      watch.abort();
      await watched;
    }
    for (const [act, times] of Object.entries(done)) run.figure(`${act}s`, times, '');
    run.figure('in service at the end, but for what serves', (await leaving()).length, '');
    expect(Math.min(...Object.values(done))).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);

run.fault(GROUP, 'callers are served by what people agreed to, and by nothing else', async () => {
  const { byRelease, byStatus, mixed, requests } = await load.stop();
  run.figure('requests of callers', requests, '');
  run.figure('of them refused by a kill', byStatus['503'] ?? 0, '');
  const served = Object.keys(byRelease).filter((release) => release !== 'unnamed');
  expect(served.filter((release) => !agreed.has(release))).toEqual([]);
  expect(served.length).toBeGreaterThan(1);
  expect({ mixed, statuses: Object.keys(byStatus).sort() }).toEqual({ mixed: 0, statuses: ['200', '503'] });
});

run.fault(GROUP, 'the log verifies, and says of each act that it happened once', async () => {
  const log = await bench.log();
  run.figure('records of the log', log.length, '');
  const times = (change: string): number =>
    new Set(log.filter((each) => each.change === change).map(({ id }) => id)).size;
  expect({
    killed: times('endpoint.killed'),
    restored: times('endpoint.restored'),
    retired: times('release.retired'),
    rejected: log.filter(({ change, reason }) => change === 'release.ended' && reason.includes('rejected')).length,
  }).toEqual({
    killed: done.kill,
    restored: done.kill,
    retired: done.retirement,
    rejected: done.rejection,
  });
  expect((await bench.cli('audit', 'verify', '--key', 'ada')).code).toBe(0);
});

run.fault(GROUP, 'each retirement has a certificate, and no other has the same', async () => {
  const keys = (await bench.keys('records/')).filter((key) => key.endsWith('/destruction'));
  const certificates = await Promise.all(
    keys.map(async (key) => ((await bench.custody.records.record(key)) as { certificate: string }).certificate),
  );
  expect(new Set(certificates).size).toBe(done.retirement);
  expect(certificates.length).toBe(done.retirement);
});

for (const name of OURS)
  run.fault(GROUP, `${name} does not grow`, async () => {
    const all = samples.get(name) ?? [];
    const grown = { rssMib: growthOf(all, 'rssMib'), handles: growthOf(all, 'handles') };
    run.figure(`${name}: memory at the end`, Math.round(all.at(-1)?.rssMib ?? 0), 'MiB');
    run.figure(`${name}: memory grows by`, Math.round(grown.rssMib), 'MiB an hour');
    expect(grown.rssMib).toBeLessThan(MOST.rssMib);
    expect(grown.handles).toBeLessThan(MOST.handles);
  });

run.fault(GROUP, 'no process is left', async () => {
  const { serving } = await endpointStatus(bench.custody, MODEL);
  const kept = serving.map(({ version }) => version);
  for (let at = 1; at <= asked; at += 1)
    if (!kept.includes(`1.1.${at}`)) expect(modelServersOf(MODEL, `1.1.${at}`), `1.1.${at}`).toEqual([]);
  for (const name of SERVERS) {
    const all = samples.get(name) ?? [];
    run.figure(`${name}: memory at the end`, Math.round(all.at(-1)?.rssMib ?? 0), 'MiB');
    run.figure(`${name}: memory grows by`, Math.round(growthOf(all, 'rssMib')), 'MiB an hour');
  }
  const { state } = bench;
  await bench.stack.stop();
  expect(processesOf(state)).toEqual([]);
});
