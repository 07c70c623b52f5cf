import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { orderKill } from '../client/requests.js';
import type { SignedEnvelope } from '../domain/statements.js';
import type { PinnedRoot } from '../formats/policy.js';
import type { Gateway } from '../gateway/gateway.js';
import { gatewayOn, gatewayState, leaveState } from './gateway-state.js';
import { median, MIB, round, say, timed } from './measure.js';

/**
 * What endpoints cost a gateway, at each number of them, each with two releases and two replicas: the time to open from disk, in a
 * process that has opened none before; memory once all of it is there, more than that of a gateway without endpoints; bytes of
 * the state file; the check of a request, by turns of all of them; and an order to kill one of them until it is refused, and
 * until that is on disk. A process of its own for each number and turn: medians. Usage: endpoints [number,number…] [turns]
 */
const [, , first, folderOfOne = ''] = process.argv;
const ONE = '--one';
const KILLS = 20;
const CHECKS = 1_000_000;

/** What a process that measures one number of endpoints is given, as a file. */
interface Given {
  readonly models: readonly string[];
  readonly root: PinnedRoot;
  readonly durable: object;
  readonly replicas: readonly SignedEnvelope[];
  readonly orders: readonly { readonly model: string; readonly order: SignedEnvelope }[];
}

interface Measured {
  readonly openMs: number;
  readonly heapKib: number;
  readonly rssMib: number;
  readonly stateBytes: number;
  readonly checkNs: number;
  readonly refusedMs: number;
  readonly durableMs: number;
}

if (first === ONE) say(await measureOne(folderOfOne));
else await measure((first ?? '1,10,100,1000').split(',').map(Number), Number(process.argv[3] ?? 5));

async function measure(numbers: readonly number[], turns: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'custody-bench-'));
  try {
    const empty = await medians(folder, 0, turns);
    const points: (Measured & { readonly endpoints: number })[] = [];
    for (const endpoints of numbers) {
      const measured = await medians(folder, endpoints, turns);
      const heapKib = round(measured.heapKib - empty.heapKib);
      points.push({ endpoints, ...measured, heapKib });
    }
    say({ empty, points, most: points.at(-1) });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function medians(folder: string, endpoints: number, turns: number): Promise<Measured> {
  const at = join(folder, String(endpoints));
  mkdirSync(at);
  writeFileSync(join(at, 'given.json'), JSON.stringify(give(endpoints)));
  const all: Measured[] = [];
  for (let turn = 0; turn < turns; turn += 1) {
    const { exitCode, stdout } = await timed(process.execPath, [
      ...['--expose-gc', fileURLToPath(import.meta.url), ONE, at],
    ]);
    if (exitCode !== 0) throw new Error(`${endpoints} endpoints ended with ${exitCode ?? 'a signal'}`);
    all.push(JSON.parse(stdout) as Measured);
  }
  const of = (what: keyof Measured): number => median(all.map((each) => each[what]));
  return {
    ...{ openMs: of('openMs'), heapKib: of('heapKib'), rssMib: of('rssMib'), stateBytes: of('stateBytes') },
    ...{ checkNs: of('checkNs'), refusedMs: of('refusedMs'), durableMs: of('durableMs') },
  };
}

function give(endpoints: number): Given {
  const models = Array.from({ length: endpoints }, (_, at) => `model-${at}`);
  const { root, durable, replicas, operator } = gatewayState(1, models);
  const orders = Array.from({ length: KILLS }, (_, at) => {
    const model = models[Math.floor((at * endpoints) / KILLS)] ?? 'none';
    return { model, order: orderKill({ key: operator, environment: 'bench' }, model, 'a drill') };
  });
  return { models, root, durable, replicas, orders };
}

async function measureOne(folder: string): Promise<Measured> {
  const read = (): Given => JSON.parse(readFileSync(join(folder, 'given.json'), 'utf8')) as Given;
  const state = join(folder, 'state');
  leaveState(state, read().durable);
  const before = heapBytes();
  const startedAt = performance.now();
  const gateway = gatewayOn(state, read().root);
  const openMs = performance.now() - startedAt;
  for (const replica of read().replicas) gateway.admitReplica(replica);
  const heapKib = (heapBytes() - before) / 1024;
  const rssMib = process.memoryUsage().rss / MIB;

  const { models, root, durable, orders } = read();
  const checkNs = models.length === 0 ? 0 : checks(gateway, models);
  await gateway.close();
  const stateBytes = statSync(join(state, 'state.json')).size;
  const [refused, kept]: [number[], number[]] = [[], []];
  for (const { model, order } of orders) {
    leaveState(state, durable);
    const took = await kill(gatewayOn(state, root), model, order);
    refused.push(took.refusedMs);
    kept.push(took.durableMs);
  }
  return { openMs, heapKib, rssMib, stateBytes, checkNs, refusedMs: median(refused), durableMs: median(kept) };
}

/** What is live, with what lies beside V8's heap. */
function heapBytes(): number {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** The median of some rounds, the first of which only warms up. */
function checks(gateway: Gateway, models: readonly string[]): number {
  const now = Date.now();
  const round1M = (): number => {
    const startedAt = process.hrtime.bigint();
    for (let at = 0; at < CHECKS; at += 1)
      if ('status' in gateway.choose(models[at % models.length] ?? '', at % 100, now))
        throw new Error('one was refused');
    return Number(process.hrtime.bigint() - startedAt) / CHECKS;
  };
  round1M();
  return median([round1M(), round1M(), round1M()]);
}

async function kill(gateway: Gateway, model: string, order: SignedEnvelope) {
  const startedAt = performance.now();
  const latched = gateway.latchKill(order);
  const choice = gateway.choose(model, 0, Date.now());
  if (!('status' in choice) || choice.code !== 'KILLED') throw new Error(`the gateway serves ${model}`);
  const refusedMs = performance.now() - startedAt;
  await latched;
  const durableMs = performance.now() - startedAt;
  await gateway.close();
  return { refusedMs, durableMs };
}
