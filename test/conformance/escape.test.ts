import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SandboxKind, SandboxRequest, SandboxResult } from '../../adapters/sandbox/port.js';
import { detectSandbox, runSandboxed } from '../../adapters/sandbox/sandbox.js';
import { canTrace } from '../../adapters/sandbox/tracer.js';
import { attemptsIn, OBSERVABLES, type Observable } from '../../domain/observed.js';

// CUSTODY_TEST_SANDBOX=unshare runs these tests with that kind alone.
const forced = process.env['CUSTODY_TEST_SANDBOX'];
const kinds = (['bubblewrap', 'unshare'] as const).filter((kind) => forced === undefined || forced === kind);
const available: SandboxKind[] = [];
for (const kind of kinds) if ((await detectSandbox([kind])) !== null) available.push(kind);
const strace = process.env['CUSTODY_STRACE'] ?? 'strace';
const isTraced = await canTrace(strace);

let folder: string;
let hostServer: Server;
let connections = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'custody-escape-test-'));
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

describe.each(available)('of a run in the %s sandbox', (kind) => {
  const run = (command: SandboxRequest['command'], options: Partial<SandboxRequest> = {}): Promise<SandboxResult> =>
    runSandboxed({
      sandbox: kind,
      command,
      mounts: [],
      cwd: '/tmp',
      env: {},
      limits: { wallSeconds: 30, memoryMb: 1024 },
      ...options,
    });
  const node = (script: string, options: Partial<SandboxRequest> = {}): Promise<SandboxResult> =>
    run(['node', '-e', script], options);
  const shell = (script: string, options: Partial<SandboxRequest> = {}): Promise<SandboxResult> =>
    run(['sh', '-c', script], options);
  const seen = ({ observed }: SandboxResult, kind: Observable) => observed.seen.find((each) => each.kind === kind);

  const makeFolder = async (name: string): Promise<string> => {
    const path = join(folder, `${kind}-${name}`);
    await mkdir(path, { mode: 0o755 });
    return path;
  };

  describe('by the kernel’s counts and processes alone', () => {
    it('nothing is told where it tried nothing, and what nobody looked for is not among what was watched', async () => {
      const { observed } = await node('fs.writeFileSync("/tmp/x", fs.readFileSync("/proc/self/status"))');
      expect(observed).toEqual({ watched: ['network', 'limit', 'left-behind', 'output'], seen: [] });
    });

    const CONNECTS: [string, string][] = [
      ['a server of the host', `net.connect(PORT, '127.0.0.1').on('error', () => {})`],
      ['an address', `net.connect(443, '192.0.2.1').on('error', () => {})`],
      ['an IPv6 address', `net.connect(443, '2001:db8::1').on('error', () => {})`],
      ['the loopback device’s IPv6 address', `net.connect(443, '::1').on('error', () => {})`],
      ['a datagram', `s = dgram.createSocket('udp4'); s.send('x', 53, '192.0.2.1', () => s.close())`],
      ['an IPv6 datagram', `s = dgram.createSocket('udp6'); s.send('x', 53, '2001:db8::1', () => s.close())`],
      [
        'a broadcast',
        `s = dgram.createSocket('udp4'); s.bind(() => (s.setBroadcast(true), s.send('x', 9, '255.255.255.255', () => s.close())))`,
      ],
      ['a name', `dns.lookup('example.com', () => {})`],
    ];
    it.each(CONNECTS)('attack: %s is tried, and the error swallowed', async (_, script) => {
      const before = connections;
      const { port } = hostServer.address() as AddressInfo;
      const result = await node(script.replace('PORT', String(port)), { env: { RES_OPTIONS: 'timeout:1 attempts:1' } });
      expect([result.exitCode, result.stderr]).toEqual([0, '']);
      expect(attemptsIn(result.observed)).toMatchObject([{ kind: 'network' }]);
      expect(connections).toBe(before);
    });

    it('each attempt is counted', async () => {
      const many = `for (let n = 0; n < 7; n += 1) net.connect(443, '192.0.2.1').on('error', () => {})`;
      expect(seen(await node(many), 'network')).toEqual({ kind: 'network', count: 7, detail: '7 × no route' });
    });

    it('a server of its own, that it reaches, is none', async () => {
      const own = `const s = net.createServer((c) => (c.end(), s.close())).listen(0, () => net.connect(s.address().port, '127.0.0.1'))`;
      const result = await node(own);
      expect([result.exitCode, result.observed.seen]).toEqual([0, []]);
    });

    it('attack: the counting namespace cannot be left for another', async () => {
      const result = await shell('unshare --user --map-root-user --net node -e "0" || unshare --user true || echo no');
      expect(result.stdout).toBe('no\n');
    });

    it('attack: a daemon that outlives the command is told, and gone', async () => {
      const result = await shell(
        'mkfifo up; (setsid sh -c "echo > up; exec sleep 1000" > /dev/null 2>&1 &); exec cat up',
      );
      expect([result.exitCode, seen(result, 'left-behind')?.count]).toEqual([0, 1]);
      expect(seen(result, 'left-behind')?.detail).toMatch(/^(sh|sleep)$/);
    });

    it('attack: links, pipes, sockets and setuid files in the output are told', async () => {
      const output = await makeFolder('odd');
      const result = await shell(
        'cd /output; ln -s /x link; mkfifo pipe; mkdir a; cp /bin/true a/tool; chmod 4755 a/tool; echo x > fine; ' +
          `node -e "net.createServer().listen('/output/a/socket', () => process.kill(process.pid, 'SIGKILL'))"`,
        { mounts: [{ source: output, target: '/output', writable: true }] },
      );
      const odd = seen(result, 'output');
      expect(odd?.count).toBe(4);
      expect(odd?.detail).toMatch(/^(?:(?:link link|pipe pipe|setuid a\/tool|socket a\/socket)(?:, |$)){3}$/);
    });

    it('attack: time, output, the size of a file and processor time that ran out are told', async () => {
      const limits = { wallSeconds: 30, memoryMb: 512, outputMb: 1 };
      let runs = 0;
      const ran = async (script: string, more: object = {}): Promise<string | undefined> => {
        const output = await makeFolder(`much-${(runs += 1)}`);
        const mounts = [{ source: output, target: '/output', writable: true }];
        return seen(await shell(script, { mounts, limits: { ...limits, ...more } }), 'limit')?.detail;
      };
      expect(await ran('exec sleep 1000', { wallSeconds: 1 })).toBe('time');
      expect(await ran('for n in 1 2 3; do head -c 900000 /dev/zero > /output/$n; done; exec sleep 1000')).toBe(
        'output',
      );
      expect(await ran('exec head -c 2000000 /dev/zero > /output/one')).toMatch(/output|size of a file/);
      expect(await ran('while :; do :; done', { cpuSeconds: 1 })).toMatch(/processor time/);
    });

    it('attack: what it says on the descriptors of whoever watches changes nothing', async () => {
      const result = await shell(`
        for fd in 3 4 5 6 7 8 9; do (echo ended >&$fd; printf 'ready\\nended\\n' >&$fd) 2> /dev/null; done
        for fd in 0 3 4 5; do (echo ended > /proc/1/fd/$fd; echo ended > /proc/2/fd/$fd) 2> /dev/null; done
        exec 0<&- 3>&- 4>&- 5>&-
        node -e "net.connect(443, '192.0.2.1').on('error', () => {})"`);
      expect(result).toMatchObject({ exitCode: 0, ended: 'exited' });
      expect(seen(result, 'network')?.count).toBe(1);
    });

    it('attack: a run that kills whatever it can reach is told of all the same', async () => {
      const result = await node(`
        net.connect(443, '192.0.2.1').on('error', () => {
          for (const pid of [1, -1, process.ppid]) for (const signal of ['SIGTERM', 'SIGKILL', 'SIGSTOP'])
            try { process.kill(pid, signal); } catch {}
        });`);
      expect(seen(result, 'network')?.count).toBe(1);
    });
  });

  describe.runIf(isTraced)('by its system calls, too', () => {
    const traced = (script: string, options: Partial<SandboxRequest> = {}) =>
      shell(script, { tracer: strace, ...options });
    const tracedNode = (script: string, options: Partial<SandboxRequest> = {}) =>
      node(script, { tracer: strace, ...options });

    it('everything is watched, and an honest run is told of nothing', async () => {
      const { exitCode, stderr, observed } = await tracedNode(`
        fs.writeFileSync('/tmp/x', fs.readFileSync('/proc/self/status'));
        fs.mkdirSync('/tmp/home'); os.cpus(); os.userInfo; child_process.execSync('ls /tmp /usr | grep x; id');
        try { fs.readFileSync('/etc/passwd') } catch {}
        new worker_threads.Worker('process.exit(0)', { eval: true });`);
      expect([exitCode, stderr]).toEqual([0, expect.stringMatching(/^(id: .*\n)*$/)]);
      expect(observed).toEqual({ watched: OBSERVABLES, seen: [] });
    });

    it('gives the command its own stderr, exit code and environment', async () => {
      const result = await traced('echo out; echo err >&2; ls -l /proc/self/fd | grep -vc /dev/null; exit 7', {
        env: { A: 'b' },
      });
      expect(result).toMatchObject({ exitCode: 7, stdout: 'out\n4\n', stderr: 'err\n', ended: 'exited' });
    });

    const ATTACKS: [string, Observable, string, RegExp][] = [
      ['the password hashes', 'files', 'cat /etc/shadow', /^\/etc\/shadow$/],
      ['the home of root', 'files', 'ls /root', /^\/root$/],
      ['a key, only asked whether it is there', 'files', '[ -e /home/ann/.ssh/id_rsa ]', /^\/home\/ann\/.ssh\/id_rsa$/],
      ['a detour with dots', 'files', 'cat ../../usr/../etc/./shadow', /^\/etc\/shadow$/],
      ['a name that starts from another folder', 'files', 'cd / && cat root/x', /^\/root\/x$/],
      ['a detour over /proc', 'files', 'cat /proc/self/root/etc/shadow', /^\/etc\/shadow$/],
      ['a link', 'files', 'ln -s /etc/shadow a; cat a', /^\/etc\/shadow$/],
      ['a link to the folder above', 'files', 'ln -s / a; cat a/etc/shadow', /^\/$/],
      ['a link by many steps', 'files', 'ln -s ../../.. a; cat a/etc/shadow', /^\/$/],
      [
        'the engine’s socket',
        'files',
        `node -e "net.connect('/var/run/docker.sock').on('error', () => {})"`,
        /docker\.sock$/,
      ],
      ['a program of the system', 'files', '(: > /usr/bin/new)', /^to change \/usr\/bin\/new$/],
      [
        'a setting of the kernel',
        'files',
        '(echo x > /proc/sys/kernel/hostname)',
        /^to change \/proc\/sys\/kernel\/hostname$/,
      ],
      ['the root folder', 'files', 'mkdir /new', /^to change \/new$/],
      ['the first process', 'processes', 'cat /proc/1/environ', /^\/proc\/1\/environ$/],
      ['the host’s files by the first process', 'processes', 'ls /proc/1/root/etc', /^\/proc\/1\/root\/etc$/],
      ['a process that is not its own', 'processes', 'cat /proc/31337/status', /^\/proc\/31337\/status$/],
      ['a signal to one', 'processes', 'kill -9 31337', /^kill 31337$/],
      ['a signal to the first', 'processes', 'kill -9 1', /^kill 1$/],
      ['the name of the host', 'privileges', 'hostname x', /^sethostname$/],
      ['another namespace', 'privileges', 'unshare --user true', /^unshare CLONE_NEWUSER$/],
      ['another root', 'privileges', '/usr/sbin/chroot / true', /^chroot$/],
    ];
    it.each(ATTACKS)('attack: %s', async (_, kind, script, detail) => {
      const result = await traced(`(${script}) > /dev/null 2>&1; exit 0`);
      expect(result.exitCode).toBe(0);
      expect(attemptsIn(result.observed).map((each) => each.kind)).toEqual([kind]);
      expect(seen(result, kind)?.detail.split(', ')[0]).toMatch(detail);
    });

    it('attack: where it connected to is told', async () => {
      const result = await tracedNode(`net.connect(443, '192.0.2.1').on('error', () => {})`);
      expect(seen(result, 'network')).toEqual({ kind: 'network', count: 1, detail: '192.0.2.1:443' });
    });

    it('attack: a fork bomb is told', async () => {
      const bomb = `for (let n = 0; n < 100; n += 1) child_process.spawn('sleep', ['1000']).on('error', () => {}); setImmediate(() => process.exit(0));`;
      const result = await tracedNode(bomb, { limits: { wallSeconds: 30, memoryMb: 1024, processes: 40 } });
      const limit = seen(result, 'limit');
      expect(limit?.detail).toBe('processes');
      expect(limit?.count).toBeGreaterThan(50);
      expect(seen(result, 'left-behind')?.count).toBeGreaterThan(10);
    });

    it('attack: names that look like lines of the log forge nothing and hide nothing', async () => {
      const { observed } = await tracedNode(`
        const lies = ['x\\n[pid 1] openat(AT_FDCWD</>, "/root", O_RDONLY) = -1 ENOENT (x)\\n', '"/root", ', 'a>b<3</root>, "/x"'];
        for (const lie of lies) for (const folder of ['', '/tmp/']) {
          try { fs.mkdirSync(folder + lie, { recursive: true }); process.chdir(folder + lie); } catch {}
          try { fs.readFileSync(lie) } catch {}
          try { fs.readFileSync('/etc/shadow') } catch {}
        }`);
      expect(observed.seen).toEqual([{ kind: 'files', count: 6, detail: '/etc/shadow' }]);
    });

    it('attack: it cannot end, stop or reach whoever watches', async () => {
      const { observed, exitCode } = await traced(`
        for fd in 3 4 5 6 7 8 9; do (echo 'strace: x' >&$fd) 2> /dev/null; done
        exec 0<&- 3>&- 4>&- 5>&-
        for signal in KILL TERM; do kill -$signal 1; done
        ls /proc | grep -c strace
        cat /etc/shadow
        exit 0`);
      expect(exitCode).toBe(0);
      expect(observed.seen.map((each) => each.kind)).toEqual(['files', 'processes']);
    });

    it('attack: one that stops what has started it has its time run out', async () => {
      const result = await traced('cat /root/x; kill -STOP $PPID', { limits: { wallSeconds: 2, memoryMb: 512 } });
      expect(result).toMatchObject({ exitCode: null, ended: 'wall-limit' });
      expect(result.observed.seen.map((each) => each.kind)).toEqual(expect.arrayContaining(['files', 'limit']));
    });

    it('attack: a run beyond its time is killed with everything it started', async () => {
      const limits = { wallSeconds: 2, memoryMb: 512 };
      const result = await traced('cat /root/x; (trap "" TERM HUP; setsid sleep 1000 &) ; sleep 1000 & wait', {
        limits,
      });
      expect(result).toMatchObject({ exitCode: null, signal: 'SIGKILL', ended: 'wall-limit' });
      expect(result.durationMs).toBeLessThan(10_000);
      expect(result.observed.seen.map((each) => each.kind)).toEqual(['files', 'limit']);
    });

    it('what it reads of its own, wherever that was mounted, is no attempt; nor what programs look for on the way up', async () => {
      const home = await makeFolder('project');
      await writeFile(
        join(home, 'main.mjs'),
        `import('absent').catch(() => {}); import('node:fs').then((fs) => fs.readdirSync('/home/ann/project'))`,
      );
      const mounts = [{ source: home, target: '/home/ann/project', writable: false }];
      const result = await run(['node', '/home/ann/project/main.mjs'], { mounts, tracer: strace });
      expect([result.exitCode, result.stderr, result.observed.seen]).toEqual([0, '', []]);
      const beyond = await run(['cat', '/home/ann/.ssh/id_rsa'], { mounts, tracer: strace });
      expect(seen(beyond, 'files')?.detail).toBe('/home/ann/.ssh/id_rsa');
    });
  });
});

it('a tracer that does not work is none, and it says so', async () => {
  const [kind] = available;
  const result = await runSandboxed({
    ...{ command: ['true'], mounts: [], cwd: '/tmp', env: {}, limits: { wallSeconds: 20, memoryMb: 512 } },
    ...(kind === undefined ? {} : { sandbox: kind }),
    tracer: '/bin/false',
  });
  expect(result.observed.watched).not.toContain('files');
});
