import { createServer } from 'node:http';
import { chmod, mkdtemp, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { askModelServer } from '../../adapters/model-server/ask.js';
import { startIsolated, type IsolatedServer } from '../../adapters/model-server/isolated.js';
import { removeTree } from '../../adapters/sandbox/outputs.js';
import { detectSandbox } from '../../adapters/sandbox/sandbox.js';

const sandbox = await detectSandbox();
const SOCKET = '/run/model/socket';

let folder: string;
let other: string;
let asked = 0;
const host = createServer((_, answer) => {
  asked += 1;
  answer.end('{"who":"somebody else"}');
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ci-'));
  await chmod(folder, 0o755);
  other = join(folder, 'other');
  host.listen(other);
  await once(host, 'listening');
});
afterAll(async () => {
  host.close();
  await removeTree(folder);
});

async function started(script: string): Promise<IsolatedServer> {
  const release = await mkdtemp(join(folder, 'r-'));
  await chmod(release, 0o755);
  const work = await mkdtemp(join(folder, 'w-'));
  await writeFile(join(release, 'serve.mjs'), `import fs from 'node:fs'; import http from 'node:http';\n${script}`);
  return startIsolated({
    ...{ release, work, model: 'm', version: '1.0.0', protocol: 'open-inference-v2' },
    command: ['node', 'serve.mjs'],
    limits: { wallSeconds: 20, memoryMb: 1024, outputMb: 16 },
    isolation: sandbox ?? 'none',
  });
}

const SERVES = `const server = http.createServer((_, answer) => answer.end('{"who":"the candidate"}'));`;
const ask = (socket: string) => askModelServer(socket, { method: 'GET', path: '/', body: null, timeoutMs: 5000 });

describe.runIf(sandbox !== null)('a candidate in isolation', () => {
  it('attack: that has somebody else of the host answer for it is not started', async () => {
    await expect(
      started(`fs.symlinkSync(${JSON.stringify(other)}, '${SOCKET}'); setInterval(() => {}, 1000);`),
    ).rejects.toMatchObject({
      code: 'MODEL_SERVER_FAILED',
      message: expect.stringMatching(/something else where its socket should be/) as string,
    });
    expect(asked).toBe(0);
  });

  it('attack: that has somebody else answer once it is ready is asked all the same', async () => {
    const swaps = `fs.unlinkSync('${SOCKET}'); fs.symlinkSync(${JSON.stringify(other)}, '${SOCKET}');`;
    const server = await started(
      `const server = http.createServer((request, answer) => {
         if (request.url === '/swap') { ${swaps} }
         answer.end('{"who":"the candidate"}');
       }).listen('${SOCKET}');`,
    );
    try {
      await askModelServer(server.socket, { method: 'GET', path: '/swap', body: null, timeoutMs: 5000 });
      expect((await ask(server.socket)).body).toBe('{"who":"the candidate"}');
      expect(asked).toBe(0);
    } finally {
      await server.stop();
    }
  });

  it('attack: that digs itself in ends, and is told as one that has', async () => {
    const digs = `process.chdir('/run/model'); const name = 'x'.repeat(100);
      for (let n = 0; n < 100; n += 1) { fs.mkdirSync(name); process.chdir(name); }`;
    const server = await started(
      `${SERVES} server.listen('${SOCKET}', () => { setTimeout(() => { ${digs} }, 500); });`,
    );
    expect((await server.ended).how).toMatch(/output-limit/);
    await server.stop();
  });
});
