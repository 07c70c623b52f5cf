import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer as createHttp, type Server as HttpServer } from 'node:http';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import os from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { SandboxKind, SandboxNetwork, SandboxRequest, SandboxResult } from '../../adapters/sandbox/port.js';
import { descendants, nameIfAlive } from '../../adapters/sandbox/processes.js';
import { RecordingProxy } from '../../adapters/sandbox/proxy.js';
import { detectSandbox, runSandboxed } from '../../adapters/sandbox/sandbox.js';
import { canTrace } from '../../adapters/sandbox/tracer.js';
import { attemptsIn, OBSERVABLES } from '../../domain/observed.js';
import { sha256 } from '../../formats/sha256.js';

// CUSTODY_TEST_SANDBOX=unshare runs these tests with that kind alone.
const forced = process.env['CUSTODY_TEST_SANDBOX'];
const kinds = (['bubblewrap', 'unshare'] as const).filter((kind) => forced === undefined || forced === kind);
const available: SandboxKind[] = [];
for (const kind of kinds) if ((await detectSandbox([kind])) !== null) available.push(kind);
const tracer = process.env['CUSTODY_STRACE'] ?? 'strace';
const isTraced = await canTrace(tracer);

/** What an HTTP server of this host was asked, and another that anybody may speak anything to. */
let web: HttpServer;
let echo: Server;
const asked: { readonly line: string; readonly host: string | undefined; readonly body: string }[] = [];
const talks = new Set<Socket>();
let webPort: number;
let echoPort: number;

beforeAll(async () => {
  web = createHttp((request, response) => {
    let body = '';
    request.on('data', (bytes: Buffer) => (body += bytes.toString()));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      const hop = `${headers.upgrade ?? ''}${String(headers['x-secret'] ?? '')}`;
      asked.push({ line: `${method} ${url}${hop}`, host: headers.host, body });
      if (url === '/never') return;
      response.setHeader('set-cookie', ['a=1', 'b=2']);
      response.end(`hello ${url}`);
    });
  });
  echo = createServer((socket) => {
    talks.add(socket);
    socket.on('close', () => talks.delete(socket)).on('error', () => socket.destroy());
    socket.pipe(socket);
  });
  for (const server of [web, echo]) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  }
  webPort = (web.address() as AddressInfo).port;
  echoPort = (echo.address() as AddressInfo).port;
});
afterAll(() => {
  web.closeAllConnections();
  web.close();
  for (const socket of talks) socket.destroy();
  echo.close();
});
beforeEach(() => void asked.splice(0));

/** Says a text to the proxy and prints what comes back, until the other side ends. */
const SAY = `const say = (...texts) => new Promise((done) => {
  const socket = net.connect(3128, '127.0.0.1', () => socket.write(texts.shift()));
  let heard = '';
  socket.on('data', (bytes) => { heard += bytes; if (texts.length > 0) socket.write(texts.shift()); });
  socket.on('close', () => { console.log(heard); done(heard); }).on('error', () => {});
});
const get = (url, more = '') => 'GET ' + url + ' HTTP/1.1\\r\\nHost: x\\r\\n' + more + '\\r\\n';
const tunnel = (to) => 'CONNECT ' + to + ' HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n';
`;

