import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { tilesOf } from '../../../adapters/audit/http.js';
import { logKeys } from '../../../adapters/audit/keys.js';
import { openAuditLog, type AuditLog } from '../../../adapters/audit/log.js';
import { PublishedLog, type TileSource } from '../../../adapters/audit/published.js';
import { webhookAt, type Webhook } from '../../../adapters/webhook.js';
import { LongReading } from '../../../client/audit.js';
import { Cursor } from '../../../client/cursor.js';
import { forwardUpTo, type Patience } from '../../../client/forwarding.js';
import { CustodyError } from '../../../domain/errors.js';
import { generateKey, importPrivateKey } from '../../../formats/keys.js';
import { Authority } from '../../support/certificates.js';
import { Receiver, type Answers } from '../../support/receiver.js';
import { aRecord, key, newStore, open, ORIGIN, RETAIN_UNTIL, someRecords, vkey, type Store } from './fixtures.js';

const SIZE = 7;
const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

let store: Store;
let log: AuditLog;
let folder: string;
let file: string;
const receivers: Receiver[] = [];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'custody-forward-'));
  file = join(folder, 'cursor');
  store = newStore();
  log = await open(store);
  await log.append(someRecords(SIZE));
});

afterEach(async () => {
  for (const receiver of receivers.splice(0)) receiver.close();
  await log.close();
  rmSync(folder, { recursive: true, force: true });
});

async function receiving(answers?: Answers): Promise<Receiver> {
  const receiver = await Receiver.start(answers);
  receivers.push(receiver);
  return receiver;
}

const published = (of: Store = store): Promise<PublishedLog> => PublishedLog.open(tilesOf(of), vkey);

interface Run extends Partial<Patience> {
  readonly secret?: string;
  readonly timeoutMs?: number;
  readonly ask?: () => Promise<PublishedLog>;
}

/** One run of the command against this log, with what it waited for and said. */
async function forward(url: string, run: Run = {}): Promise<{ waits: number[]; said: string[]; next: number }> {
  const { secret = null, timeoutMs = 5_000, ask = published, ...rest } = run;
  const hook: Webhook = { ...webhookAt(url, secret), timeoutMs };
  const waits: number[] = [];
  const said: string[] = [];
  const patience: Patience = {
    attempts: 3,
    signal: new AbortController().signal,
    wait: async (ms) => waits.push(ms),
    say: (line) => said.push(line),
    ...rest,
  };
  const reading = await LongReading.begin(ask);
  const cursor = await Cursor.open(file, reading.log, hook);
  await forwardUpTo(reading.log.checkpoint.size, reading, cursor, hook, patience);
  return { waits, said, next: cursor.size };
}

const ids = (receiver: Receiver): string[] => receiver.events().map(({ id }) => id);
const recordIds = (from: number, to: number): string[] => someRecords(to - from, from).map(({ id }) => id);
const sizeKept = (): number => (JSON.parse(readFileSync(file, 'utf8')) as { size: number }).size;
const failing = (code: string, details: object = {}) =>
  expect.objectContaining({ code, details: expect.objectContaining(details) });

