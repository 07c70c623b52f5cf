import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createGatewayClient, type GatewayClient } from '../../adapters/gateway/client.js';
import { Authority } from '../support/certificates.js';
import { sha256 } from '../../formats/sha256.js';
import { startProcess, compileInto, type Started } from '../support/build.js';
import { createWorld, type Release, type Route, type World } from '../support/world.js';
import { ask, Cleanup, startModelServer, type ModelServer } from '../unit/gateway/rig.js';
import { onceBaked } from '../unit/gateway/rig.js';

type GatewayProcess = Started<{ ready: true; port: number }>;

const cleanup = new Cleanup();
let built: string;
let main: string;
let folder: string;
let config: string;
let world: World;
let client: GatewayClient;
let release: Release;
let server: ModelServer;
let chain: Route[];

beforeAll(() => {
  built = mkdtempSync(join(tmpdir(), 'custody-build-'));
  compileInto(built, ['domain', 'formats', 'gateway']);
  main = join(built, 'dist', 'gateway', 'main.js');
});
afterAll(() => rmSync(built, { recursive: true, force: true }));

beforeEach(async () => {
  world = createWorld();
  folder = mkdtempSync(join(tmpdir(), 'custody-gateway-'));
  cleanup.add(() => rmSync(folder, { recursive: true, force: true }));
  config = join(folder, 'gateway.json');
  const root = join(folder, 'root.json');
  const socket = join(folder, 'admin.sock');
  writeFileSync(root, JSON.stringify(world.root));
  const listen = { host: '127.0.0.1', port: 0 };
  writeFileSync(
    config,
    JSON.stringify({ environment: 'test', root, state: join(folder, 'state'), listen, admin: { socket } }),
  );
  client = createGatewayClient(socket);
  release = world.release();
  chain = world.inService(release);
  server = await startModelServer('1.0.0');
  cleanup.add(() => server.stop());
});
afterEach(() => cleanup.run());

async function start(): Promise<GatewayProcess> {
  const gateway = await startProcess<{ ready: true; port: number }>(main, config);
  cleanup.add(() => gateway.end('SIGKILL'));
  return gateway;
}

async function announce(): Promise<void> {
  const expiresAt = new Date(Date.now() + 60_000).toISOString();
  await client.deliverReplica(world.replica(release, { port: server.port, expiresAt }).envelope);
}

async function bringIntoService(): Promise<void> {
  await client.deliverPolicies([world.policyEnvelope]);
  await announce();
  for (const { delivery } of chain) await onceBaked(() => client.deliverRoute(delivery));
  await client.deliverStatus(world.status().envelope);
}

test('what it has answered survives SIGKILL: document, kill order, and that it was lifted', async () => {
  let gateway = await start();
  await bringIntoService();
  expect((await ask(gateway.ready.port)).status).toBe(200);
  expect(await gateway.end('SIGKILL')).toBe('SIGKILL');

  gateway = await start();
  await announce();
  expect((await ask(gateway.ready.port)).status).toBe(200);
  const order = world.kill();
  await client.deliverKill(order.envelope);
  expect(await gateway.end('SIGKILL')).toBe('SIGKILL');

  gateway = await start();
  await announce();
  const killed = await ask(gateway.ready.port);
  expect([killed.status, killed.body]).toEqual([503, expect.stringContaining('it answers nonsense')]);
  await client.deliverRoute(world.restored(chain.at(-1)!, [order]).delivery);
  expect((await ask(gateway.ready.port)).status).toBe(200);
  expect(await gateway.end('SIGKILL')).toBe('SIGKILL');

  gateway = await start();
  await announce();
  await expect(client.deliverKill(order.envelope)).rejects.toMatchObject({ code: 'REPLAYED' });
  expect((await ask(gateway.ready.port)).status).toBe(200);
});

test('SIGKILL in the middle of a stream of kills and status documents loses no order that was answered', async () => {
  const gateway = await start();
  await bringIntoService();
  const answered: string[] = [];
  const models = Array.from({ length: 40 }, (_, at) => `model-${at}`);
  const orders = models.map((model) => world.kill('oscar', { model }));
  const deliveries = orders.map(async ({ envelope }, at) => {
    await client.deliverKill(envelope);
    answered.push(models[at]!);
    if (answered.length === 20) gateway.process.kill('SIGKILL');
  });
  await Promise.allSettled(deliveries);
  expect(await gateway.end('SIGKILL')).toBe('SIGKILL');
  expect(answered.length).toBeGreaterThanOrEqual(20);

  await start();
  const { models: known } = await client.state();
  const killed = known.filter(({ killedBy }) => killedBy.length > 0).map(({ model }) => model);
  expect(killed).toEqual(expect.arrayContaining(answered));
  expect(known.find(({ model }) => model === 'digits')).toMatchObject({ revision: chain.length });
});

