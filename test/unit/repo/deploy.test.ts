import { spawn, type ChildProcess } from 'node:child_process';
import { createPublicKey } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { execa } from 'execa';
import { auditKeyOf, replaceLogKey } from '../../../client/stack/log-keys.js';
import { Layout } from '../../../client/stack/layout.js';
import { parse } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'custody-setup-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

describe('deploy/setup.mjs', () => {
  const state = join(folder, 'private');
  beforeAll(async () => {
    await execa('node', ['deploy/setup.mjs', state]);
  });
  const filesOf = (): string[] =>
    readdirSync(state, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(state, name)).isFile());

  it('makes every file that docker-compose.yml takes from deploy/private, but the proof, which the store must give', () => {
    const compose = parse(readFileSync('docker-compose.yml', 'utf8'), { merge: true }) as {
      configs: Record<string, { file: string }>;
      secrets: Record<string, { file: string }>;
      services: Record<string, { env_file?: string[] }>;
    };
    const named = [
      ...Object.values({ ...compose.configs, ...compose.secrets }).map(({ file }) => file),
      ...Object.values(compose.services).flatMap(({ env_file: files = [] }) => files),
    ].filter((file) => file.startsWith('deploy/private/'));
    expect(named.length).toBeGreaterThan(10);
    const made = filesOf();
    for (const file of named.filter((each) => !each.endsWith('/store-proof.json')))
      expect(made).toContain(file.slice('deploy/private/'.length));
  });

  it('lets nobody else into the folder', () => {
    expect(statSync(state).mode & 0o777).toBe(0o700);
  });

  it('gives each zone the secret of its own account, and no two the same', () => {
    const secrets = ['control', 'intake', 'signing', 'serving', 'training', 'watch'].map(
      (zone) =>
        (
          JSON.parse(readFileSync(join(state, zone, 'config.json'), 'utf8')) as {
            store: { accessKey: string; secretKey: string };
          }
        ).store,
    );
    for (const { secretKey } of secrets) expect(secretKey.length).toBeGreaterThanOrEqual(32);
    expect(new Set(secrets.map(({ secretKey }) => secretKey)).size).toBe(secrets.length);
    expect(secrets.map(({ accessKey }) => accessKey)).not.toContain('admin');
  });

  it("gives control the log's key of before for as long as it has to hand the log over, and the vault the new one", async () => {
    const other = join(folder, 'rotated');
    await execa('node', ['deploy/setup.mjs', other]);
    const layout = new Layout(other);
    const before = auditKeyOf(layout, 'dev');
    replaceLogKey(layout);
    expect(() => replaceLogKey(layout)).toThrow('has not handed the log over yet');
    await execa('node', ['deploy/setup.mjs', other]);
    const read = (...path: string[]) =>
      JSON.parse(readFileSync(join(other, ...path), 'utf8')) as Record<string, unknown>;
    expect(read('control', 'config.json')['audit']).toMatchObject({
      key: '/etc/custody/keys/audit-log.pem',
      previousKey: '/etc/custody/keys/audit-log.previous.pem',
    });
    for (const name of ['audit-log', 'audit-log.previous'])
      expect(readFileSync(join(other, 'control', 'keys', `${name}.pem`))).toEqual(readFileSync(layout.key(name)));
    expect(auditKeyOf(layout, 'dev')).not.toBe(before);
    expect(read('vault', 'config.json')['log']).toBe(auditKeyOf(layout, 'dev'));
  });

  it('lets control order drills, with the key that the policy lists for it, and ask the gateway as its callers do', () => {
    const read = <T>(...path: string[]): T => JSON.parse(readFileSync(join(state, ...path), 'utf8')) as T;
    const { drills } = read<{ drills: { key: { id: string }; callers: string[] } }>('control', 'config.json');
    const { listen } = read<{ listen: { port: number } }>('gateway', 'config.json');
    expect(drills.callers).toEqual([`http://127.0.0.1:${listen.port}`]);
    const held = createPublicKey(readFileSync(join(state, 'control', 'keys', `${drills.key.id}.pem`)));
    const policy = parse(readFileSync(join(state, 'policy.yaml'), 'utf8')) as {
      authorities: { id: string; roles: string[]; keys: { pem: string }[] }[];
    };
    const drill = policy.authorities.find(({ roles }) => roles.includes('drill'));
    expect(drill?.id).toBe(drills.key.id);
    expect(drill?.keys.map(({ pem }) => createPublicKey(pem).equals(held))).toEqual([true]);
  });

  it('gives an environment without such a key none, and control no drills', async () => {
    const older = join(folder, 'older');
    await execa('node', ['deploy/setup.mjs', older]);
    rmSync(join(older, 'keys', 'drill.pem'));
    await execa('node', ['deploy/setup.mjs', older]);
    const config = JSON.parse(readFileSync(join(older, 'control', 'config.json'), 'utf8')) as { drills?: unknown };
    expect(config.drills).toBeUndefined();
    expect(readFileSync(join(older, 'control', 'keys', 'drill.pem'), 'utf8')).toBe('');
  });

  it('changes nothing when it is run again', async () => {
    const read = (): string[] => filesOf().map((name) => `${name} ${readFileSync(join(state, name), 'utf8')}`);
    const before = read();
    await execa('node', ['deploy/setup.mjs', state]);
    expect(read()).toEqual(before);
  });
});

describe('deploy/metrics.mjs', () => {
  const socket = join(folder, 'admin.sock');
  let gateway: Server;
  let child: ChildProcess;
  let url: string;
  beforeAll(async () => {
    gateway = createServer((request, response) => response.end(`${request.method} ${request.url}`)).listen(socket);
    await once(gateway, 'listening');
    child = spawn(process.execPath, ['deploy/metrics.mjs', socket, '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(createInterface(child.stdout as NodeJS.ReadableStream), 'line')) as [string];
    url = `http://127.0.0.1:${(JSON.parse(line) as { port: number }).port}`;
  });
  afterAll(async () => {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
    gateway.close();
  });

  it('hands the metrics on', async () => {
    expect(await (await fetch(`${url}/metrics`)).text()).toBe('GET /metrics');
  });

  it.each([
    ['GET', '/state'],
    ['POST', '/metrics'],
    ['POST', '/kills'],
    ['GET', '/metrics?x=/kills'],
  ])('hands nothing else on: %s %s', async (method, path) => {
    expect((await fetch(`${url}${path}`, { method })).status).toBe(404);
  });

  it('says so while the gateway is down', async () => {
    gateway.close();
    gateway.closeAllConnections();
    await once(gateway, 'close');
    expect((await fetch(`${url}/metrics`)).status).toBe(502);
  });
});