describe('a log that is forwarded', () => {
  test('comes record by record in its order, each as an event of its own, and goes on where it was', async () => {
    const receiver = await receiving();
    expect(await forward(receiver.url)).toEqual({ waits: [], said: [], next: SIZE });
    expect(receiver.events().map(({ data }) => data)).toEqual(someRecords(SIZE));
    expect(receiver.events().map((event) => Number(event['sequence']))).toEqual([0, 1, 2, 3, 4, 5, 6]);
    for (const { method, path, headers } of receiver.received) {
      expect([method, path]).toEqual(['POST', '/events']);
      expect(headers['content-type']).toBe('application/cloudevents+json; charset=utf-8');
      expect(headers).not.toHaveProperty('webhook-signature');
    }
    await log.append(someRecords(255, SIZE));
    await forward(receiver.url);
    expect(ids(receiver)).toEqual(recordIds(0, SIZE + 255));
    expect(await forward(receiver.url)).toMatchObject({ next: SIZE + 255 });
    expect(receiver.received).toHaveLength(SIZE + 255);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  test('is signed so that the library of Standard Webhooks takes it, and takes no changed byte', async () => {
    await log.append([aRecord('odd', { reason: 'a\r\nb “ü” \u2028 😀' })]);
    const receiver = await receiving();
    await forward(receiver.url, { secret: `${SECRET}\n` });
    const theirs = new StandardWebhook(SECRET);
    for (const { headers, body } of receiver.received) {
      const given = headers as Record<string, string>;
      expect(theirs.verify(body, given)).toEqual(JSON.parse(body));
      expect(() => theirs.verify(body.replace('"1.0"', '"1.1"'), given)).toThrow('No matching signature');
      expect(() => theirs.verify(body, { ...given, 'webhook-id': `${given['webhook-id'] ?? ''}0` })).toThrow();
      expect(() => new StandardWebhook(`whsec_${'A'.repeat(44)}`).verify(body, given)).toThrow();
    }
    expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size).toBe(SIZE + 1);
  });

  test('ends between two records when it is interrupted', async () => {
    const controller = new AbortController();
    const receiver = await receiving((response, n) => {
      if (n === 2) controller.abort(new CustodyError('INTERRUPTED', 'by Ctrl-C'));
      response.writeHead(200).end();
    });
    await expect(forward(receiver.url, { signal: controller.signal })).rejects.toThrow(failing('INTERRUPTED'));
    expect(sizeKept()).toBe(3);
    expect(receiver.received).toHaveLength(3);
  });
});

describe('a receiver that cannot take a record now', () => {
  test.each([500, 502, 503, 429])('and answers %i is asked again, which is said once', async (status) => {
    const receiver = await receiving((response, n) => response.writeHead(n === 2 || n === 3 ? status : 202).end());
    const { waits, said } = await forward(receiver.url);
    expect(waits).toEqual([1_000, 2_000]);
    expect(said).toEqual([
      expect.stringMatching(new RegExp(`^record 2 is not delivered: .* answers ${status}; trying`)),
    ]);
    expect(ids(receiver)).toEqual([...recordIds(0, 2), 'record-2', 'record-2', ...recordIds(2, SIZE)]);
    const again = receiver.received.slice(2, 5).map(({ body }) => body);
    expect(new Set(again).size).toBe(1);
  });

  test('is given up after so many attempts, and waited for no longer than a minute at a time', async () => {
    const receiver = await receiving((response) => response.writeHead(500).end());
    const waits: number[] = [];
    const run = { attempts: 9, wait: async (ms: number) => waits.push(ms) };
    await expect(forward(receiver.url, run)).rejects.toThrow(failing('WEBHOOK_UNAVAILABLE', { index: 0, status: 500 }));
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60].map((seconds) => seconds * 1000));
    expect(receiver.received).toHaveLength(9);
    expect(sizeKept()).toBe(0);
  });

  test.each([
    ['7', 7_000],
    ['0', 1_000],
    ['999999999', 600_000],
    ['Fri, 31 Dec 9999 23:59:59 GMT', 600_000],
    ['Thu, 01 Jan 1970 00:00:00 GMT', 1_000],
    ['soon', 1_000],
    ['-5', 1_000],
    ['1e9', 1_000],
  ])('and says Retry-After: %s is left alone for %i ms', async (value, ms) => {
    const answers: Answers = (response, n) =>
      response.writeHead(n === 0 ? 429 : 200, n === 0 ? { 'retry-after': value } : {}).end();
    expect((await forward((await receiving(answers)).url)).waits).toEqual([ms]);
  });

  test('because nobody listens there is asked again, and said', async () => {
    const closed = await receiving();
    closed.close();
    const said: string[] = [];
    await expect(forward(closed.url, { say: (line) => said.push(line) })).rejects.toThrow(
      failing('WEBHOOK_UNAVAILABLE', { index: 0 }),
    );
    expect(said).toEqual([expect.stringContaining('ECONNREFUSED')]);
  });

  test.each<[string, Answers]>([
    ['never answers', () => undefined],
    ['breaks off', (response) => response.destroy()],
    ['answers in a form that is no HTTP', (response) => response.socket?.end('what?\r\n\r\n')],
    ['gives only half of an answer', (response) => response.socket?.write('HTTP/1.1 200 OK\r\nx: ')],
    ['says for ever that it goes on', (response) => keepSaying(response.socket, 'HTTP/1.1 102 Processing\r\n\r\n')],
    [
      'has headers without end',
      (response) => keepSaying(response.socket, `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(99_999)}`),
    ],
  ])('and %s has not got it', async (_, answers) => {
    const receiver = await receiving((response, n, received) =>
      n === 0 ? answers(response, n, received) : response.writeHead(200).end(),
    );
    const { waits } = await forward(receiver.url, { timeoutMs: 500 });
    expect(waits).toEqual([1_000]);
    expect(ids(receiver)).toEqual(['record-0', ...recordIds(0, SIZE)]);
  });
});

