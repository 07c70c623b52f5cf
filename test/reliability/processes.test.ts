import { once } from 'node:events';
import { rmSync, mkdtempSync, chmodSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll } from 'vitest';
import { Bench, FIRST, MODEL } from '../e2e/harness.js';
import { isAlive, modelServersOf } from '../e2e/support/processes.js';
import { CLOCK_MS, Clocks } from './support/clocks.js';
import { Run } from './support/experiment.js';
import { survived, type Fault } from './support/ordeal.js';
import { OURS, SERVERS } from './support/processes.js';
import { Scene } from './support/scene.js';
import { SmallDisks } from './support/small-disks.js';

/*
 * A whole stack of real processes, with callers all the time. Each of its processes is in turn ended by SIGKILL, held by SIGSTOP for
 * 30 s, left without a byte of room in the folders it writes to, and set a day ahead by its wall clock, then right again.
 *
 * What is held against each fault is said of `survived`.
 */
type Supervised = (typeof SERVERS)[number] | (typeof OURS)[number];
const ALL: readonly Supervised[] = [...SERVERS, ...OURS];
/** When it has something to do. */
const MOMENTS: Partial<Record<Supervised, readonly string[]>> = {
  signing: ['sign', 'roll out', 'in service'],
  serving: ['roll out', 'in service'],
  watch: ['roll out', 'in service'],
  gateway: ['roll out', 'in service'],
};

const [HELD_MS, FULL_MS, AHEAD_MS] = [30_000, 15_000, 15_000];
const FAULT_MS = 1_800_000;

const run = new Run('processes');
const folder = mkdtempSync(join(tmpdir(), 'custody-clocks-'));
const disks = new SmallDisks();
const late: number[] = [];
let clocks: Clocks;
let bench: Bench;
let scene: Scene;

const homeOf = (name: Supervised): string =>
  (SERVERS as readonly string[]).includes(name) ? join(bench.state, name) : join(bench.state, 'zones', name);

beforeAll(async () => {
  chmodSync(folder, 0o755);
  clocks = new Clocks(folder, ALL);
  bench = await Bench.start((policy, layout) => {
    for (const name of SERVERS) disks.mount(layout.path(name), '1g');
    for (const name of OURS) disks.mount(layout.path('zones', name), '256m');
    return policy;
  });
  scene = await Scene.of(bench);
}, FAULT_MS);

afterAll(async () => {
  if (late.length > 0)
    run.figure('from the signature of a kill to the last caller who was served, at most', Math.max(...late), 's');
  await scene?.stop();
  await bench?.load.stop();
  await bench?.stack.stop();
  disks.unmount();
  await bench?.stop();
  clocks?.close();
  rmSync(folder, { recursive: true });
}, FAULT_MS);

async function survives(what: string, fault: Fault, moment?: readonly string[]): Promise<void> {
  const seconds = await survived(scene, what, fault, moment === undefined ? {} : { moment });
  if (seconds !== null) late.push(seconds);
}

function modelServer(): number {
  const [pid] = modelServersOf(MODEL, FIRST.version);
  if (pid === undefined) throw new Error(`no server of ${MODEL} ${FIRST.version} runs`);
  return pid;
}

for (const name of ALL) {
  run.fault(
    'SIGKILL',
    name,
    () => {
      const restarted = once(bench.stack.supervisor, 'restarted');
      const begin = (): void => bench.signalProcess(name, 'SIGKILL');
      return survives(
        `SIGKILL ${name}`,
        { begin, end: () => restarted.then(() => undefined), lastsMs: 0 },
        MOMENTS[name],
      );
    },
    FAULT_MS,
  );
}
run.fault(
  'SIGKILL',
  'model server',
  () =>
    survives('SIGKILL model server', {
      begin: () => void process.kill(modelServer(), 'SIGKILL'),
      end: () => undefined,
      lastsMs: 0,
    }),
  FAULT_MS,
);

for (const name of ALL) {
  run.fault(
    'SIGSTOP for 30 s',
    name,
    () => {
      const pid = bench.stack.supervisor.pids()[name] ?? 0;
      const begin = (): void => bench.signalProcess(name, 'SIGSTOP');
      const end = (): void => void process.kill(pid, 'SIGCONT');
      return survives(`SIGSTOP ${name}`, { begin, end, lastsMs: HELD_MS, holdsGateway: name === 'gateway' });
    },
    FAULT_MS,
  );
}
run.fault(
  'SIGSTOP for 30 s',
  'model server',
  () => {
    const pid = modelServer();
    // One that answers nothing is ended by the zone serving, which starts another.
    const end = (): void => void (isAlive(pid) && process.kill(pid, 'SIGCONT'));
    const begin = (): void => void process.kill(pid, 'SIGSTOP');
    return survives('SIGSTOP model server', { begin, end, lastsMs: HELD_MS });
  },
  FAULT_MS,
);

for (const name of ALL) {
  run.fault(
    'no room on the disk',
    name,
    () => {
      const [begin, end] = [() => disks.fill(homeOf(name)), () => disks.empty(homeOf(name))];
      return survives(`full disk ${name}`, { begin, end, lastsMs: FULL_MS });
    },
    FAULT_MS,
  );
}

for (const name of ALL) {
  run.fault(
    'a clock a day ahead',
    name,
    () => {
      const moved = (move: () => void) => async (): Promise<void> => {
        move();
        await pause(CLOCK_MS);
      };
      const [begin, end] = [moved(() => clocks.aheadByADay(name)), moved(() => clocks.right(name))];
      return survives(`clock ${name}`, { begin, end, lastsMs: AHEAD_MS });
    },
    FAULT_MS,
  );
}
