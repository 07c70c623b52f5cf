import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { access, chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { killOrphans, MARK } from '../../../adapters/serving/orphans.js';
import type { SignedEnvelope } from '../../../domain/statements.js';
import { keyRing, verifyStatement } from '../../../formats/statements.js';
import type { Release } from '../../support/world.js';
import { compileInto } from '../../support/build.js';
import { infer, isRoot, pidOf, Site, user, type Running } from './fixture.js';
import type { HostConfig } from './host-process.js';

/** The limit of a test is longer. */
const WHEN_IT_COMES = { timeout: 45_000, interval: 50 };

let site: Site;
let host: Running;
beforeEach(async () => {
  site = await Site.open();
});
afterEach(() => site.close());

const folderOf = ({ release }: Pick<Release, 'release'>): string => join(site.releases, release);

describe('a serving host', () => {
  it('runs several releases side by side, each with a process, a folder and a port of its own', async () => {
    const releases = await Promise.all(['1.0.0', '1.1.0', '1.2.0'].map((version) => site.admit({ version })));
    host = await site.begin();
    await Promise.all(releases.map(({ name, release }) => host.start(name, release)));
    const pids = await Promise.all(releases.map((release) => pidOf(folderOf(release))));
    expect(new Set(pids).size).toBe(3);
    const ports = new Map(site.gateway.heard.map(({ subject, predicate }) => [subject, predicate.port]));
    for (const { name, release } of releases)
      expect(await infer(ports.get(release) ?? 0)).toEqual({ status: 200, version: name.version });

    const [first, ...others] = releases as [Release, ...Release[]];
    await host.stop(first.name, first.release);
    expect(await pidOf(folderOf(first))).toBeNull();
    await expect(infer(ports.get(first.release) ?? 0)).rejects.toThrow();
    expect((await site.copies()).sort()).toEqual(others.map(({ release }) => release).sort());
    for (const { release } of others) expect((await infer(ports.get(release) ?? 0)).status).toBe(200);
  });

  it('stops a release for good: process, files and memory, however often it is asked', async () => {
    const release = await site.admit();
    host = await site.begin();
    await host.start(release.name, release.release);
    await Promise.all([1, 2].map(() => host.stop(release.name, release.release)));
    await host.stop(release.name, release.release);
    expect(await site.copies()).toEqual([]);
    await host.end();
    const told = site.gateway.tried;
    host = await site.begin();
    expect(JSON.parse(await readFile(join(site.state, 'replicas.json'), 'utf8'))).toMatchObject({ replicas: [] });
    await host.start(release.name, release.release);
    expect(site.vault.opened).toBe(2);
    expect(site.gateway.tried).toBeGreaterThan(told);
  });

  it('stops a release that is being loaded', async () => {
    const release = await site.admit();
    host = await site.begin();
    const readStream = site.bucket.readStream.bind(site.bucket);
    const reading = new Promise<void>((resolve) => {
      vi.spyOn(site.bucket, 'readStream').mockImplementation(async (key, versionId) => {
        resolve();
        return readStream(key, versionId);
      });
    });
    const started = expect(host.start(release.name, release.release)).rejects.toMatchObject({
      code: 'MODEL_SERVER_FAILED',
    });
    await reading;
    await host.stop(release.name, release.release);
    await started;
    expect(await site.copies()).toEqual([]);
    expect(site.gateway.heard).toEqual([]);
  });

  it('starts a model server that crashed again, and says where it is now', async () => {
    const release = await site.admit();
    host = await site.begin();
    await host.start(release.name, release.release);
    const before = site.gateway.heard[0]?.predicate.port ?? 0;
    const again = site.gateway.hears(({ predicate }) => predicate.port !== before);
    process.kill((await pidOf(folderOf(release))) ?? 0, 'SIGKILL');
    expect((await infer((await again).predicate.port)).status).toBe(200);
    expect(site.desk.incidents).toEqual([]);
  });

  it('reports a model server that does not start with its last words, and keeps no process', async () => {
    const release = await site.admit({ files: { 'serve.mjs': `throw new Error('no such tensor');\n` } });
    host = await site.begin();
    await expect(host.start(release.name, release.release)).rejects.toMatchObject({
      code: 'MODEL_SERVER_FAILED',
      message: expect.stringMatching(/ended with code 1, .*no such tensor/) as string,
    });
    expect(await pidOf(folderOf(release))).toBeNull();
    expect(site.gateway.heard).toEqual([]);
  });

  it('does not take a server for ready that only says so', async () => {
    const script = `console.log(JSON.stringify({ ready: true, port: 1 })); setInterval(() => {}, 1000);\n`;
    const release = await site.admit({ files: { 'serve.mjs': script } });
    host = await site.begin();
    await expect(host.start(release.name, release.release)).rejects.toMatchObject({ code: 'MODEL_SERVER_FAILED' });
    expect(await pidOf(folderOf(release))).toBeNull();
  });

  it('takes a revoked release away while it runs, files included', async () => {
    const [kept, gone] = [await site.admit(), await site.admit({ version: '1.1.0' })];
    host = await site.begin();
    for (const { name, release } of [kept, gone]) await host.start(name, release);
    await site.issueStatus({ revoked: [gone.release], version: Date.now() + 1 });
    await vi.waitFor(async () => expect(await site.copies()).toEqual([kept.release]), WHEN_IT_COMES);
    expect(await pidOf(folderOf(gone))).toBeNull();
    expect(await pidOf(folderOf(kept))).not.toBeNull();
    await expect(host.start(gone.name, gone.release)).rejects.toMatchObject({ code: 'REVOKED' });
  });

  it('tells gateways every two seconds, and one that is down does not keep the others from hearing', async () => {
    const release = await site.admit();
    const hanging = { isHere: true, deliverReplica: vi.fn(() => new Promise<never>(() => {})) };
    host = await site.begin({ gateways: [hanging, site.gateway] });
    site.gateway.isDown = true;
    await host.start(release.name, release.release);
    expect(site.gateway.heard).toEqual([]);
    site.gateway.isDown = false;
    const first = await site.gateway.hears(() => true);
    const second = await site.gateway.hears(() => true);
    const apart = Date.parse(second.predicate.issuedAt) - Date.parse(first.predicate.issuedAt);
    expect(apart).toBeGreaterThan(1500);
    // When the release was started, and by the first turn after it, which it still keeps waiting.
    expect(hanging.deliverReplica).toHaveBeenCalledTimes(2);
  });

  it('keeps an incident in its spool until control has it in the log, also across a restart', async () => {
    const release = await site.admit({ approvals: () => [] });
    site.desk.isDown = true;
    host = await site.begin();
    await expect(host.start(release.name, release.release)).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
    await site.desk.happens();
    await host.end();
    expect(await site.spooled()).toHaveLength(1);
    expect(site.desk.incidents).toEqual([]);
    site.desk.isDown = false;
    host = await site.begin();
    expect(await site.desk.holds(1)).toHaveLength(1);
    await vi.waitFor(async () => expect(await site.spooled()).toEqual([]), WHEN_IT_COMES);
  });

  it('hands nothing of its own environment to a model server', async () => {
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'do-not-leak');
    vi.stubEnv('NODE_OPTIONS', '--no-warnings');
    const release = await site.admit();
    host = await site.begin();
    await host.start(release.name, release.release);
    const environment = await readFile(`/proc/${await pidOf(folderOf(release))}/environ`, 'utf8');
    const names = environment
      .split('\0')
      .filter(Boolean)
      .map((each) => each.split('=')[0]);
    expect(names.sort()).toEqual([MARK, 'LANG', 'PATH', 'PYTHONDONTWRITEBYTECODE'].sort());
    vi.unstubAllEnvs();
  });

  it.runIf(isRoot)(
    'runs model servers as another user without groups or capabilities, who sees nothing else',
    async () => {
      const script = `
      import { readdirSync, writeFileSync, appendFileSync, readFileSync } from 'node:fs';
      import { createServer } from 'node:http';
      const attempt = (act) => { try { act(); return 'done'; } catch (error) { return error.code; } };
      const tried = {
        own: attempt(() => readFileSync('serve.mjs')),
        change: attempt(() => appendFileSync('serve.mjs', '//')),
        add: attempt(() => writeFileSync('more.mjs', '')),
        listReleases: attempt(() => readdirSync('..')),
        listState: attempt(() => readdirSync('../..')),
        memory: attempt(() => readFileSync('../../replicas.json')),
      };
      const server = createServer((_, response) => response.end(JSON.stringify(tried)));
      server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ ready: true, port: server.address().port })));
    `;
      const release = await site.admit({ files: { 'serve.mjs': script } });
      host = await site.begin({ modelUser: user });
      await host.start(release.name, release.release);
      const port = site.gateway.heard[0]?.predicate.port ?? 0;
      expect(await (await fetch(`http://127.0.0.1:${port}/`)).json()).toEqual({
        own: 'done',
        ...{ change: 'EACCES', add: 'EACCES', listReleases: 'EACCES', listState: 'EACCES', memory: 'EACCES' },
      });
      const status = await readFile(`/proc/${await pidOf(folderOf(release))}/status`, 'utf8');
      expect(status).toMatch(/^Uid:\s+65534\s+65534\s+65534\s+65534$/m);
      expect(status).toMatch(/^Gid:\s+65534\s+65534\s+65534\s+65534$/m);
      expect(status).toMatch(/^Groups:\s*$/m);
      expect(status).toMatch(/^CapEff:\s+0+$/m);
      expect(status).toMatch(/^CapBnd:\s+0+$/m);
      expect(status).toMatch(/^NoNewPrivs:\s+1$/m);
    },
  );

  it.runIf(isRoot)('does not come up when the model user could not reach the copies, or would be root', async () => {
    await chmod(join(site.state, '..'), 0o700);
    await expect(site.begin({ modelUser: user })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await expect(site.begin({ modelUser: { uid: 0, gid: 0 } })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});

/** Ends a process that a test has started, with its children. */
function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

describe('what an earlier run left behind', () => {
  it('is killed by its mark, children included; what bears another mark or none lives on', async () => {
    const script = `require('child_process').spawn('sleep', ['600'], { stdio: 'ignore' }).once('spawn', () => console.log('up'));
      setInterval(() => {}, 1000);`;
    const begin = async (mark: Record<string, string>): Promise<ChildProcess> => {
      const child = spawn(process.execPath, ['-e', script], {
        env: mark,
        detached: true,
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      await once(child.stdout, 'data');
      return child;
    };
    const env = { PATH: process.env['PATH'] ?? '' };
    const [ours, others, plain] = await Promise.all([
      begin({ ...env, [MARK]: 'ours' }),
      begin({ ...env, [MARK]: 'ours-not' }),
      begin(env),
    ]);
    try {
      const exited = once(ours, 'exit');
      const killed = await killOrphans('ours');
      expect(killed).toHaveLength(2);
      expect(killed).toContain(ours.pid);
      expect((await exited)[1]).toBe('SIGKILL');
      expect([others.exitCode, others.signalCode, plain.exitCode, plain.signalCode]).toEqual([null, null, null, null]);
      expect(await killOrphans('ours-not')).toHaveLength(2);
    } finally {
      for (const { pid } of [others, plain]) endGroup(pid);
    }
  });
});

describe('a serving worker that is killed with SIGKILL', () => {
  let compiled: string;
  let script: string;
  let child: ChildProcess | null = null;
  beforeAll(async () => {
    compiled = await mkdtemp(join(tmpdir(), 'custody-host-'));
    compileInto(compiled, ['domain', 'formats', 'adapters', 'activities', 'test/unit/serving']);
    script = join(compiled, 'dist', 'test', 'unit', 'serving', 'host-process.js');
  });
  afterAll(() => rm(compiled, { recursive: true }));
  afterEach(async () => {
    if (child?.exitCode === null && child.signalCode === null) await kill();
  });

  async function kill(): Promise<void> {
    const exited = once(child as ChildProcess, 'exit');
    child?.kill('SIGKILL');
    await exited;
  }

  async function configOf(start: readonly Release[]): Promise<string> {
    const objects: [string, string][] = [];
    for await (const key of site.bucket.list('')) {
      const stored = await site.bucket.read(key);
      objects.push([key, (stored?.body ?? Buffer.alloc(0)).toString('base64')]);
    }
    const config: HostConfig = {
      root: site.world.root,
      key: site.world.pems.serving.privatePem,
      state: site.state,
      objects,
      files: [...site.vault.files.values()].map((file) => ({ ...file, key: file.key.toString('base64') })),
      start: start.map(({ name, release }) => ({ name, release })),
    };
    const file = join(compiled, `config-${start.length}.json`);
    await writeFile(file, JSON.stringify(config));
    return file;
  }

  /** Starts the worker; what it says can be waited for. */
  function run(config: string): (wanted: (line: Line) => boolean) => Promise<Line> {
    const started = spawn(process.execPath, [script, config], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { PATH: process.env['PATH'] },
    });
    child = started;
    const said: Line[] = [];
    const lines = createInterface({ input: started.stdout });
    lines.on('line', (line) => said.push(JSON.parse(line) as Line));
    return async (wanted) => {
      for (let at = 0; ; at += 1) {
        while (at >= said.length) await once(lines, 'line');
        const line = said[at] as Line;
        if (wanted(line)) return line;
      }
    };
  }

  interface Line {
    readonly started?: string;
    readonly message?: string;
    readonly pids?: readonly number[];
    readonly replica?: SignedEnvelope;
    readonly incident?: SignedEnvelope;
  }
  const read = (replica: SignedEnvelope | undefined) => verifyStatement(replica, 'replica', keyRing(site.world.policy));
  const gone = async (pid: number | null): Promise<void> => {
    await vi.waitFor(async () => {
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
      expect(stat === null || / Z /.test(stat)).toBe(true);
    }, WHEN_IT_COMES);
  };

  it('leaves no model server behind, and the next one verifies and starts again all that ran', async () => {
    const releases = [await site.admit(), await site.admit({ version: '1.1.0' })];
    let says = run(await configOf(releases));
    for (const { release } of releases) await says(({ started }) => started === release);
    const pids = await Promise.all(releases.map((release) => pidOf(folderOf(release))));
    expect(pids).not.toContain(null);
    await kill();
    for (const pid of pids) await gone(pid);

    const weights = join(folderOf(releases[1] as Release), 'weights.safetensors');
    await chmod(weights, 0o644);
    await writeFile(weights, 'forged');
    await chmod(weights, 0o444);
    says = run(await configOf([]));
    for (const { name, release } of releases) {
      const { replica } = await says((line) => line.replica !== undefined && read(line.replica).subject === release);
      expect(await infer(read(replica).predicate.port)).toEqual({ status: 200, version: name.version });
    }
    const { incident } = await says((line) => line.incident !== undefined);
    const refused = verifyStatement(incident, 'incident', keyRing(site.world.policy));
    expect(refused.subject).toBe(releases[1]?.release);
    expect(await readFile(weights)).toEqual(releases[1]?.files.get('weights.safetensors'));
  });

  it('leaves children of a model server only until the next start, which kills them and nothing else', async () => {
    const script = `
      import { spawn } from 'node:child_process';
      import { createServer } from 'node:http';
      const child = spawn('sleep', ['600'], { stdio: 'ignore', detached: true });
      const server = createServer((_, response) => response.end(String(child.pid)));
      server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ ready: true, port: server.address().port })));
    `;
    const release = await site.admit({ files: { 'serve.mjs': script } });
    let says = run(await configOf([release]));
    const { replica } = await says((line) => line.replica !== undefined);
    const { port } = read(replica).predicate;
    const orphan = Number(await (await fetch(`http://127.0.0.1:${port}/`)).text());
    await says(({ started }) => started === release.release);
    const pid = await pidOf(folderOf(release));
    await kill();
    await gone(pid);
    await access(`/proc/${orphan}/stat`);
    says = run(await configOf([]));
    const { pids } = await says(({ message }) => message === 'processes of an earlier run were killed');
    expect(pids).toEqual([orphan]);
    await gone(orphan);
    await says((line) => line.replica !== undefined);
    const again = await pidOf(folderOf(release));
    await kill();
    await gone(again);
    expect(await killOrphans(await markOf())).toHaveLength(1);
  });

  /** The limit of a test is longer. */
  const WHEN_IT_COMES = { timeout: 45_000, interval: 50 };

  async function markOf(): Promise<string> {
    const { mark } = JSON.parse(await readFile(join(site.state, 'replicas.json'), 'utf8')) as { mark: string };
    return mark;
  }
});