describe.each(available)('of a run in the %s sandbox that may reach some destinations', (kind) => {
  const run = (
    command: SandboxRequest['command'],
    network: SandboxNetwork | null,
    options: Partial<SandboxRequest> = {},
  ): Promise<SandboxResult> =>
    runSandboxed({
      ...{ sandbox: kind, command, mounts: [], cwd: '/tmp', env: {} },
      limits: { wallSeconds: 60, memoryMb: 1024 },
      ...(network === null ? {} : { network }),
      ...options,
    });
  /** Local addresses count where they are listed themselves. */
  const listed = (more: Partial<SandboxNetwork> = {}): SandboxNetwork => ({
    destinations: [`localhost:${webPort}`, `127.0.0.1:${webPort}`, `localhost:${echoPort}`, `127.0.0.1:${echoPort}`],
    lookup: async () => ['127.0.0.1'],
    ...more,
  });
  const saying = (script: string, network = listed(), options: Partial<SandboxRequest> = {}): Promise<SandboxResult> =>
    run(['node', '-e', `${SAY}(async () => { ${script} })()`], network, options);
  const refusals = ({ observed }: SandboxResult): string =>
    attemptsIn(observed)
      .map(({ detail }) => detail)
      .join();

  it('fetches from a listed server, and it is written down what', async () => {
    const { observed, connections, ...result } = await saying(`await say(get('http://localhost:${webPort}/a?b=c'))`);
    expect([result.exitCode, result.stderr, observed.seen]).toEqual([0, '', []]);
    expect(result.stdout).toMatch(/200 OK\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n.*hello \/a\?b=c/s);
    expect(asked).toEqual([{ line: 'GET /a?b=c', host: `localhost:${webPort}`, body: '' }]);
    const http = { method: 'GET', path: sha256('/a?b=c'), status: 200, body: sha256('hello /a?b=c') };
    expect(connections).toEqual([
      {
        ...{ host: 'localhost', port: webPort, address: '127.0.0.1', http },
        ...{ openedOn: expect.stringMatching(/Z$/), up: expect.any(Number), down: expect.any(Number) },
      },
    ]);
    expect(connections[0]?.up).toBeGreaterThan(40);
    expect(connections[0]?.down).toBeGreaterThan(100);
  });

  it('programs find the proxy by themselves', async () => {
    const curl = `http_proxy=$HTTP_PROXY curl --noproxy '' -s -d 'a body' http://localhost:${webPort}/post`;
    const result = await run(['sh', '-c', `${curl}; env | grep -ci '_proxy='`], listed());
    expect([result.stdout, result.observed.seen]).toEqual(['hello /post6\n', []]);
    expect(asked).toEqual([{ line: 'POST /post', host: `localhost:${webPort}`, body: 'a body' }]);
  });

  it.runIf(isTraced)('it is watched as others are, and traced where it can be', async () => {
    const script = `await say(get('http://localhost:${webPort}/')); net.connect(443, '192.0.2.1').on('error', () => {})`;
    const { observed, connections } = await saying(script, listed(), { tracer });
    expect(observed).toEqual({
      watched: OBSERVABLES,
      seen: [{ kind: 'network', count: 1, detail: '192.0.2.1:443' }],
    });
    expect(connections).toHaveLength(1);
  });

  it('whatever is spoken in a tunnel, its bytes are written down', async () => {
    const script = `
      const socket = net.connect(3128, '127.0.0.1', () => socket.write(tunnel('localhost:${echoPort}') + 'early'));
      let heard = '';
      socket.on('data', (bytes) => {
        heard += bytes;
        if (heard.endsWith('early')) socket.write(' SSH-2.0-late');
        if (heard.endsWith('late')) socket.end();
      }).on('close', () => console.log(heard));`;
    const { stdout, observed, connections } = await saying(script);
    expect([stdout, observed.seen]).toEqual(['HTTP/1.1 200 Connection established\r\n\r\nearly SSH-2.0-late\n', []]);
    expect(connections).toMatchObject([{ host: 'localhost', port: echoPort, address: '127.0.0.1', up: 18, down: 18 }]);
  });

  it('a listed server that is not there, and a name that leads nowhere, are no attempts', async () => {
    const nowhere = createServer().listen(0, '127.0.0.1');
    await once(nowhere, 'listening');
    const { port } = nowhere.address() as AddressInfo;
    nowhere.close();
    await once(nowhere, 'close');
    const destinations = [`127.0.0.1:${port}`, 'absent.example:80'];
    const lookup = async (host: string): Promise<string[]> => (host === '127.0.0.1' ? [host] : []);
    const script = `await say(tunnel('127.0.0.1:${port}')); await say(get('http://absent.example/'));`;
    const { stdout, observed, connections } = await saying(script, { destinations, lookup });
    expect(stdout.match(/ 502 /g)).toHaveLength(2);
    expect(observed.seen).toEqual([]);
    expect(connections).toMatchObject([
      { address: '127.0.0.1', up: 0, problem: 'ECONNREFUSED' },
      { address: null, problem: 'its name leads nowhere' },
    ]);
  });

  const forms = (text: string) => text.replaceAll('WEB', String(webPort)).replaceAll('ECHO', String(echoPort));
  const ATTACKS: [string, string, RegExp][] = [
    ['a host that is not listed', `tunnel('evil.example:443')`, /by the proxy: evil\.example:443/],
    ['one of which a listed one is a part', `tunnel('localhost.evil.example:WEB')`, /localhost\.evil\.example/],
    ['a port that is not listed', `tunnel('localhost:1')`, /localhost:1/],
    ['the port of HTTP, unsaid', `get('http://localhost/')`, /localhost:80/],
    ['a listed address as one number', `get('http://2130706433:WEB/')`, /2130706433/],
    ['in hexadecimal', `tunnel('0x7f000001:WEB')`, /0x7f000001/],
    ['in octal', `tunnel('0177.0.0.1:WEB')`, /0177\.0\.0\.1/],
    ['short', `tunnel('127.1:WEB')`, /127\.1/],
    ['inside of an IPv6 address', `tunnel('[::ffff:127.0.0.1]:WEB')`, /::ffff:127\.0\.0\.1/],
    ['a name with a dot behind it', `tunnel('localhost.:WEB')`, /localhost\.:/],
    ['a name before the host', `get('http://localhost:WEB@evil.example/')`, /evil\.example/],
    ['a backslash', `get('http://evil.example\\\\@localhost:WEB/')`, /no HTTP/],
    ['a fragment', `get('http://evil.example#@localhost:WEB/')`, /no HTTP/],
    [
      'an expectation of a host that is not listed',
      `get('http://evil.example/', 'Expect: x\\r\\n')`,
      /evil\.example:80/,
    ],
    ['to go on, of one such', `get('http://evil.example/', 'Expect: 100-continue\\r\\n')`, /evil\.example:80/],
    ['another scheme', `get('https://localhost:WEB/')`, /https:/],
    [
      'what only servers are asked, with a listed Host',
      `'GET / HTTP/1.1\\r\\nHost: localhost:WEB\\r\\n\\r\\n'`,
      /proxy: \//,
    ],
    ['no HTTP', `'SSH-2.0-x\\r\\n\\r\\n'`, /no HTTP/],
    [
      'two lengths of one body',
      `get('http://localhost:WEB/', 'Content-Length: 5\\r\\nTransfer-Encoding: chunked\\r\\n')`,
      /no HTTP/,
    ],
  ];
  it.each(ATTACKS)('attack: %s', async (_, text, what) => {
    const { exitCode, stdout, observed, connections } = await saying(`await say(${forms(text)})`);
    expect(exitCode).toBe(0);
    expect(stdout).not.toContain('200');
    expect(attemptsIn(observed)).toEqual([{ kind: 'network', count: 1, detail: expect.stringMatching(what) }]);
    expect([connections, asked]).toEqual([[], []]);
  });

  it('attack: a listed name that leads to this host, by today’s answer or by tomorrow’s', async () => {
    const destinations = [`localhost:${webPort}`, `mirror.example:${webPort}`];
    const answers = [['127.0.0.1'], ['192.0.2.7', '127.0.0.1'], ['::1'], ['::ffff:10.0.0.1'], ['fe80::1%lo']];
    const left = [...answers];
    const lookup = async (): Promise<readonly string[]> => left.shift() ?? [];
    const script = `for (let n = 0; n < ${answers.length}; n += 1) await say(get('http://mirror.example:${webPort}/'))`;
    const refused = await saying(script, { destinations, lookup });
    expect(refused.stdout.match(/ 403 /g)).toHaveLength(answers.length);
    expect([attemptsIn(refused.observed)[0]?.count, refused.connections, asked]).toEqual([answers.length, [], []]);
    const real = await saying(`await say(tunnel('localhost:${webPort}'))`, { destinations });
    expect(refusals(real)).toMatch(/localhost:\d+, which is (127\.0\.0\.1|::1)/);
  });

  it('attack: a way around the proxy leads nowhere, and is seen', async () => {
    const direct = await saying(`net.connect(${webPort}, '127.0.0.1').on('error', (e) => console.log(e.code))`);
    expect([direct.stdout, refusals(direct)]).toEqual(['ECONNREFUSED\n', '1 × no answer']);
    const script = `net.connect(443, '192.0.2.1').on('error', () => {}); await say(tunnel('evil.example:1'))`;
    expect((await saying(script)).observed.seen).toMatchObject([{ kind: 'network', count: 2 }]);
    expect(asked).toEqual([]);
  });

  it('attack: a Host that says otherwise, an upgrade, and a request inside of a body go nowhere', async () => {
    const inside = `GET /inside HTTP/1.1\\r\\nHost: y\\r\\n\\r\\n`;
    const { observed, connections } = await saying(`
      await say(get('http://localhost:${webPort}/a', 'Connection: upgrade, x-secret\\r\\nUpgrade: websocket\\r\\nX-Secret: 1\\r\\n'));
      const inside = '${inside}';
      await say(get('http://localhost:${webPort}/b', 'Content-Length: ' + inside.length + '\\r\\n') + inside);
      await say(get('http://localhost:${webPort}/c', 'Transfer-Encoding: chunked\\r\\n') +
        inside.length.toString(16) + '\\r\\n' + inside + '\\r\\n0\\r\\n\\r\\n');`);
    const [host, body] = [`localhost:${webPort}`, inside.replaceAll('\\r\\n', '\r\n')];
    expect(asked).toEqual([
      { line: 'GET /a', host, body: '' },
      { line: 'GET /b', host, body },
      { line: 'GET /c', host, body },
    ]);
    expect([observed.seen, connections.length]).toEqual([[], 3]);
  });

  it.each([
    ['by a length that Connection names', `'Connection: content-length\\r\\nContent-Length: ' + inside.length`],
    ['by a length behind a thousand headers', `'a:\\r\\n'.repeat(1100) + 'Content-Length: ' + inside.length`],
    ['in chunks behind a thousand headers', `'a:\\r\\n'.repeat(1100) + 'Transfer-Encoding: chunked'`],
  ])('attack: a request inside of a body that is framed %s', async (how, headers) => {
    const inside = `GET /inside HTTP/1.1\\r\\nHost: y\\r\\n\\r\\n`;
    const body = how.includes('chunks')
      ? `inside.length.toString(16) + '\\r\\n' + inside + '\\r\\n0\\r\\n\\r\\n'`
      : 'inside';
    const { observed } = await saying(`
      const inside = '${inside}';
      await say(get('http://localhost:${webPort}/a', ${headers} + '\\r\\n') + ${body});`);
    const said = inside.replaceAll('\\r\\n', '\r\n');
    expect([asked.map(({ line, body: taken }) => [line, taken]), observed.seen]).toEqual([[['GET /a', said]], []]);
  });

  it('what a request expects, the server is asked', async () => {
    const { connections, observed } = await saying(
      `await say(get('http://localhost:${webPort}/a', 'Expect: x\\r\\n'))`,
    );
    expect([connections, observed.seen]).toMatchObject([[{ http: { method: 'GET', status: 417 } }], []]);
  });

  it('attack: a second request on a connection, to whatever host', async () => {
    for (const second of [`http://evil.example/`, `http://localhost:${webPort}/second`]) {
      const first = `get('http://localhost:${webPort}/first')`;
      const result = await saying(`await say(${first} + get('${second}'))`);
      expect(refusals(result)).toContain(`a second request on a connection: ${second.slice(0, 20)}`);
      expect(asked.splice(0).map(({ line }) => line)).toEqual(['GET /first']);
      const kept = await saying(`await say(get('http://localhost:${webPort}/first', 'Connection: keep-alive\\r\\n'))`);
      expect([kept.stdout, asked.splice(0).length]).toEqual([expect.stringContaining('connection: close'), 1]);
    }
  });

  it('attack: more connections, or bytes either way, than a run may have', async () => {
    const flood = `await Promise.all(Array.from({ length: 40 }, () => say(get('http://localhost:${webPort}/'))))`;
    const many = await saying(flood, listed({ limits: { connections: 10 } }));
    expect(attemptsIn(many.observed)).toEqual([
      { kind: 'network', count: 30, detail: 'by the proxy: more than 10 connections' },
    ]);
    expect([many.connections.length, asked.length]).toEqual([10, 10]);
    const idle = `let gone = 0; for (let n = 0; n < 20; n += 1)
      net.connect(3128, '127.0.0.1').on('error', () => {}).on('close', () => { if ((gone += 1) === 15) process.exit(0); })`;
    expect(refusals(await saying(idle, listed({ limits: { atOnce: 5 } })))).toMatch(/more than 5 connections at once/);
    const head = `POST http://localhost:${webPort}/never HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 8000000\\r\\n\\r\\n`;
    const sent = await saying(`await say('${head}' + 'x'.repeat(8e6))`, listed({ limits: { upBytes: 1e6 } }));
    expect(sent.connections).toMatchObject([{ http: { method: 'POST' }, problem: 'more than 1000000 bytes out' }]);
    expect(sent.connections[0]?.up).toBeLessThan(2e6);
    const send = `await say(tunnel('localhost:${echoPort}'), Buffer.alloc(8e6))`;
    for (const limit of [{ upBytes: 1e6 }, { downBytes: 1e6 }]) {
      const { observed, connections } = await saying(send, listed({ limits: limit }));
      expect(attemptsIn(observed)).toMatchObject([{ kind: 'network', detail: expect.stringMatching(/1000000 bytes/) }]);
      expect(connections).toMatchObject([{ problem: expect.stringMatching(/more than 1000000 bytes (out|in)/) }]);
      expect(Math.min(...connections.map(({ up, down }) => Math.min(up, down)))).toBeLessThan(2e6);
    }
  });

  it('attack: more bytes than a run may have, a few on each of many connections, of which none says more', async () => {
    const post = (url: string): string =>
      `'POST ${url}/never HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 20000\\r\\n\\r\\n' + 'x'.repeat(10000)`;
    for (const texts of [post(`http://localhost:${webPort}`), `tunnel('localhost:${webPort}'), ${post('')}`]) {
      const script = `await Promise.race(Array.from({ length: 20 }, () => say(${texts}))); process.exit(0);`;
      const limits = { wallSeconds: 30, memoryMb: 1024 };
      const { observed } = await saying(script, listed({ limits: { upBytes: 150_000 } }), { limits });
      expect(attemptsIn(observed)).toMatchObject([{ detail: expect.stringMatching(/more than 150000 bytes out/) }]);
    }
  });

  it('attack: a listed name that leads to a public address of this host', async () => {
    const interfaces = vi.spyOn(os, 'networkInterfaces');
    const own = { address: '192.0.2.7', netmask: '', mac: '', internal: false, cidr: null, family: 'IPv4' } as const;
    interfaces.mockReturnValue({ public: [own] });
    try {
      const lookup = async (): Promise<string[]> => ['192.0.2.7'];
      const refused = await saying(`await say(tunnel('mirror.example:443'))`, {
        ...{ destinations: ['mirror.example:443'], lookup },
      });
      expect([refusals(refused), refused.connections]).toEqual([
        expect.stringContaining('mirror.example:443, which is 192.0.2.7'),
        [],
      ]);
    } finally {
      interfaces.mockRestore();
    }
  });

  it('attack: a server that never answers holds neither the run beyond its time nor the proxy', async () => {
    const script = `await Promise.all([say(get('http://localhost:${webPort}/never')), say(tunnel('localhost:${echoPort}'))])`;
    const slow = await saying(script, listed(), { limits: { wallSeconds: 3, memoryMb: 512 } });
    expect(slow).toMatchObject({ ended: 'wall-limit', exitCode: null });
    expect(slow.connections.map(({ port }) => port).sort()).toEqual([webPort, echoPort].sort());
    await expect.poll(() => talks.size).toBe(0);
    const cut = await saying(script, listed({ limits: { idleMs: 500 } }));
    expect([cut.exitCode, cut.observed.seen]).toEqual([0, []]);
  });

  it('attack: what has gone out is told of a run that was ended by its caller, too', async () => {
    const caller = new AbortController();
    const ended = saying(`await say(get('http://localhost:${webPort}/never'))`, listed(), { signal: caller.signal });
    const refused = ended.catch((error: unknown) => error);
    await expect.poll(() => asked.length).toBe(1);
    caller.abort();
    expect(await refused).toMatchObject({
      code: 'INTERRUPTED',
      message: expect.stringMatching(/let it reach localhost:\d+, .*: 1 connections, [1-9]\d* bytes out, 0 in$/),
    });
  });

  it('attack: a daemon that is left behind with a connection is told, and both are gone', async () => {
    const daemon = `net.connect(3128, '127.0.0.1').on('data', () => fs.writeFileSync('/tmp/up', '')).write('CONNECT localhost:${echoPort} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')`;
    const script = `mkfifo /tmp/up; (setsid node -e "${daemon.replaceAll('"', '\\"')}" > /dev/null 2>&1 &); exec cat /tmp/up`;
    const { exitCode, observed, connections } = await run(['sh', '-c', script], listed());
    expect([exitCode, observed.seen.map((each) => each.kind)]).toEqual([0, ['left-behind']]);
    expect(connections).toMatchObject([{ host: 'localhost', port: echoPort }]);
    await expect.poll(() => talks.size).toBe(0);
  });

  it('attack: with the proxy killed, its run and every connection are gone', async () => {
    const script = `net.connect(3128, '127.0.0.1').write('CONNECT localhost:${echoPort} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')`;
    const request = {
      ...{ sandbox: kind, command: ['node', '-e', script], mounts: [], cwd: '/tmp', env: {} },
      ...{ limits: { wallSeconds: 60, memoryMb: 1024 }, network: { destinations: listed().destinations } },
    };
    const compiled = join(import.meta.dirname, '../../dist/adapters/sandbox/sandbox.js');
    const zone = `import { runSandboxed } from '${compiled}';
      const lookup = async () => ['127.0.0.1'];
      const { network, ...request } = ${JSON.stringify(request)};
      await runSandboxed({ ...request, network: { ...network, lookup } });`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', zone], { stdio: 'ignore' });
    try {
      await expect.poll(() => talks.size).toBe(1);
      const inside = descendants(child.pid as number);
      expect(inside.length).toBeGreaterThan(1);
      child.kill('SIGKILL');
      await expect.poll(() => talks.size).toBe(0);
      await expect.poll(() => inside.map(nameIfAlive).filter((name) => name !== null)).toEqual([]);
    } finally {
      child.kill('SIGKILL');
    }
  });

  it('attack: a proxy that fails to judge, or can take nobody in any more, fails the run', async () => {
    const lookup = (): Promise<readonly string[]> => Promise.reject(new Error('no memory'));
    const failed = await saying(`await say(tunnel('localhost:${webPort}'))`, listed({ lookup }));
    expect([refusals(failed), failed.connections]).toEqual([expect.stringContaining('no memory'), []]);
    const attempts: string[] = [];
    const proxy = new RecordingProxy(listed(), (what) => attempts.push(what));
    const door = createServer().listen(0, '127.0.0.1');
    await once(door, 'listening');
    let isStopped = false;
    proxy.serve(door, () => (isStopped = true));
    door.close();
    await once(door, 'close');
    expect([isStopped, attempts]).toEqual([true, ['the proxy has broken down']]);
  });

  it('attack: what is said with the last breath, by many at once, is judged all the same', async () => {
    const last = `let n = 30; for (let at = 0; at < 30; at += 1) {
      const socket = net.connect(3128, '127.0.0.1', () => socket.write(tunnel('evil.example:443'), () => { if ((n -= 1) === 0) process.exit(0); }));
      socket.on('error', () => {});
    }`;
    expect((await saying(last)).observed.seen).toMatchObject([{ kind: 'network', count: 30 }]);
  });

  it('attack: those who still wait at the door when everything inside has ended are judged, too', async () => {
    const attempts: string[] = [];
    const proxy = new RecordingProxy(listed(), (what) => attempts.push(what));
    const door = createServer().listen(0, '127.0.0.1', 511);
    await once(door, 'listening');
    proxy.serve(door, () => {});
    const { port } = door.address() as AddressInfo;
    // Nobody is let in while this waits.
    execFileSync(process.execPath, [
      '-e',
      `let n = 200; for (let at = 0; at < 200; at += 1) {
        const socket = net.connect(${port}, '127.0.0.1', () =>
          socket.write('CONNECT evil.example:443 HTTP/1.1\\r\\n\\r\\n', () => (n -= 1) === 0 && process.exit()));
      }`,
    ]);
    await proxy.close();
    expect(attempts.filter((what) => !what.startsWith('more than'))).toContain('evil.example:443');
    expect(attempts).toHaveLength(200);
  });

  it('attack: the run has no way to whoever is outside but the proxy', async () => {
    const sockets = ['sh', '-c', 'ls -l /proc/self/fd | grep -c socket; env | grep -c NODE_CHANNEL'] as const;
    expect((await run(sockets, listed())).stdout).toBe((await run(sockets, null)).stdout);
    const bind = await saying(`net.createServer().on('error', (e) => console.log(e.code)).listen(3128, '127.0.0.1')`);
    expect(bind.stdout).toBe('EADDRINUSE\n');
  });

  it('without destinations there is no proxy and no network, as ever', async () => {
    const result = await run(['node', '-e', `${SAY} say(tunnel('localhost:${webPort}'))`], null);
    expect([result.connections, refusals(result)]).toEqual([[], '1 × no answer']);
  });
});
