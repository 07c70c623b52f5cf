import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createGatewayClient, type GatewayClient } from '../../adapters/gateway/client.js';
import { openRelay } from '../../adapters/serving/relay.js';
import { serverNameOf } from '../../domain/replica.js';
import type { TlsFiles } from '../../formats/tls.js';
import { compileInto, startProcess } from '../support/build.js';
import { Authority } from '../support/certificates.js';
import { createWorld, type Release, type World } from '../support/world.js';
import { ask, Cleanup, onceBaked, startModelServer, type ModelServer } from '../unit/gateway/rig.js';

/** An address of this host that is not the one which counts as here. */
const AWAY = '127.0.0.2';

const cleanup = new Cleanup();
let built: string;
let folder: string;
let world: World;
let release: Release;
let server: ModelServer;
let authority: Authority;
let stranger: Authority;
let control: TlsFiles;

beforeAll(() => {
  built = mkdtempSync(join(tmpdir(), 'custody-build-'));
  compileInto(built, ['domain', 'formats', 'gateway']);
});
afterAll(() => rmSync(built, { recursive: true, force: true }));

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'custody-hosts-'));
  cleanup.add(() => rmSync(folder, { recursive: true, force: true }));
  world = createWorld();
  release = world.release();
  server = await startModelServer('1.0.0');
  cleanup.add(() => server.stop());
  authority = await Authority.create(join(folder, 'pki'));
  stranger = await Authority.create(join(folder, 'stranger'));
  control = await authority.host('control', [AWAY]);
});
afterEach(() => cleanup.run());

interface RemoteGateway {
  readonly port: number;
  readonly url: string;
  readonly client: GatewayClient;
}

async function startGateway({ relays = true }: { relays?: boolean } = {}): Promise<RemoteGateway> {
  const tls = await authority.host('gateway', [AWAY]);
  const file = join(folder, 'gateway.json');
  writeFileSync(join(folder, 'root.json'), JSON.stringify(world.root));
  const config = {
    environment: 'test',
    root: join(folder, 'root.json'),
    state: join(folder, 'state'),
    listen: { host: '127.0.0.1', port: 0 },
    admin: { listen: { host: AWAY, port: 0 }, tls },
    ...(relays ? { relays: tls } : {}),
  };
  writeFileSync(file, JSON.stringify(config));
  const main = join(built, 'dist', 'gateway', 'main.js');
  const started = await startProcess<{ ready: true; port: number; admin: number }>(main, file);
  cleanup.add(() => started.end('SIGKILL'));
  const url = `https://${AWAY}:${started.ready.admin}`;
  return { port: started.ready.port, url, client: createGatewayClient({ url, tls: control }) };
}

/** A serving host with this one release; answers the port of its relay. */
async function startRelay(files?: TlsFiles): Promise<number> {
  const tls = files ?? (await authority.host('serving', [AWAY]));
  const portOf = (of: string): number | null => (of === release.release ? server.port : null);
  const relay = await openRelay({ host: AWAY, port: 0 }, tls, portOf);
  cleanup.add(() => relay.close());
  return relay.address.port;
}

const announced = (port: number, of: Release = release) =>
  world.replica(of, { host: AWAY, port, expiresAt: new Date(Date.now() + 60_000).toISOString() }).envelope;

async function bringIntoService({ client }: RemoteGateway, relayPort: number): Promise<void> {
  await client.deliverPolicies([world.policyEnvelope]);
  await client.deliverReplica(announced(relayPort));
  for (const { delivery } of world.inService(release)) await onceBaked(() => client.deliverRoute(delivery));
  await client.deliverStatus(world.status().envelope);
}

