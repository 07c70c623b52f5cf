import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { exportLog } from '../../adapters/audit/exported.js';
import { tilesOf } from '../../adapters/audit/http.js';
import { PublishedLog } from '../../adapters/audit/published.js';
import { Authority } from '../support/certificates.js';
import { Receiver, type Answers } from '../support/receiver.js';
import { newStore, open, someRecords, vkey } from '../unit/audit/fixtures.js';

const SIZE = 12;
/** What the command does, of a log that was taken along. */
const FORWARD = `
import { folderTiles } from '${import.meta.dirname}/../../dist/adapters/audit/exported.js';
import { PublishedLog } from '${import.meta.dirname}/../../dist/adapters/audit/published.js';
import { webhookAt } from '${import.meta.dirname}/../../dist/adapters/webhook.js';
import { LongReading } from '${import.meta.dirname}/../../dist/client/audit.js';
import { Cursor } from '${import.meta.dirname}/../../dist/client/cursor.js';
import { forwardUpTo } from '${import.meta.dirname}/../../dist/client/forwarding.js';

const [, , folder, vkey, url, file] = process.argv;
const reading = await LongReading.begin(() => PublishedLog.open(folderTiles(folder), vkey));
const hook = { ...webhookAt(url, null), timeoutMs: 60_000 };
const cursor = await Cursor.open(file, reading.log, hook);
const patience = { attempts: 1, signal: new AbortController().signal, wait: async () => undefined, say: () => undefined };
await forwardUpTo(reading.log.checkpoint.size, reading, cursor, hook, patience);
`;

let folder: string;
const receivers: Receiver[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'custody-forward-'));
  writeFileSync(join(folder, 'forward.mjs'), FORWARD);
  const store = newStore();
  const log = await open(store);
  await log.append(someRecords(SIZE));
  await log.close();
  await exportLog(await PublishedLog.open(tilesOf(store), vkey), join(folder, 'log'), vkey);
});

afterEach(() => {
  for (const receiver of receivers.splice(0)) receiver.close();
  rmSync(cursor(), { force: true });
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const cursor = (): string => join(folder, 'cursor');

async function receiving(...args: Parameters<typeof Receiver.start>): Promise<Receiver> {
  const receiver = await Receiver.start(...args);
  receivers.push(receiver);
  return receiver;
}

interface Forwarding {
  kill(): void;
  readonly ended: Promise<{ readonly code: number | null; readonly said: string }>;
}

/** A process of its own that forwards the log. */
function forward(url: string, env: Readonly<Record<string, string>> = {}): Forwarding {
  const child = spawn(process.execPath, ['forward.mjs', join(folder, 'log'), vkey, url, cursor()], {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const closed = once(child, 'close') as Promise<[number | null]>;
  return { kill: () => child.kill('SIGKILL'), ended: closed.then(([code]) => ({ code, said })) };
}

test.each(['before it was answered', 'with the answer'])(
  'a forwarder that is killed at every third record, %s, leaves none out, and none but that one comes again',
  async (when) => {
    let current: Forwarding | null = null;
    let kills = 0;
    const killing: Answers = (response, n) => {
      const isAnswered = when === 'with the answer';
      if (n % 3 !== 2) return response.writeHead(200).end();
      kills += 1;
      if (!isAnswered) return current?.kill();
      return response.writeHead(200).end(() => current?.kill());
    };
    const receiver = await receiving(killing);
    for (let runs = 0; ; runs += 1) {
      expect(runs).toBeLessThan(2 * SIZE);
      current = forward(receiver.url);
      if ((await current.ended).code === 0) break;
    }
    const seen = receiver.events().map((event) => Number(event['sequence']));
    expect(kills).toBeGreaterThan(SIZE / 3 - 1);
    // What was not answered has to come again; what was answered, may.
    if (when === 'before it was answered') expect(seen.length).toBe(SIZE + kills);
    else expect(seen.length).toBeLessThanOrEqual(SIZE + kills);
    expect([...new Set(seen)]).toEqual(Array.from({ length: SIZE }, (_, index) => index));
    for (const [at, index] of seen.entries()) if (at > 0) expect([0, 1]).toContain(index - (seen[at - 1] ?? NaN));
    for (const { id, data } of receiver.events()) expect(data).toMatchObject({ id });
  },
);

test('over TLS it delivers to the host that its authority vouches for, and to no other', async () => {
  const authority = await Authority.create(join(folder, 'tls'));
  const other = await Authority.create(join(folder, 'other'));
  const trusts = { NODE_EXTRA_CA_CERTS: join(folder, 'tls', 'authority.pem') };
  const right = await receiving(undefined, await authority.host('right', ['127.0.0.1']));
  const delivered = await forward(right.url, trusts).ended;
  expect(delivered, delivered.said).toMatchObject({ code: 0 });
  expect(right.events()).toHaveLength(SIZE);
  for (const [tls, says] of [
    [await authority.host('elsewhere', ['127.0.0.2']), 'does not match'],
    [await authority.host('expired', ['127.0.0.1'], -60_000), 'expired'],
    [await other.host('stranger', ['127.0.0.1']), 'certificate signature failure'],
  ] as const) {
    rmSync(cursor(), { force: true });
    const receiver = await receiving(undefined, tls);
    const { code, said } = await forward(receiver.url, trusts).ended;
    expect(code, said).toBe(1);
    expect(said).toContain(says);
    expect(receiver.received).toHaveLength(0);
    expect(JSON.parse(readFileSync(cursor(), 'utf8'))).toMatchObject({ size: 0 });
  }
});