/** Writes again whenever what was written is gone, until the other end has enough. */
function keepSaying(socket: Writable | null, text: string, said: () => void = () => undefined): void {
  const write = (): unknown => socket?.write(text, (error) => (error ? null : (said(), write())));
  socket?.on('error', () => undefined);
  write();
}

describe('a receiver that has answered 2xx has got the record', () => {
  test.each<[string, Answers]>([
    ['nonsense follows', (response) => response.writeHead(200).end('<html>"\u0000error')],
    ['it says that it is JSON', (response) => response.writeHead(200, { 'content-type': 'application/json' }).end('{')],
    ['more follows than anybody reads', (response) => response.writeHead(200).end(Buffer.alloc(1_000_000))],
    ['what follows never ends', (response) => keepSaying(response.writeHead(200), 'x'.repeat(1000))],
    ['what follows never comes', (response) => response.writeHead(200, { 'content-length': 10 }).flushHeaders()],
    ['it breaks off then', (response) => response.writeHead(200).write('x', () => response.destroy())],
  ])('whatever comes then: %s', async (_, answers) => {
    const receiver = await receiving((response, n, received) =>
      n === 1 ? answers(response, n, received) : response.writeHead(200).end(),
    );
    expect(await forward(receiver.url, { timeoutMs: 1_000 })).toEqual({ waits: [], said: [], next: SIZE });
    expect(ids(receiver)).toEqual(recordIds(0, SIZE));
  });

  test('of what follows only the beginning is read', async () => {
    let written = 0;
    const receiver = await receiving((response, n) => {
      response.writeHead(200);
      if (n > 0) response.end();
      else keepSaying(response, 'x'.repeat(1024), () => (written += 1024));
    });
    await forward(receiver.url, { timeoutMs: 60_000 });
    // The rest is what the two sockets hold.
    expect(written).toBeLessThan(16 * 1024 * 1024);
    expect(ids(receiver)).toEqual(recordIds(0, SIZE));
  });
});

describe('a receiver that does not want a record', () => {
  test.each([400, 401, 403, 404, 408, 410, 413, 422])('and answers %i ends it, with the index', async (status) => {
    const receiver = await receiving((response, n) => response.writeHead(n === 4 ? status : 200).end());
    await expect(forward(receiver.url)).rejects.toThrow(failing('WEBHOOK_REFUSED', { index: 4, status }));
    expect(receiver.received).toHaveLength(5);
    expect(sizeKept()).toBe(4);
    await forward(receiver.url);
    expect(ids(receiver).slice(4)).toEqual(['record-4', ...recordIds(4, SIZE)]);
  });

  test.each([301, 302, 303, 307, 308])(
    'and sends it on with %i is not followed, to itself or anywhere',
    async (status) => {
      const elsewhere = await receiving();
      for (const location of ['/events', elsewhere.url]) {
        const receiver = await receiving((response) => response.writeHead(status, { location }).end());
        rmSync(file, { force: true });
        await expect(forward(receiver.url)).rejects.toThrow(failing('WEBHOOK_REFUSED', { index: 0, status }));
        expect(receiver.received).toHaveLength(1);
      }
      expect(elsewhere.received).toHaveLength(0);
    },
  );
});

