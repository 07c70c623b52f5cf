import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { orderKill } from '../client/requests.js';
import type { SigningKey } from '../formats/keys.js';
import type { Gateway } from '../gateway/gateway.js';
import { gatewayState, openGateway } from './gateway-state.js';
import { round, say, spread, type Spread } from './measure.js';

/**
 * Milliseconds from a signed kill order to the moment when the last of many gateways in one process refuses callers, and to
 * the one when all of them have it on disk, which is when they answer. Beside LaunchDarkly's SDK, told by a stub of its streaming
 * service, which keeps nothing. Then the same of one gateway by itself, as each has a process of its own in life, and what one
 * file written and synced takes: that much is the disk's. Ratios above one are in Custody's favour. Usage: kill [gateways] [times]
 */
const gateways = Number(process.argv[2] ?? 100);
const times = Number(process.argv[3] ?? 200);
/** Orders that one set of gateways takes, so that they hold as many as they may in life. */
const ORDERS = 10;

const folder = mkdtempSync(join(tmpdir(), 'custody-bench-'));
try {
  const ours = await killed(gateways);
  const peer = JSON.parse(
    execFileSync(process.execPath, [launchDarkly(), String(gateways), String(times)], { encoding: 'utf8' }),
  ) as number[];
  const told = { ...ours, launchDarkly: spread(peer) };
  const ratios = (of: Spread): object => ({
    p50: round(told.launchDarkly.p50 / of.p50),
    p99: round(told.launchDarkly.p99 / of.p99),
  });
  say({
    ...{ gateways, times, milliseconds: told, oneGateway: await killed(1), oneFileSynced: spread(await syncs()) },
    ratios: { refused: ratios(told.refused), durable: ratios(told.durable) },
  });
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function launchDarkly(): string {
  return join(import.meta.dirname, '../../bench/peers/launchdarkly.mjs');
}

async function killed(count: number): Promise<{ readonly refused: Spread; readonly durable: Spread }> {
  const [refused, durable]: [number[], number[]] = [[], []];
  // The first set only warms up.
  for (let set = 0; set <= Math.ceil(times / ORDERS); set += 1) {
    const place = join(folder, String(set));
    const { all, operator } = start(place, count);
    for (let order = 0; order < ORDERS; order += 1) {
      const took = await kill(all, operator, `digits-${order}`);
      if (set === 0) continue;
      refused.push(took.refused);
      durable.push(took.durable);
    }
    await Promise.all(all.map((gateway) => gateway.close()));
    rmSync(place, { recursive: true });
  }
  return { refused: spread(refused), durable: spread(durable) };
}

function start(base: string, count: number): { readonly all: readonly Gateway[]; readonly operator: SigningKey } {
  const state = gatewayState(1);
  const all = Array.from({ length: count }, (_, at) => openGateway(join(base, String(at)), state, []));
  return { all, operator: state.operator };
}

async function kill(
  all: readonly Gateway[],
  operator: SigningKey,
  model: string,
): Promise<{ readonly refused: number; readonly durable: number }> {
  const order = orderKill({ key: operator, environment: 'bench' }, model, 'a drill');
  const startedAt = performance.now();
  const latched = all.map((gateway) => gateway.latchKill(order));
  for (const gateway of all) {
    const choice = gateway.choose(model, 0, Date.now());
    if (!('status' in choice) || choice.code !== 'KILLED') throw new Error(`a gateway serves ${model}`);
  }
  const refused = performance.now() - startedAt;
  await Promise.all(latched);
  return { refused, durable: performance.now() - startedAt };
}

async function syncs(): Promise<readonly number[]> {
  const took: number[] = [];
  for (let time = 0; time < times; time += 1) {
    const startedAt = performance.now();
    const file = await open(join(folder, 'synced'), 'w');
    await file.writeFile('x'.repeat(16_384));
    await file.sync();
    await file.close();
    took.push(performance.now() - startedAt);
  }
  return took;
}
