import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect } from 'vitest';
import { outcomeOf } from '../../client/messages.js';
import { lifecycleId, ZONES } from '../../domain/names.js';
import { seededRandom } from '../../examples/digits/training/random.mjs';
import { Bench } from '../e2e/harness.js';
import { until } from '../e2e/support/until.js';
import { startProxy, type Fault as Network, type Proxy } from '../support/proxy.js';
import { Run } from './support/experiment.js';
import { NOTHING, survived, type Fault } from './support/ordeal.js';
import { MOVING, Scene } from './support/scene.js';
import { secondOf, startSecondZones } from './support/second-zones.js';
import { StandIn, wish } from './support/stand-in.js';
import { TemporalCluster } from './support/temporal-cluster.js';

/*
 * A stack that is not one machine's: Temporal is a cluster of two servers on PostgreSQL, behind one address; between everybody and the
 * store lies a network that takes 25 to 75 ms a request of a zone, and on which of a hundred requests two are answered 503, two are cut off before
 * they arrive, and one after it was done; each zone has two workers, with the same keys and folders of their own.
 *
 * What is held against each fault is said of `survived`; the log and the records are then read over a good network.
 */
const [LEAST_MS, MORE_MS] = [25, 50];
const [BUSY, CUT, UNHEARD] = [0.02, 0.04, 0.05];
const HELD_MS = 30_000;
const FAULT_MS = 1_800_000;
const PATIENCE_SECONDS = 400;

const run = new Run('scale');
const folder = mkdtempSync(join(tmpdir(), 'custody-scale-'));
const standIns: StandIn[] = [];
const random = seededRandom(7);
let cluster: TemporalCluster;
let proxy: Proxy;
let bench: Bench;
let scene: Scene;
const asked = { all: 0, failed: 0 };

const poor: Network = async (request, pass) => {
  // People try again by themselves; what is tried is what goes on without them.
  if (request.headers.authorization?.includes('Credential=reader/') === true) return pass();
  await pause(LEAST_MS + random() * MORE_MS);
  const luck = random();
  asked.all += 1;
  if (luck < UNHEARD) asked.failed += 1;
  if (luck < BUSY) return { status: 503, headers: { 'content-type': 'application/xml' }, body: Buffer.from(SLOW_DOWN) };
  if (luck < CUT) return 'cut';
  const answer = await pass();
  return luck < UNHEARD ? 'cut' : answer;
};
const SLOW_DOWN =
  '<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>';

beforeAll(async () => {
  cluster = await TemporalCluster.start(join(folder, 'cluster'), 'dev');
  const temporal = await StandIn.of(
    folder,
    'CUSTODY_TEMPORAL',
    (real, called) =>
      `if [ "$1 $2" = 'server start-dev' ]; then touch '${called}'; exec sleep infinity; fi\nexec '${real}' "$@"`,
  );
  standIns.push(temporal);
  const behind = await StandIn.of(
    folder,
    'CUSTODY_VERSITYGW',
    (real, called) => `touch '${called}'; shift 2; exec '${real}' --port "127.0.0.1:$(cat '${called}.port')" "$@"`,
  );
  standIns.push(behind);
  const store = await behind.behind();
  const answered = Promise.all([
    temporal.called().then(() => cluster.listen(temporal.port)),
    behind.called().then(async () => (proxy = await startProxy(`http://127.0.0.1:${store}`, behind.port))),
  ]);
  answered.catch(() => undefined);
  bench = await Bench.start((policy, layout) => {
    wish(layout, { temporal: temporal.port, store: behind.port });
    return policy;
  });
  await answered;
  scene = await Scene.of(bench);
  proxy.set(poor);
}, FAULT_MS);

afterAll(async () => {
  if (asked.all > 0) {
    run.figure('requests to the store', asked.all, '');
    run.figure('of them failed', asked.failed, '');
  }
  proxy?.set((_, pass) => pass());
  await scene?.stop();
  await bench?.stop();
  proxy?.stop();
  await cluster?.stop();
  for (const each of standIns) each.restore();
  rmSync(folder, { recursive: true, force: true });
}, FAULT_MS);

