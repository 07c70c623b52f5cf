import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createGatewayClient, type GatewayClient } from '../../adapters/gateway/client.js';
import { compileInto } from '../support/build.js';
import { createWorld, type Release, type World } from '../support/world.js';
import { ask, Cleanup, onceBaked, startModelServer, type ModelServer } from '../unit/gateway/rig.js';

/** As systemd does: opens the socket, and starts each process with it as descriptor 3. */
const ACTIVATOR = `
import json, os, socket, subprocess, sys
node, main, *configs = sys.argv[1:]
listener = socket.create_server(('127.0.0.1', 0), backlog=511)
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
started = [
    subprocess.Popen([node, main, config], pass_fds=[3], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for config in configs
]
ready = [process.stdout.readline() for process in started]
pids = [process.pid for process in started]
print(json.dumps({'port': listener.getsockname()[1], 'pids': pids, 'ready': all(ready)}), flush=True)
for process in started:
    print(process.wait(), flush=True)
`;

const cleanup = new Cleanup();
let built: string;
let main: string;
let folder: string;
let world: World;
let release: Release;
let server: ModelServer;

beforeAll(() => {
  built = mkdtempSync(join(tmpdir(), 'custody-build-'));
  compileInto(built, ['domain', 'formats', 'gateway']);
  main = join(built, 'dist', 'gateway', 'main.js');
});
afterAll(() => rmSync(built, { recursive: true, force: true }));

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'custody-port-'));
  cleanup.add(() => rmSync(folder, { recursive: true, force: true }));
  world = createWorld();
  release = world.release();
  server = await startModelServer('1.0.0');
  cleanup.add(() => server.stop());
});
afterEach(() => cleanup.run());

interface Shared {
  readonly port: number;
  readonly pids: readonly number[];
  readonly gateways: readonly GatewayClient[];
  /** How the processes ended, in their order. */
  readonly ends: AsyncIterator<string>;
}

function configOf(name: string, fd: number): string {
  const own = join(folder, name);
  mkdirSync(own);
  const root = join(folder, 'root.json');
  writeFileSync(root, JSON.stringify(world.root));
  const file = join(own, 'gateway.json');
  const admin = { socket: join(own, 'admin.sock') };
  writeFileSync(file, JSON.stringify({ environment: 'test', root, state: join(own, 'state'), listen: { fd }, admin }));
  return file;
}

async function startShared(): Promise<Shared> {
  const names = ['a', 'b'];
  const configs = names.map((name) => configOf(name, 3));
  const python = process.env['CUSTODY_PYTHON'] ?? 'python3';
  const activator: ChildProcess = spawn(python, ['-c', ACTIVATOR, process.execPath, main, ...configs], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  activator.stderr!.resume();
  // Once the processes have ended too, who write to the same stderr.
  const ended = once(activator, 'close');
  const lines = createInterface(activator.stdout!)[Symbol.asyncIterator]();
  const { value } = (await lines.next()) as { value: string };
  const { port, pids, ready } = JSON.parse(value) as { port: number; pids: number[]; ready: boolean };
  // The processes end with their stdin, which the activator holds.
  cleanup.add(async () => {
    activator.kill('SIGKILL');
    await ended;
  });
  expect(ready).toBe(true);
  const gateways = names.map((name) => createGatewayClient(join(folder, name, 'admin.sock')));
  const chain = world.inService(release);
  const expiresAt = new Date(Date.now() + 600_000).toISOString();
  for (const gateway of gateways) {
    await gateway.deliverPolicies([world.policyEnvelope]);
    await gateway.deliverReplica(world.replica(release, { port: server.port, expiresAt }).envelope);
    for (const { delivery } of chain) await onceBaked(() => gateway.deliverRoute(delivery));
    await gateway.deliverStatus(world.status().envelope);
  }
  return { port, pids, gateways, ends: lines };
}

async function statuses(port: number, times: number): Promise<readonly number[]> {
  const answers = await Promise.all(Array.from({ length: times }, (_, at) => ask(port, { caller: `c${at}` })));
  return [...new Set(answers.map(({ status }) => status))];
}

test('one may be stopped under load, and no caller notices', async () => {
  const { port, pids, ends } = await startShared();
  let isOver = false;
  const first = ends.next().finally(() => (isOver = true));
  const seen = new Set<number>();
  process.kill(pids[0]!, 'SIGTERM');
  while (!isOver) for (const status of await statuses(port, 10)) seen.add(status);
  expect(await first).toMatchObject({ value: '0' });
  for (const status of await statuses(port, 40)) seen.add(status);
  expect([...seen]).toEqual([200]);
});

test('attack: a kill that one of them has not heard is not heard by all', async () => {
  const { port, pids, gateways } = await startShared();
  const { envelope } = world.kill();
  await gateways[0]!.deliverKill(envelope);
  process.kill(pids[0]!, 'SIGSTOP');
  try {
    // Whoever asked one process for all of them would take the model for stopped.
    expect(await statuses(port, 1)).toEqual([200]);
  } finally {
    process.kill(pids[0]!, 'SIGCONT');
  }
  await gateways[1]!.deliverKill(envelope);
  expect(await statuses(port, 40)).toEqual([503]);
});

test('attack: a descriptor that is no listening socket is said, with its exit code', async () => {
  const config = configOf('c', 3);
  const child = spawn(process.execPath, [main, config], { stdio: ['pipe', 'ignore', 'pipe', 'pipe'] });
  let log = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (log += text));
  expect(await once(child, 'close')).toEqual([2, null]);
  expect(log).toContain('descriptor 3 is no socket to listen on');
});