describe('where it may go', () => {
  test.each([
    'http://siem.example/events',
    'http://127.0.0.1.siem.example/',
    'http://localhost.siem.example/',
    'http://[::2]/',
    'https://user:password@siem.example/',
    'ftp://127.0.0.1/',
    'file:///etc/passwd',
    'siem.example',
    '',
  ])('not to %s', (url) => {
    expect(() => webhookAt(url, null)).toThrow(failing('USAGE'));
  });

  test('a URL is said to nobody beyond its origin', async () => {
    const receiver = await receiving((response) => response.writeHead(404).end());
    const run = forward(`${receiver.url}?token=hidden`);
    await expect(run).rejects.toThrow(failing('WEBHOOK_REFUSED'));
    await expect(run).rejects.not.toThrow(/hidden|events/);
    expect(readFileSync(file, 'utf8')).not.toMatch(/hidden|events/);
  });

  test('not to somebody whose certificate nobody vouches for', async () => {
    const tls = await (await Authority.create(join(folder, 'tls'))).host('receiver', ['127.0.0.1']);
    const receiver = await Receiver.start(undefined, tls);
    receivers.push(receiver);
    await expect(forward(receiver.url)).rejects.toThrow(failing('WEBHOOK_UNAVAILABLE', { index: 0 }));
    expect(receiver.received).toHaveLength(0);
  });

  test.each([
    ['', 'nothing'],
    ['whsec_', 'nothing in it'],
    [Buffer.alloc(32).toString('base64'), 'no prefix'],
    [`whsec_${Buffer.alloc(23).toString('base64')}`, 'too little'],
    [`whsec_${Buffer.alloc(65).toString('base64')}`, 'too much'],
    ['whsec_not*base64', 'what is not base64'],
    [`${SECRET}\n${SECRET}`, 'two of them'],
  ])('not signed by a secret that is none: %#', (secret) => {
    let thrown: unknown;
    try {
      webhookAt('https://siem.example/', secret);
    } catch (error) {
      thrown = error;
    }
    expect(['CONFIG_INVALID', 'MALFORMED']).toContain((thrown as CustodyError).code);
    if (secret.length > 6) expect((thrown as CustodyError).message).not.toContain(secret.slice(6));
  });
});

describe('the cursor', () => {
  test('of a record that was taken, but not yet noted, has it come again', async () => {
    let kept = Buffer.alloc(0);
    const receiver = await receiving((response, n) => {
      if (n === 3) {
        kept = readFileSync(file);
        rmSync(file);
        // Nothing can be put where a folder is.
        mkdirSync(file);
      }
      response.writeHead(200).end();
    });
    await expect(forward(receiver.url)).rejects.toThrow();
    expect(receiver.received).toHaveLength(4);
    rmSync(file, { recursive: true });
    writeFileSync(file, kept);
    await forward(receiver.url);
    expect(ids(receiver)).toEqual([...recordIds(0, 4), ...recordIds(3, SIZE)]);
  });

  test('that cannot be kept is found out before anything is posted', async () => {
    const receiver = await receiving();
    file = join(folder, 'nowhere', 'cursor');
    await expect(forward(receiver.url)).rejects.toThrow(expect.objectContaining({ code: 'ENOENT' }));
    expect(receiver.received).toHaveLength(0);
  });

  test('of another webhook is refused', async () => {
    const [one, other] = [await receiving(), await receiving()];
    await forward(one.url);
    for (const url of [other.url, `${one.url}?tenant=2`, `${one.url}/`])
      await expect(forward(url), url).rejects.toThrow(failing('USAGE'));
    expect(other.received).toHaveLength(0);
    await forward(`${one.url}#part`);
  });

  test('of another log is refused, also of one with the same origin and key', async () => {
    const receiver = await receiving();
    await forward(receiver.url);
    const other = newStore();
    await (await open(other)).append(someRecords(50, 1));
    await expect(forward(receiver.url, { ask: () => published(other) })).rejects.toThrow(failing('LOG_INVALID'));
    change((cursor) => ({ ...cursor, log: 'custody.example/other' }));
    await expect(forward(receiver.url)).rejects.toThrow(failing('USAGE'));
    expect(receiver.received).toHaveLength(SIZE);
  });

  test('and the source of every event stay good when the key of the log changes', async () => {
    const receiver = await receiving();
    await forward(receiver.url);
    await log.close();
    const next = importPrivateKey(generateKey('ed25519').privatePem);
    const lock = async () => ({ retainUntil: RETAIN_UNTIL });
    const keys = await logKeys({ ...store, key: next, previous: key, origin: ORIGIN, by: 'control', lock });
    log = await openAuditLog({ ...store, key: next, vkey: keys, lock });
    await log.append(someRecords(3, SIZE));
    await forward(receiver.url, { ask: () => PublishedLog.open(tilesOf(store), keys) });
    const events = receiver.events();
    expect(events.map((event) => Number(event['sequence']))).toEqual(events.map((_, index) => index));
    expect(events.map(({ type }) => type)).toContain('custody.audit.log.rotated');
    expect(events).toHaveLength(SIZE + 4);
    expect(new Set(events.map(({ source }) => source)).size).toBe(1);
  });

  test('of a log that was longer is refused', async () => {
    const receiver = await receiving();
    const shorter = newStore();
    await (await open(shorter)).append(someRecords(SIZE - 1));
    await forward(receiver.url);
    await expect(forward(receiver.url, { ask: () => published(shorter) })).rejects.toThrow(failing('LOG_INVALID'));
  });

  test.each([0, 1, 3, 5, 6, SIZE + 1])('that somebody has moved from 4 to %i is refused', async (size) => {
    const receiver = await receiving((response, n) => response.writeHead(n === 4 ? 400 : 200).end());
    await expect(forward(receiver.url)).rejects.toThrow(failing('WEBHOOK_REFUSED'));
    await log.append(someRecords(9, SIZE));
    change((cursor) => ({ ...cursor, size }));
    await expect(forward(receiver.url)).rejects.toThrow(failing('LOG_INVALID'));
    expect(receiver.received).toHaveLength(5);
  });

  test.each<[string, (text: string) => string]>([
    ['is empty', () => ''],
    ['is cut short', (text) => text.slice(0, -10)],
    ['says more than it should', (text) => text.replace('{', '{"and":1,')],
    ['says something twice', (text) => text.replace('{', '{"size":0,')],
    ['has half a record', (text) => text.replace(/"size":\d+/, '"size":1.5')],
    ['has less than none', (text) => text.replace(/"size":\d+/, '"size":-1')],
    ['has no number', (text) => text.replace(/"size":\d+/, '"size":"4"')],
    ['is something else', () => '[]'],
  ])('that %s is refused, and not taken for the beginning', async (_, how) => {
    const receiver = await receiving();
    await forward(receiver.url);
    writeFileSync(file, how(readFileSync(file, 'utf8')));
    await expect(forward(receiver.url)).rejects.toThrow(failing('CONFIG_INVALID'));
    expect(receiver.received).toHaveLength(SIZE);
  });

  function change(how: (cursor: object) => object): void {
    writeFileSync(file, JSON.stringify(how(JSON.parse(readFileSync(file, 'utf8')) as object)));
  }
});