describe('a gateway on another host', () => {
  it('is told everything over TLS, answers through the relay of the serving host, and is killed', async () => {
    const gateway = await startGateway();
    await bringIntoService(gateway, await startRelay());
    const answer = await ask(gateway.port, { body: '{"n":1}' });
    expect([answer.status, answer.headers['x-custody-release']]).toEqual([200, release.release]);
    expect(server.requests).toHaveLength(1);

    const order = world.kill();
    await gateway.client.deliverKill(order.envelope);
    expect((await ask(gateway.port)).status).toBe(503);
    expect(await gateway.client.kills()).toHaveLength(1);
  });

  it.each([
    ['has no certificate', () => undefined],
    ['has one of another authority', () => stranger.host('control', [AWAY])],
    ['has one that has expired', () => authority.host('late', [AWAY], -1000)],
  ])('attack: whoever %s hears nothing and says nothing', async (_, filesOf) => {
    const gateway = await startGateway();
    const files = await filesOf();
    const client = createGatewayClient(
      files === undefined
        ? { url: gateway.url.replace('https', 'http'), tls: control }
        : { url: gateway.url, tls: { ...files, authorities: control.authorities } },
    );
    await expect(client.state()).rejects.toMatchObject({ code: 'GATEWAY_UNAVAILABLE' });
    await expect(client.deliverPolicies([world.policyEnvelope])).rejects.toMatchObject({ code: 'GATEWAY_UNAVAILABLE' });
    expect(await gateway.client.state()).toMatchObject({ policyVersion: null });
    expect(await saidTo(gateway.url, files)).not.toContain('HTTP/1.1 200');
  });

  it('attack: who answers in its place with a certificate for another address is not believed', async () => {
    const gateway = await startGateway();
    const elsewhere = createGatewayClient({ url: gateway.url.replace(AWAY, '127.0.0.1'), tls: control });
    await expect(elsewhere.state()).rejects.toMatchObject({ code: 'GATEWAY_UNAVAILABLE' });
    const impostor = await stranger.host('gateway', [AWAY]);
    const port = await startRelay(impostor);
    const deceived = createGatewayClient({ url: `https://${AWAY}:${port}`, tls: control });
    await expect(deceived.state()).rejects.toMatchObject({ code: 'GATEWAY_UNAVAILABLE' });
  });
});

describe('a model server on another host', () => {
  it.each([
    ['of another authority', () => stranger.host('serving', [AWAY])],
    ['for another address', () => authority.host('moved', ['127.0.0.3'])],
  ])('attack: a relay with a certificate %s gets no request', async (_, filesOf) => {
    const gateway = await startGateway();
    await bringIntoService(gateway, await startRelay(await filesOf()));
    const answer = await ask(gateway.port);
    expect([answer.status, answer.body]).toEqual([502, expect.stringContaining('UPSTREAM_FAILED')]);
    expect(server.requests).toHaveLength(0);
  });

  it('attack: a replica of a release that does not run there reaches no other one', async () => {
    const gateway = await startGateway();
    const port = await startRelay();
    const files = await authority.host('gateway', [AWAY]);
    const other = world.release({ version: '1.1.0' });
    expect(await saidTo(`https://${AWAY}:${port}`, files, serverNameOf(other.release))).toBe('');
    expect(await saidTo(`https://${AWAY}:${port}`, files, 'digits')).toBe('');
    expect(await saidTo(`https://${AWAY}:${port}`, files, serverNameOf(release.release))).toContain('HTTP/1.1 200');
    await bringIntoService(gateway, port);
    expect((await ask(gateway.port)).status).toBe(200);
  });

  it('attack: a caller that goes round the gateway has no certificate, and reaches nothing', async () => {
    const url = `https://${AWAY}:${await startRelay()}`;
    expect(await saidTo(url, undefined, serverNameOf(release.release))).toBe('');
    const foreign = await stranger.host('caller', [AWAY]);
    expect(await saidTo(url, foreign, serverNameOf(release.release))).toBe('');
    expect(server.requests).toHaveLength(0);
  });

  it('is not spoken with in clear: a gateway without a certificate takes no replica of another host', async () => {
    const gateway = await startGateway({ relays: false });
    await gateway.client.deliverPolicies([world.policyEnvelope]);
    await expect(gateway.client.deliverReplica(announced(1))).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});

/** What a TLS server says to a request, however it says it: an alert and a closed connection are nothing. */
async function saidTo(url: string, files: TlsFiles | undefined, servername = ''): Promise<string> {
  const { hostname, port } = new URL(url);
  const own = files === undefined ? {} : { cert: readFileSync(files.certificate), key: readFileSync(files.key) };
  const options: ConnectionOptions = { host: hostname, port: Number(port), servername, rejectUnauthorized: false };
  const socket = connectTls({ ...options, ...own });
  let said = '';
  socket.on('data', (chunk: Buffer) => (said += chunk.toString()));
  socket.on('error', () => undefined);
  socket.write('GET /v2/models/digits HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
  await new Promise((resolve) => socket.once('close', resolve));
  return said;
}
