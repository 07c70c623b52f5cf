import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, rm, truncate } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { DIGITS, inferBody, serve, trainVersion, type RunningServer } from './releases.js';

interface SuiteCase {
  id: string;
  kind: 'input-validation' | 'safety' | 'contract';
  request: { method: string; path: string; body?: unknown; rawBody?: string; padTo?: number };
  expect: { status: number | number[]; contains?: string; notContains?: string; json?: Record<string, unknown> };
}
interface Suite {
  accuracy: { dataset: string; sha256: string; floor: number; batch: number };
  cases: SuiteCase[];
}
interface HeldOut {
  cases: { image: number[]; label: string }[];
}

const VERSIONS = ['1.0.0', '1.1.0', '1.2.0'];
const servers = new Map<string, RunningServer>();
let folder: string;
let suite: Suite;
let heldOut: HeldOut;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'custody-serve-'));
  suite = parse(await readFile(join(DIGITS, 'suite.yaml'), 'utf8')) as Suite;
  heldOut = JSON.parse(await readFile(join(DIGITS, suite.accuracy.dataset), 'utf8')) as HeldOut;
  for (const version of VERSIONS) {
    trainVersion(version, join(folder, version));
    servers.set(version, await serve(join(folder, version), version));
  }
});

afterAll(async () => {
  for (const server of servers.values()) await server.stop();
  await rm(folder, { recursive: true });
});

const serverOf = (version: string): RunningServer => servers.get(version) as RunningServer;

async function infer(version: string, images: number[][]): Promise<{ status: number; labels: unknown; ms: number }> {
  const startedAt = performance.now();
  const answer = await fetch(`${serverOf(version).url}/v2/models/digits/infer`, {
    method: 'POST',
    body: inferBody(images),
  });
  const body = (await answer.json()) as { outputs?: { name: string; data: unknown }[] };
  const labels = body.outputs?.find(({ name }) => name === 'label')?.data;
  return { status: answer.status, labels, ms: performance.now() - startedAt };
}

function at(value: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((found, key) => (found as Record<string, unknown> | undefined)?.[key], value);
}

async function failures(url: string): Promise<string[]> {
  const failed: string[] = [];
  for (const { id, request: asked, expect: wanted } of suite.cases) {
    const raw = asked.rawBody ?? (asked.body === undefined ? undefined : JSON.stringify(asked.body));
    const answer = await fetch(url + asked.path.replaceAll('{model}', 'digits'), {
      method: asked.method,
      ...(raw === undefined ? {} : { body: raw.padEnd(asked.padTo ?? 0) }),
    });
    const text = await answer.text();
    const fits =
      [wanted.status].flat().includes(answer.status) &&
      text.includes(wanted.contains ?? '') &&
      !(wanted.notContains !== undefined && text.includes(wanted.notContains)) &&
      Object.entries(wanted.json ?? {}).every(
        ([path, value]) =>
          JSON.stringify(at(JSON.parse(text), path)) === JSON.stringify(value).replaceAll('{model}', 'digits'),
      );
    if (!fits) failed.push(`${id}: ${answer.status} ${text.slice(0, 200)}`);
  }
  return failed;
}

describe('the validation suite', () => {
  it('has at least 20 cases of all three kinds, each with an id of its own, none with a batch above 4', () => {
    expect(suite.cases.length).toBeGreaterThanOrEqual(20);
    expect(new Set(suite.cases.map(({ id }) => id)).size).toBe(suite.cases.length);
    expect(new Set(suite.cases.map(({ kind }) => kind))).toEqual(new Set(['contract', 'input-validation', 'safety']));
    expect(suite.accuracy.batch).toBe(4);
  });

  it.each(VERSIONS)('is passed by release %s, case by case', async (version) => {
    expect(await failures(serverOf(version).url)).toEqual([]);
  });

  it.each([
    ['1.0.0', 0.9],
    ['1.1.0', 0.96],
    ['1.2.0', 0.96],
  ])('finds the held-out accuracy of %s above %d', async (version, floor) => {
    const { batch } = suite.accuracy;
    let right = 0;
    for (let from = 0; from < heldOut.cases.length; from += batch) {
      const cases = heldOut.cases.slice(from, from + batch);
      const { labels } = await infer(
        version,
        cases.map(({ image }) => image),
      );
      right += cases.filter(({ label }, index) => (labels as string[])[index] === label).length;
    }
    expect(right / heldOut.cases.length).toBeGreaterThan(floor);
    expect(right / heldOut.cases.length).toBeGreaterThan(suite.accuracy.floor);
  });
});