describe('a desk whose leave has ended meanwhile', () => {
  /** Leave for so many reads. */
  const leaveFor =
    (reads: number): TileSource =>
    async (path) => {
      reads -= 1;
      if (reads < 0) throw new CustodyError('NOT_AUTHORISED', "the desk's leave to read the log has ended");
      return tilesOf(store)(path);
    };

  test('is asked again, and nothing is left out', async () => {
    const receiver = await receiving();
    let asked = 0;
    const ask = async (): Promise<PublishedLog> => {
      asked += 1;
      return PublishedLog.open(leaveFor(asked === 1 ? 2 : 99), vkey);
    };
    await forward(receiver.url, { ask });
    expect(asked).toBe(2);
    expect(ids(receiver)).toEqual(recordIds(0, SIZE));
  });

  test('and does not give another is believed', async () => {
    const receiver = await receiving();
    await expect(forward(receiver.url, { ask: () => PublishedLog.open(leaveFor(1), vkey) })).rejects.toThrow(
      failing('NOT_AUTHORISED'),
    );
    expect(receiver.received).toHaveLength(0);
  });

  test('and shows another log then ends it', async () => {
    const receiver = await receiving();
    const other = newStore();
    await (await open(other)).append(someRecords(50, 1));
    let asked = 0;
    const ask = (): Promise<PublishedLog> => (++asked === 1 ? PublishedLog.open(leaveFor(2), vkey) : published(other));
    await expect(forward(receiver.url, { ask })).rejects.toThrow(failing('LOG_INVALID'));
  });

  test('a record that the log cannot prove is not sent', async () => {
    const receiver = await receiving();
    const forging: TileSource = async (path) => {
      const bytes = await tilesOf(store)(path);
      return path.startsWith('tile/entries') ? Buffer.from(String(bytes).replace('record-3', 'record-x')) : bytes;
    };
    const run = forward(receiver.url, { ask: () => PublishedLog.open(forging, vkey) });
    await expect(run).rejects.toThrow(failing('LOG_INVALID', { index: 3 }));
    expect(ids(receiver)).toEqual(recordIds(0, 3));
  });
});
