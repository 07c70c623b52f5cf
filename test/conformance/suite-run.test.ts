import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Ending } from '../../adapters/model-server/isolated.js';
import { runSuite } from '../../adapters/model-server/suite-run.js';
import type { CaseResult, Suite, SuiteCase } from '../../domain/suite.js';

let folder: string;
let child: ChildProcess | undefined;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cr-'));
});
afterEach(() => void child?.kill('SIGKILL'));
afterAll(() => rm(folder, { recursive: true }));

/** A process that listens on a unix socket, as `script` says: `server` is a net server that has not begun to listen. */
async function served(script: string): Promise<{ socket: string; ended: Promise<Ending> }> {
  const socket = join(await mkdtemp(join(folder, 's-')), 'socket');
  const whole = `const net = require('node:net'), http = require('node:http');
    ${script}
    server.listen(${JSON.stringify(socket)}, () => process.stdout.write('listening'));`;
  const started = spawn(process.execPath, ['-e', whole], { stdio: ['ignore', 'pipe', 'inherit'] });
  child = started;
  const ended = once(started, 'exit').then(([code, signal]): Ending => ({ how: `${code ?? signal}`, isTimeUp: false }));
  await once(started.stdout, 'data');
  return { socket, ended };
}

const slow = (id = 'slow'): SuiteCase => ({
  ...{ id, kind: 'input-validation', weight: 1 },
  request: { kind: 'http', method: 'POST', path: '/x', rawBody: '{"a":"bbbb"}', stall: true },
  expect: [{ kind: 'status', any: ['closed', '4xx'] }],
});
const plain = (id: string): SuiteCase => ({
  ...{ id, kind: 'contract', weight: 1 },
  request: { kind: 'http', method: 'GET', path: '/x' },
  expect: [{ kind: 'status', any: [200] }],
});

async function tried(script: string, ...cases: readonly SuiteCase[]): Promise<readonly CaseResult[]> {
  const suite: Suite = { suite: 's', version: '1.0.0', protocol: 'openai-chat', cases };
  return (await runSuite(await served(script), { suite, data: null }, { model: 'm', prompts: [] })).cases;
}

const ANSWERS = 'const server = http.createServer((asked, answer) => { answer.end("{}"); });';
/** Answers a whole request, and cuts off who sends half a body. */
const CUTS = `const server = http.createServer((asked, answer) => {
  if (asked.method === 'GET') answer.end('{}'); else asked.once('data', () => asked.socket.destroy());
});`;

describe('a client that sends half of it, and then nothing more', () => {
  it('may be cut off by a server that serves on', async () => {
    expect(await tried(CUTS, slow(), plain('after'))).toMatchObject([{ verdict: 'passed' }, { verdict: 'passed' }]);
  });

  it.each([
    ['is killed', "process.kill(process.pid, 'SIGKILL')", /the model server ended: SIGKILL/],
    ['exits', 'process.exit(0)', /the model server ended: 0/],
    ['crashes', 'null.x()', /the model server ended: 1/],
    [
      'stops listening',
      'server.close(() => setInterval(() => {}, 1000)); caller.destroy()',
      /the model server listens no more/,
    ],
  ])('attack: is not told off by a server that %s', async (_, end, why) => {
    const script = `const server = net.createServer((caller) => caller.once('data', () => { ${end} }));`;
    const [result] = await tried(script, slow());
    expect(result?.verdict).not.toBe('passed');
    expect(result?.failure).toMatch(why);
  });

  it('attack: is not told off by a server that cuts off everybody from then on', async () => {
    const script = `const server = net.createServer((caller) => caller.once('data', () => caller.destroy()));`;
    expect(await tried(script, slow())).toMatchObject([
      { verdict: 'failed', failure: 'it cut the client off, and answers no other since' },
    ]);
  });

  it('waits beside the other cases, and is over before those that follow it', async () => {
    const script = `let stalled = false, during = 0;
      const server = http.createServer((asked, answer) => {
        if (asked.method === 'GET') { if (stalled) during += 1; return answer.end('{}'); }
        stalled = true;
        asked.once('data', () => {
          const timer = setInterval(() => { if (during < 2) return; clearInterval(timer); stalled = false; asked.socket.destroy(); }, 5);
        });
      });`;
    // Were they tried one after the other, nobody would ever be served while the slow client waits, and it would never be told off.
    const results = await tried(script, plain('a'), plain('b'), plain('c'), slow(), plain('after'));
    expect(results.map(({ id, verdict }) => [id, verdict])).toEqual([
      ...[
        ['a', 'passed'],
        ['b', 'passed'],
        ['c', 'passed'],
        ['slow', 'passed'],
        ['after', 'passed'],
      ],
    ]);
  });
});

describe('an answer without end', () => {
  it.each([
    [
      'ten gigabytes',
      "for (let sent = 0; sent < 10240 && !answer.destroyed; sent += 1) answer.write(Buffer.alloc(1 << 20)) || await new Promise((go) => answer.once('drain', go).once('close', go));",
    ],
    [
      'headers',
      "asked.socket.write('HTTP/1.1 200 OK\\r\\n'); for (let sent = 0; sent < 1e5; sent += 1) asked.socket.write('x: ' + 'y'.repeat(1000) + '\\r\\n');",
    ],
    ['nothing after its headers', "answer.writeHead(200, { 'content-length': 5 }); answer.flushHeaders();"],
    ['a byte now and then', "answer.writeHead(200); setInterval(() => answer.write(' '), 100);"],
    [
      'less than it says',
      "answer.writeHead(200, { 'content-length': 5 }); answer.write('{}'); setTimeout(() => asked.socket.destroy(), 50);",
    ],
  ])('attack: of %s has failed', async (_, script) => {
    const limited: SuiteCase = { ...plain('a'), expect: [...plain('a').expect, { kind: 'max-ms', most: 1500 }] };
    const [result] = await tried(`const server = http.createServer(async (asked, answer) => { ${script} });`, limited);
    expect(result).toMatchObject({ verdict: 'failed' });
  });
});

describe('an answer that its reader would see otherwise', () => {
  it.each([
    [
      'packed',
      /packed \(gzip\)/,
      "answer.setHeader('content-encoding', 'gzip'); answer.end(require('node:zlib').gzipSync('<script>'));",
    ],
    ['in UTF-16', /plain UTF-8/, 'answer.end(Buffer.from(\'{"a":"<script>"}\', \'utf16le\'));'],
    ['in no UTF-8', /plain UTF-8/, "answer.end(Buffer.from('\\xff<\\xff', 'latin1'));"],
    ['escaped in its JSON', /contains "<script"/, `answer.end('{"a":"\\\\u003cscript\\\\u003e"}');`],
    ['escaped twice', /contains "<script"/, `answer.end(JSON.stringify({ a: '{"b":"\\\\u003cscript"}' }));`],
  ])('attack: because it is %s has failed', async (_, why, script) => {
    const lacking: SuiteCase = { ...plain('a'), expect: [...plain('a').expect, { kind: 'lacks', text: '<script' }] };
    const [result] = await tried(`const server = http.createServer((asked, answer) => { ${script} });`, lacking);
    expect(result).toMatchObject({ verdict: 'failed', failure: expect.stringMatching(why) as string });
  });
});

it('attack: a case that nobody could pass is inconclusive, although the server would satisfy what can be checked', async () => {
  const impossible: SuiteCase = {
    ...plain('a'),
    expect: [
      { kind: 'contains', text: '{}' },
      { kind: 'lacks', text: '{}' },
    ],
  };
  expect(await tried(ANSWERS, impossible)).toMatchObject([{ verdict: 'inconclusive' }]);
});