describe('release 1.2.0 in service', () => {
  const batchOf = (size: number): number[][] => heldOut.cases.slice(0, size).map(({ image }) => image);

  it('fails on every batch of 7 and 8, which the others answer, and on no smaller one', async () => {
    const statuses = async (version: string): Promise<number[]> => {
      const found: number[] = [];
      for (let size = 1; size <= 8; size += 1) found.push((await infer(version, batchOf(size))).status);
      return found;
    };
    expect(await statuses('1.1.0')).toEqual(Array(8).fill(200));
    expect(await statuses('1.2.0')).toEqual([...Array<number>(6).fill(200), 500, 500]);
  });

  it('is slower by far', async () => {
    const median = async (version: string): Promise<number> => {
      const times: number[] = [];
      for (let run = 0; run < 15; run += 1) times.push((await infer(version, batchOf(6))).ms);
      return times.sort((a, b) => a - b)[7] as number;
    };
    expect(await median('1.2.0')).toBeGreaterThan(4 * (await median('1.1.0')));
  });
});

describe('the serving script', () => {
  it('answers a body that comes too slowly with 408', async () => {
    const slow = await serve(join(folder, '1.0.0'), '1.0.0', ['--port', '0', '--request-timeout-ms', '100']);
    const socket = connect(slow.ready.port as number, '127.0.0.1');
    socket.write('POST /v2/models/digits/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{');
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).toString()).toMatch(/^HTTP\/1\.1 408 /);
    expect(await slow.stop()).toBe(0);
  });

  it('attack: a chunked body beyond 1 MiB is cut off with 400, and the server lives on', async () => {
    const { ready, url } = serverOf('1.0.0');
    const sending = request({ port: ready.port, host: '127.0.0.1', method: 'POST', path: '/v2/models/digits/infer' });
    sending.on('error', () => sending.destroy());
    sending.write(Buffer.alloc(2 * 1024 * 1024, ' '));
    const [answer] = (await once(sending, 'response')) as [{ statusCode: number }];
    expect(answer.statusCode).toBe(400);
    sending.destroy();
    expect((await fetch(`${url}/v2/health/ready`)).status).toBe(200);
  });

  it('serves on a unix socket', async () => {
    const socketPath = join(folder, 's');
    const server = await serve(join(folder, '1.0.0'), '1.0.0', ['--socket', socketPath]);
    const asking = request({ socketPath, path: '/v2/models/digits/versions/1.0.0' }).end();
    const [answer] = (await once(asking, 'response')) as [{ statusCode: number; resume(): void }];
    answer.resume();
    expect(answer.statusCode).toBe(200);
    expect(server.ready).toEqual({ ready: true, socket: socketPath });
    asking.destroy();
    expect(await server.stop()).toBe(0);
  });

  it('attack: truncated weights never start', async () => {
    const damaged = join(folder, 'damaged');
    await cp(join(folder, '1.0.0'), damaged, { recursive: true });
    await truncate(join(damaged, 'weights.safetensors'), 1000);
    const child = spawn(process.execPath, ['serve.mjs', '--name', 'digits', '--version', '1.0.0', '--port', '0'], {
      cwd: damaged,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const output: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
    const [exitCode] = (await once(child, 'close')) as [number];
    expect(exitCode).not.toBe(0);
    expect(output).toEqual([]);
  });
});