/** For what is not tried: reading the log afterwards, and the start of a worker, which whoever supervises it does again. */
async function overGoodNetwork(act: () => Promise<void>): Promise<void> {
  proxy.set((_, pass) => pass());
  try {
    await act();
  } finally {
    proxy.set(poor);
  }
}

const survives = async (what: string, fault: Fault): Promise<void> =>
  void (await survived(scene, what, fault, { reading: overGoodNetwork }));

run.fault(
  'a store that is slow and fails',
  'the whole way into service',
  () => survives('as it is', NOTHING),
  FAULT_MS,
);

run.fault(
  'a store that is slow and fails',
  'retired, to the certificate',
  async () => {
    const before = await scene.begin();
    await before.inService();
    const after = await scene.begin();
    await after.inService();
    const asked = await until('the request to retire', PATIENCE_SECONDS, async () => {
      const said = await bench.cli('retire', MOVING, before.version, '--reason', 'replaced', '--key', 'otto');
      if (said.code !== 0) throw new Error(said.stderr);
      return said;
    });
    expect(asked.code).toBe(0);
    await bench.approve(before.version, ['alice', 'bob'], MOVING);
    const name = { model: MOVING, version: before.version };
    const outcome = await until('its end', PATIENCE_SECONDS, () => outcomeOf(bench.custody, name));
    expect(outcome).toMatchObject({ kind: 'retired' });
    await overGoodNetwork(() => scene.holds(after));
  },
  FAULT_MS,
);

for (const name of ['temporal-1', 'temporal-2', 'postgresql'])
  run.fault(
    'a Temporal cluster on PostgreSQL',
    `SIGKILL ${name}`,
    () => {
      const restarted = once(cluster.supervisor, 'restarted');
      const begin = (): void => void process.kill(cluster.supervisor.pids()[name] ?? 0, 'SIGKILL');
      return survives(`SIGKILL ${name}`, { begin, end: () => restarted.then(() => undefined), lastsMs: 0 });
    },
    FAULT_MS,
  );

run.fault(
  'two workers for each zone',
  'both at work',
  async () => {
    await overGoodNetwork(() => startSecondZones(bench));
    await survives('both at work', NOTHING);
    await survives('both at work, again', NOTHING);
  },
  FAULT_MS,
);

run.fault(
  'two workers for each zone',
  'the first of all held for 30 s',
  async () => {
    const pids = ZONES.map((zone) => bench.stack.supervisor.pids()[zone] ?? 0);
    const send = (signal: NodeJS.Signals) => (): void => pids.forEach((pid) => void process.kill(pid, signal));
    await survives('the first held', { begin: send('SIGSTOP'), end: send('SIGCONT'), lastsMs: HELD_MS });
  },
  FAULT_MS,
);

for (const which of ['first', 'second'] as const)
  run.fault(
    'two workers for each zone',
    `SIGKILL for the ${which} of all`,
    async () => {
      const begin = (): void =>
        ZONES.forEach((zone) => bench.signalProcess(which === 'first' ? zone : secondOf(zone), 'SIGKILL'));
      await survives(`SIGKILL ${which}`, { ...NOTHING, begin });
    },
    FAULT_MS,
  );

run.fault(
  'two workers for each zone',
  'each zone has worked at both',
  async () => {
    const workers = new Set<string>();
    const { workflow } = bench.custody.temporal;
    for await (const { workflowId } of workflow.list({ query: `CustodyModel = '${MOVING}'` }))
      for (const event of (await workflow.getHandle(workflowId).fetchHistory()).events ?? [])
        workers.add(event.activityTaskStartedEventAttributes?.identity ?? '');
    const byZone = Object.fromEntries(
      ZONES.map((zone) => [zone, [...workers].filter((identity) => identity.startsWith(`${zone}@`)).length]),
    );
    expect(
      workers.size,
      JSON.stringify({ byZone, of: lifecycleId({ model: MOVING, version: '1.0.1' }) }),
    ).toBeGreaterThan(0);
    for (const zone of ['control', 'intake', 'signing', 'serving', 'watch'])
      expect(byZone[zone], zone).toBeGreaterThan(1);
  },
  FAULT_MS,
);
