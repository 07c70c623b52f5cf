import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createGatewayClient } from '../adapters/gateway/client.js';
import { freePort } from '../client/stack/layout.js';
import { CustodyError } from '../domain/errors.js';
import { gatewayState, openGateway } from './gateway-state.js';
import { median, round, say } from './measure.js';

/**
 * Requests per second through the gateway beside other proxies, each a process of its own on one core, in turns: POST of a
 * tensor of 64 floats, connections kept alive. The gateway has two releases with weights, triggers, breaker, counters and kill
 * check on. The replica and wrk share the other core. Then what the check of one request costs. Ratios above one are in
 * Custody's favour. Usage: gateway [seconds of a turn] [turns]
 */
const seconds = Number(process.argv[2] ?? 5);
const turns = Number(process.argv[3] ?? 5);
const CONNECTIONS = 64;
const PATH = '/v2/models/digits/infer';

interface Side {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
}

const peers = join(import.meta.dirname, '../../bench/peers');
const folder = mkdtempSync(join(tmpdir(), 'custody-bench-'));
const started: ChildProcess[] = [];

try {
  say({ requestsPerSecond: await proxies() });
  say({ check: check() });
} finally {
  for (const child of started) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
}

async function proxies(): Promise<object> {
  const upstream = await freePort();
  const replica = await start(1, [process.execPath, join(peers, 'replica.mjs'), String(upstream)]);
  const sides: Side[] = [{ name: 'direct', port: upstream, pid: replica }, await gateway(upstream)];
  for (const name of ['fastify-http-proxy', 'http-proxy-3']) {
    const port = await freePort();
    const command = [process.execPath, join(peers, `${name}.mjs`), String(port), `http://127.0.0.1:${upstream}`];
    sides.push({ name, port, pid: await start(0, command) });
  }
  const haproxy = await withHaproxy(upstream);
  if (haproxy !== null) sides.push(haproxy);

  const script = join(folder, 'infer.lua');
  const data = Array.from({ length: 64 }, (_, at) => at / 64);
  const body = JSON.stringify({ inputs: [{ name: 'image', shape: [1, 64], datatype: 'FP32', data }] });
  writeFileSync(
    script,
    `wrk.method = 'POST'\nwrk.headers['content-type'] = 'application/json'\nwrk.body = '${body}'\n`,
  );
  const perSecond = new Map<string, number[]>(sides.map(({ name }) => [name, []]));
  const perCpuSecond = new Map<string, number[]>(sides.map(({ name }) => [name, []]));
  for (let turn = 0; turn <= turns; turn += 1)
    for (const { name, port, pid } of sides) {
      const before = cpuSeconds(pid);
      const done = wrk(port, script, turn === 0 ? 2 : seconds);
      // The first turn only warms up.
      if (turn === 0) continue;
      perSecond.get(name)?.push(done.perSecond);
      perCpuSecond.get(name)?.push(done.requests / (cpuSeconds(pid) - before));
    }
  return { perSecond: compared(perSecond), perCpuSecond: compared(perCpuSecond), cores: availableParallelism() };
}

function compared(taken: ReadonlyMap<string, readonly number[]>): object {
  const medians = Object.fromEntries([...taken].map(([name, all]) => [name, Math.round(median(all))]));
  const { custody = NaN } = medians;
  const others = Object.entries(medians).filter(([name]) => name !== 'custody' && name !== 'direct');
  const ratios = Object.fromEntries(others.map(([name, each]) => [name, round(custody / each)]));
  return { medians, ratios };
}

/** User and system time that a process has taken, all its threads. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** A run with any other answer than 200 counts for nothing. */
function wrk(port: number, script: string, forSeconds: number): { requests: number; perSecond: number } {
  const args = ['-t1', `-c${CONNECTIONS}`, `-d${forSeconds}s`, '-s', script, `http://127.0.0.1:${port}${PATH}`];
  const said = execFileSync('taskset', ['-c', '1', process.env['CUSTODY_WRK'] ?? 'wrk', ...args], { encoding: 'utf8' });
  if (said.includes('Non-2xx')) throw new Error(said);
  const number = (pattern: RegExp): number => Number(pattern.exec(said)?.[1]);
  return { requests: number(/(\d+) requests in/), perSecond: number(/Requests\/sec:\s+([\d.]+)/) };
}

async function gateway(upstream: number): Promise<Side> {
  const state = join(folder, 'state');
  mkdirSync(state);
  const { root, durable, replicas } = gatewayState(upstream);
  writeFileSync(join(state, 'state.json'), JSON.stringify(durable));
  const rootFile = join(folder, 'root.json');
  writeFileSync(rootFile, JSON.stringify(root));
  const config = join(folder, 'gateway.json');
  const socket = join(folder, 'admin.sock');
  const listen = { host: '127.0.0.1', port: await freePort() };
  writeFileSync(
    config,
    JSON.stringify({ environment: 'bench', root: rootFile, state, listen, admin: { socket }, accessLog: false }),
  );
  const pid = await start(0, [process.execPath, join(import.meta.dirname, '../gateway/main.js'), config]);
  const client = createGatewayClient(socket);
  for (const replica of replicas) await client.deliverReplica(replica);
  return { name: 'custody', port: listen.port, pid };
}

/** The same in one process of HAProxy with one thread; `null` where it is not installed. */
async function withHaproxy(upstream: number): Promise<Side | null> {
  const port = await freePort();
  const config = join(folder, 'haproxy.cfg');
  writeFileSync(
    config,
    `global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend in
  bind 127.0.0.1:${port}
  default_backend replicas
backend replicas
  http-reuse always
  server replica 127.0.0.1:${upstream}
`,
  );
  try {
    execFileSync('haproxy', ['-c', '-f', config], { stdio: 'ignore' });
  } catch {
    return null;
  }
  const child = spawn('taskset', ['-c', '0', 'haproxy', '-db', '-f', config], { stdio: 'ignore' });
  started.push(child);
  return { name: 'haproxy', port, pid: child.pid ?? 0 };
}

async function start(core: number, command: readonly string[]): Promise<number> {
  const child = spawn('taskset', ['-c', String(core), ...command], { stdio: ['pipe', 'pipe', 'inherit'] });
  started.push(child);
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  if (!line.startsWith('{"ready":true')) throw new CustodyError('INTERNAL', line);
  return child.pid ?? 0;
}

/** Nanoseconds of the decision where a request goes, and bytes that it leaves on the heap. */
function check(): object {
  const state = gatewayState(1);
  const checked = openGateway(join(folder, 'check'), state, state.replicas);
  const now = Date.now();
  const times = 5_000_000;
  const round5M = (): number => {
    const startedAt = process.hrtime.bigint();
    let refused = 0;
    for (let at = 0; at < times; at += 1) if ('status' in checked.choose('digits', at % 100, now)) refused += 1;
    if (refused > 0) throw new Error(`${refused} were refused`);
    return Number(process.hrtime.bigint() - startedAt) / times;
  };
  round5M();
  const before = process.memoryUsage().heapUsed;
  const nanoseconds = [round5M(), round5M(), round5M()];
  const bytes = Math.max(0, process.memoryUsage().heapUsed - before) / (3 * times);
  return { nanoseconds: median(nanoseconds), bytesPerCheck: round(bytes) };
}
