import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { removeTree } from '../../adapters/sandbox/outputs.js';
import type { SandboxKind, SandboxRequest, SandboxResult } from '../../adapters/sandbox/port.js';
import { detectSandbox, runSandboxed, sandboxNotice } from '../../adapters/sandbox/sandbox.js';

// CUSTODY_TEST_SANDBOX=unshare runs these tests with that kind alone.
const forced = process.env['CUSTODY_TEST_SANDBOX'];
const kinds = (['bubblewrap', 'unshare'] as const).filter((kind) => forced === undefined || forced === kind);
const available: SandboxKind[] = [];
for (const kind of kinds) if ((await detectSandbox([kind])) !== null) available.push(kind);

let folder: string;
let hostServer: Server;
let connections = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'custody-sandbox-test-'));
  await chmod(folder, 0o755);
  hostServer = createServer((socket) => {
    connections += 1;
    socket.destroy();
  });
  hostServer.listen(0, '127.0.0.1');
  await once(hostServer, 'listening');
});

afterAll(async () => {
  hostServer.close();
  await rm(folder, { recursive: true });
});

it('finds a sandbox on the machine that runs these tests', () => {
  expect(available).not.toEqual([]);
});

it('says that there is no sandbox when no kind works', async () => {
  expect(await detectSandbox([])).toBeNull();
  expect(await sandboxNotice([])).toMatch(/scanning and validation will be refused .* install bubblewrap .* unshare/);
  expect(await sandboxNotice()).toBeNull();
});