test('a breach survives SIGKILL, and so the release under rollout gets no callers afterwards', async () => {
  let gateway = await start();
  await bringIntoService();
  const steady = chain.at(-1)!;
  const canary = world.release({ version: '1.1.0', after: steady });
  const failing = await startModelServer('1.1.0');
  cleanup.add(() => failing.stop());
  failing.behave((_, outgoing) => outgoing.writeHead(500).end());
  const expiresAt = new Date(Date.now() + 60_000).toISOString();
  const replica = world.replica(canary, { port: failing.port, expiresAt }).envelope;
  await client.deliverReplica(replica);
  await client.deliverRoute(world.routePlan(steady, canary).delivery);
  for (let at = 0; (await client.state()).models[0]?.breach == null; at += 1) {
    await Promise.all(Array.from({ length: 50 }, (_, n) => ask(gateway.ready.port, { caller: `c${at}-${n}` })));
  }
  await client.deliverStatus(world.status({ version: Date.now() + 1 }).envelope);
  await gateway.end('SIGKILL');

  gateway = await start();
  await announce();
  await client.deliverReplica(replica);
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, at) => ask(gateway.ready.port, { caller: `d${at}` })),
  );
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
});

test.each(['SIGTERM', 'end of stdin'] as const)(
  'it stops by itself on %s, after the answers under way',
  async (how) => {
    const gateway = await start();
    await bringIntoService();
    const reached = new Promise<() => void>((resolve) =>
      server.behave((_, outgoing) => {
        outgoing.write('{"first":true');
        resolve(() => outgoing.end('}'));
      }),
    );
    const answer = ask(gateway.ready.port);
    const finish = await reached;
    if (how === 'SIGTERM') gateway.process.kill('SIGTERM');
    else gateway.process.stdin!.end();
    const isOpen = (): Promise<boolean> =>
      ask(gateway.ready.port, { path: '/' }).then(
        () => true,
        () => false,
      );
    await expect.poll(isOpen).toBe(false);
    finish();
    expect(await answer).toMatchObject({ status: 200, body: '{"first":true}' });
    await expect.poll(() => gateway.process.exitCode).toBe(0);
  },
);

test('each request is one line on stdout, without query and body, and none is lost when it stops', async () => {
  const gateway = await start();
  let text = '';
  gateway.process.stdout!.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await bringIntoService();
  const { port } = gateway.ready;
  const body = '{"inputs":["my secret"]}';
  await ask(port, { caller: 'crm', path: '/v2/models/digits/infer?token=my-secret', body });
  await ask(port, {
    path: '/digits/v1/chat/completions',
    headers: { authorization: 'Bearer my-secret', 'x-request-id': 'order-7' },
  });
  const noId = { 'x-request-id': 'my secret\\n{"level":50}' };
  await ask(port, { path: '/other/v1/models?token=my-secret', method: 'GET', headers: noId });
  await ask(port, { path: '/my%20secret', method: 'GET' });
  expect(await gateway.end('SIGTERM')).toBe(0);
  const lines = text
    .split('\n')
    .filter((line) => line.includes('"access"'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const expected = { method: 'POST', version: '1.0.0', status: 200, whole: true, caller: null, callId: null };
  expect(lines).toMatchObject([
    { ...expected, path: '/v2/models/digits/infer', caller: 'crm' },
    {
      ...expected,
      path: '/digits/v1/chat/completions',
      caller: `token:${sha256('my-secret').slice(0, 12)}`,
      callId: 'order-7',
    },
    { ...expected, method: 'GET', path: '/other/v1/models', version: null, status: 404 },
    { ...expected, method: 'GET', path: '/my%20secret', version: null, status: 404 },
  ]);
  expect(text).not.toContain('my-secret');
  expect(text).not.toContain('my secret');
});

test('with a certificate in its configuration it speaks TLS, and does not start where that is none', async () => {
  const { certificate, key } = await (await Authority.create(folder)).host('gateway', ['127.0.0.1']);
  const written = JSON.parse(readFileSync(config, 'utf8')) as { listen: object };
  const listening = (tls: object): void =>
    writeFileSync(config, JSON.stringify({ ...written, accessLog: false, listen: { ...written.listen, tls } }));
  listening({ certificate, key });
  const gateway = await start();
  const sent = request({ host: '127.0.0.1', port: gateway.ready.port, rejectUnauthorized: false }).end();
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  expect(answer.statusCode).toBe(404);
  answer.resume();
  await gateway.end('SIGTERM');
  listening({ certificate, key: join(folder, 'none.key') });
  await expect(startProcess(main, config)).rejects.toThrow(/CONFIG_INVALID.*cannot be used/s);
});

test('a port in use and a wrong configuration are each said in one message, with their exit code', async () => {
  const gateway = await start();
  const { port } = gateway.ready;
  const write = (name: string, value: unknown): string => {
    const file = join(folder, name);
    writeFileSync(file, JSON.stringify(value));
    return file;
  };
  const root = join(folder, 'root.json');
  mkdirSync(join(folder, 'other'));
  const base = { environment: 'test', root, state: join(folder, 'other'), admin: { socket: join(folder, 'b.sock') } };
  const busy = write('busy.json', { ...base, listen: { host: '127.0.0.1', port } });
  await expect(startProcess(main, busy)).rejects.toThrow('PORT_IN_USE');
  const wrong = write('wrong.json', { ...base, environment: 'prod', listen: { host: '127.0.0.1', port: 0 } });
  await expect(startProcess(main, wrong)).rejects.toThrow('is the root of the environment test');
  const unfit = write('unfit.json', { listen: { host: '127.0.0.1', port: 70_000 }, more: 1 });
  await expect(startProcess(main, unfit)).rejects.toThrow(/environment.*listen\.port.*more/s);
});