describe.each(available)('the %s sandbox', (kind) => {
  const run = (command: SandboxRequest['command'], options: Partial<SandboxRequest> = {}): Promise<SandboxResult> =>
    runSandboxed({
      sandbox: kind,
      command,
      mounts: [],
      cwd: '/tmp',
      env: {},
      limits: { wallSeconds: 20, memoryMb: 1024 },
      ...options,
    });
  const node = (script: string, options: Partial<SandboxRequest> = {}): Promise<SandboxResult> =>
    run(['node', '--input-type=module', '-e', script], options);

  const makeFolder = async (name: string): Promise<string> => {
    const path = join(folder, `${kind}-${name}`);
    await mkdir(path, { mode: 0o755 });
    return path;
  };

  it('runs a command and answers its exit code and output', async () => {
    const result = await run(['sh', '-c', 'echo out; echo err >&2; exit 7']);
    expect(result).toMatchObject({ exitCode: 7, signal: null, ended: 'exited', sandbox: kind });
    expect([result.stdout, result.stderr]).toEqual(['out\n', 'err\n']);
  });

  it('passes output on while the command runs', async () => {
    const streams = new Set<string>();
    await run(['sh', '-c', 'echo out; echo err >&2'], { onOutput: ({ stream }) => streams.add(stream) });
    expect([...streams].sort()).toEqual(['stderr', 'stdout']);
  });

  it('keeps only the end of endless output', async () => {
    const result = await run(['sh', '-c', 'head -c 3000000 /dev/zero | tr "\\\\0" x; echo end']);
    expect(result.stdout).toHaveLength(64 * 1024);
    expect(result.stdout.endsWith('xend\n')).toBe(true);
  });

  it('gives the command no variable of the host but those it was given', async () => {
    const result = await run(['env'], { env: { GIVEN: 'a b' } });
    const names = result.stdout
      .trim()
      .split('\n')
      .map((line) => line.split('=')[0]);
    expect(names.filter((name) => !['PWD', 'SHLVL', '_', 'OLDPWD'].includes(name as string)).sort()).toEqual([
      'GIVEN',
      'PATH',
    ]);
    expect(result.stdout).toContain('GIVEN=a b\n');
  });

  it('attack: a connection to a server of the host fails', async () => {
    const before = connections;
    const { port } = hostServer.address() as AddressInfo;
    const result = await node(`
      import { connect } from 'node:net';
      connect(${port}, '127.0.0.1').once('connect', () => process.exit(9)).once('error', (e) => console.log(e.code));`);
    expect(result.exitCode).toBe(0);
    expect(result.stdout).toMatch(/ECONNREFUSED|ENETUNREACH/);
    expect(connections).toBe(before);
  });

  it('attack: no other address and no name can be reached, and only the loopback device exists', async () => {
    const result = await node(
      `
      import { lookup } from 'node:dns/promises';
      import { createSocket } from 'node:dgram';
      import { readFileSync } from 'node:fs';
      const name = await lookup('example.com').then(() => 'resolved', (e) => e.code);
      const socket = createSocket('udp4');
      const send = await new Promise((done) => socket.send('x', 53, '192.0.2.1', (e) => done(e ? e.code : 'sent')));
      socket.close();
      const devices = readFileSync('/proc/net/dev', 'utf8').trim().split('\\n').slice(2).map((line) => line.split(':')[0].trim());
      console.log(JSON.stringify({ name, send, devices }));`,
      { env: { RES_OPTIONS: 'timeout:1 attempts:1' } },
    );
    expect(result.ended).toBe('exited');
    const found = JSON.parse(result.stdout) as { name: string; send: string; devices: string[] };
    expect(found.name).toMatch(/EAI_AGAIN|ENOTFOUND/);
    expect(found.send).toBe('ENETUNREACH');
    expect(found.devices).toEqual(['lo']);
  });

  it('attack: files of the host are not there', async () => {
    const secret = join(folder, `${kind}-secret`);
    await writeFile(secret, 'secret', { mode: 0o644 });
    const result = await run([
      'sh',
      '-c',
      'for path; do cat "$path" && echo "READ $path"; done; ls /',
      'sh',
      secret,
      '/etc/passwd',
      '/etc/shadow',
      resolve('package.json'),
      '/proc/1/root/etc/passwd',
    ]);
    expect(result.stdout).not.toContain('READ');
    expect(result.stdout.split('\n')).not.toEqual(expect.arrayContaining(['home']));
    expect(result.stdout.split('\n')).not.toContain('root');
  });

  it('attack: a link in a mounted folder does not lead out', async () => {
    const source = await makeFolder('links');
    await symlink('/etc/passwd', join(source, 'out'));
    const result = await run(['cat', '/input/out'], { mounts: [{ source, target: '/input', writable: false }] });
    expect(result.exitCode).not.toBe(0);
    expect(result.stdout).toBe('');
  });

  it('attack: nothing outside the writable mounts can be written', async () => {
    const input = await makeFolder('input');
    await writeFile(join(input, 'data'), 'original', { mode: 0o666 });
    await chmod(input, 0o777);
    const output = await makeFolder('output');
    const script = `
      for path in /input/data /input/new /usr/new /etc/new /new /dev/new /proc/sys/kernel/hostname; do
        (echo changed > "$path") 2>/dev/null && echo "WROTE $path"
      done
      mount -o remount,rw /input 2>/dev/null && echo REMOUNTED
      echo result > /output/result && echo fine`;
    const result = await run(['sh', '-c', script], {
      mounts: [
        { source: input, target: '/input', writable: false },
        { source: output, target: '/output', writable: true },
      ],
    });
    expect(result.stdout).toBe('fine\n');
    expect(await readFile(join(input, 'data'), 'utf8')).toBe('original');
    expect(await readdir(input)).toEqual(['data']);
    expect(await readFile(join(output, 'result'), 'utf8')).toBe('result\n');
  });

  it('gives what was written to the owner of the mount', async () => {
    const output = await makeFolder('owned');
    await run(['sh', '-c', 'mkdir -p a/b && echo x > a/b/c && ln -s /etc/passwd a/link && chmod 4755 a/b/c'], {
      mounts: [{ source: output, target: '/work', writable: true }],
      cwd: '/work',
    });
    const owner = (await stat(folder)).uid;
    const written = await stat(join(output, 'a/b/c'));
    expect([(await stat(output)).uid, written.uid, (await stat('/etc/passwd')).uid]).toEqual([owner, owner, 0]);
    if (process.getuid?.() === 0) expect(written.mode & 0o4000).toBe(0);
  });

  it('attack: processes of the host can be neither seen nor killed', async () => {
    const victim = spawn(process.execPath, ['-e', 'process.stdout.write("up"); setInterval(() => {}, 1000)']);
    await once(victim.stdout, 'data');
    try {
      const result = await node(`
        import { readdirSync } from 'node:fs';
        const pids = readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name)).map(Number);
        let killed = 'no';
        try { process.kill(${victim.pid}, 'SIGKILL'); killed = 'yes'; } catch (e) { killed = e.code; }
        console.log(JSON.stringify({ count: pids.length, sees: pids.includes(${victim.pid}), killed }));`);
      expect(JSON.parse(result.stdout)).toMatchObject({ sees: false, killed: 'ESRCH' });
      expect((JSON.parse(result.stdout) as { count: number }).count).toBeLessThan(10);
      expect(victim.exitCode ?? victim.signalCode).toBeNull();
    } finally {
      victim.kill('SIGKILL');
      await once(victim, 'exit');
    }
  });

  it('attack: no capability is left and none can be gained', async () => {
    const result = await run(['grep', '-E', '^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs)', '/proc/self/status']);
    const values = result.stdout
      .trim()
      .split('\n')
      .map((line) => line.split('\t')[1]);
    expect(values).toEqual([...Array.from({ length: 5 }, () => '0000000000000000'), '1']);
  });

  it('attack: a run beyond its time is killed with everything it started', async () => {
    const output = await makeFolder('late');
    const result = await run(
      ['sh', '-c', '(trap "" TERM HUP; setsid sleep 1000 &) ; sleep 1000 & echo $$ > /work/started; wait'],
      {
        mounts: [{ source: output, target: '/work', writable: true }],
        limits: { wallSeconds: 1, memoryMb: 512 },
      },
    );
    expect(result).toMatchObject({ exitCode: null, signal: 'SIGKILL', ended: 'wall-limit' });
    expect(result.durationMs).toBeGreaterThanOrEqual(1000);
    // The answer comes when nobody holds its output any more, so the detached sleeper is gone too.
    expect(result.durationMs).toBeLessThan(5000);
    expect(existsSync(join(output, 'started'))).toBe(true);
  });

  it('ends as interrupted when its caller is', async () => {
    const caller = new AbortController();
    const running = run(['sh', '-c', 'echo up; sleep 1000'], {
      signal: caller.signal,
      onOutput: () => caller.abort(),
    });
    await expect(running).rejects.toMatchObject({ code: 'INTERRUPTED' });
  });

  it('attack: a fork bomb runs into the process limit', async () => {
    const result = await node(
      `
      import { spawn } from 'node:child_process';
      const children = [];
      let refused = 0;
      for (let at = 0; at < 100; at += 1) {
        try {
          const child = spawn('sleep', ['1000']);
          child.on('error', () => { refused += 1; });
          if (child.pid) children.push(child);
        } catch { refused += 1; }
      }
      setImmediate(() => { console.log(JSON.stringify({ started: children.length, refused })); process.exit(0); });`,
      { limits: { wallSeconds: 20, memoryMb: 1024, processes: 40 } },
    );
    const counts = JSON.parse(result.stdout) as { started: number; refused: number };
    expect(counts.started).toBeLessThan(40);
    expect(counts.refused).toBeGreaterThan(60);
  });

  it('attack: memory beyond the limit is refused', async () => {
    const script =
      'const kept = []; for (let at = 0; at < 8; at += 1) kept.push(Buffer.alloc(64 * 2 ** 20, 1)); console.log(kept.length);';
    const limited = await node(script, { limits: { wallSeconds: 20, memoryMb: 400 } });
    expect(limited.exitCode).not.toBe(0);
    expect((await node(script, { limits: { wallSeconds: 20, memoryMb: 1024 } })).stdout).toBe('8\n');
  });

  it('attack: output beyond the limit ends the run, in one file or in many', async () => {
    const output = await makeFolder('flood');
    const flood = (script: string): Promise<SandboxResult> =>
      run(['sh', '-c', script], {
        mounts: [{ source: output, target: '/work', writable: true }],
        limits: { wallSeconds: 20, memoryMb: 512, outputMb: 4 },
      });
    const one = await flood('head -c 8000000 /dev/zero > /work/one');
    expect(one.exitCode).not.toBe(0);
    expect((await stat(join(output, 'one'))).size).toBeLessThanOrEqual(4 * 2 ** 20);
    const many = await flood('for n in 1 2 3; do head -c 3000000 /dev/zero > /work/$n; done; sleep 1000');
    expect(many.ended).toBe('output-limit');
    // Each takes an inode, though none of them holds a byte.
    const empty = await flood(
      `node -e "for (let n = 0; n < 9000; n += 1) fs.writeFileSync('/work/e' + n, '')"; sleep 1000`,
    );
    expect(empty.ended).toBe('output-limit');
  });

  it('attack: folders nested deeper than a path can name end the run, and can be removed', async () => {
    const output = await makeFolder('deep');
    const dig = `const name = 'x'.repeat(100); process.chdir('/work');
      for (let n = 0; n < 100; n += 1) { fs.mkdirSync(name); process.chdir(name); } setInterval(() => {}, 1000);`;
    const result = await run(['node', '-e', dig], {
      mounts: [{ source: output, target: '/work', writable: true }],
      limits: { wallSeconds: 20, memoryMb: 512, outputMb: 4 },
    });
    expect(result.ended).toBe('output-limit');
    await removeTree(output);
    expect(existsSync(output)).toBe(false);
  });

  it('attack: an endless loop runs into its processor time', async () => {
    const result = await run(['sh', '-c', 'while :; do :; done'], {
      limits: { wallSeconds: 20, memoryMb: 512, cpuSeconds: 1 },
    });
    expect(result).toMatchObject({ ended: 'exited', exitCode: 128 + 9 });
  });

  it('refuses targets that belong to the sandbox and sources that are not there', async () => {
    const mount = (source: string, target: string): Promise<SandboxResult> =>
      run(['true'], { mounts: [{ source, target, writable: false }] });
    for (const target of ['/usr/x', '/etc', '/proc/1', 'relative', '/a/../b', '/']) {
      await expect(mount(folder, target)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    }
    await expect(mount(join(folder, 'absent'), '/input')).rejects.toMatchObject({ code: 'INPUT_MISSING' });
    await expect(run(['true'], { cwd: '/absent' })).rejects.toMatchObject({ code: 'SANDBOX_UNAVAILABLE' });
  });

  it('takes a limit, variable or argument of odd form as text, never as a command', async () => {
    await expect(run(['true'], { env: { '-u PATH': 'x' } })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await expect(run(['true'], { limits: { wallSeconds: 0, memoryMb: 512 } })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
    const result = await run(['printf', '%s\\n', '$(id)', '`id`', '; id', '"'], { env: { ODD: '$(id) "x" \n' } });
    expect(result.stdout).toBe('$(id)\n`id`\n; id\n"\n');
  });

  it('trains the digits release 1.0.0, twice to the same bytes', async () => {
    const train = async (name: string): Promise<Record<string, string>> => {
      const output = await makeFolder(name);
      const result = await run(
        [
          'node',
          '/code/train.mjs',
          '--config',
          '/code/hyperparameters/1.0.0.json',
          '--data',
          '/data/digits.csv.gz',
          '--out',
          '/output/release',
          '--report',
          '/output/report.json',
        ],
        {
          mounts: [
            { source: resolve('examples/digits/training'), target: '/code', writable: false },
            { source: resolve('examples/digits/data/digits'), target: '/data', writable: false },
            { source: output, target: '/output', writable: true },
          ],
        },
      );
      expect(result).toMatchObject({ exitCode: 0, stderr: '' });
      const release = join(output, 'release');
      const names = await readdir(release);
      const digests = names.map(async (file) => [
        file,
        createHash('sha256')
          .update(await readFile(join(release, file)))
          .digest('hex'),
      ]);
      return Object.fromEntries(await Promise.all(digests)) as Record<string, string>;
    };
    const first = await train('first');
    expect(Object.keys(first)).toContain('weights.safetensors');
    expect(await train('second')).toEqual(first);
  });
});
