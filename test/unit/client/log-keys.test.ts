import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { AUDIT_KEY, PREVIOUS_AUDIT_KEY, readKey } from '../../../client/init.js';
import { Layout } from '../../../client/stack/layout.js';
import { auditKeyOf, auditOrigin, learnLogKeys, replaceLogKey } from '../../../client/stack/log-keys.js';
import { generateKey } from '../../../formats/keys.js';
import { encodeVerifierKey, signNote } from '../../../formats/signed-note.js';

const ORIGIN = auditOrigin('dev');
let layout: Layout;
let desk: Server;
let url: string;
let note: string | null;

beforeEach(async () => {
  layout = new Layout(mkdtempSync(join(tmpdir(), 'custody-log-keys-')));
  mkdirSync(layout.path('keys'));
  writeFileSync(layout.key(AUDIT_KEY), generateKey('ed25519').privatePem);
  desk = createServer((_, response) => response.end(JSON.stringify({ note })));
  desk.listen(0, '127.0.0.1');
  await once(desk, 'listening');
  url = `http://127.0.0.1:${(desk.address() as AddressInfo).port}`;
});
afterEach(() => {
  desk.close();
  rmSync(layout.state, { recursive: true });
});

/** As control hands the log over when it starts. */
function handOver(size: number): string {
  const [now, before] = [AUDIT_KEY, PREVIOUS_AUDIT_KEY].map((id) => readKey(layout.key(id)));
  if (now === undefined || before === undefined) throw new Error('there are no two keys');
  const text = `${encodeVerifierKey(ORIGIN, now)}\n${encodeVerifierKey(ORIGIN, before)} until ${size}`;
  note = signNote(`${text}\n`, ORIGIN, [now, before]).toString();
  return text;
}

test('the key of before goes once it has handed the log over, and both are known', async () => {
  const before = auditKeyOf(layout, 'dev');
  replaceLogKey(layout);
  const keys = handOver(7);
  expect(await learnLogKeys(layout, url, before)).toBe(keys);
  expect(existsSync(layout.key(PREVIOUS_AUDIT_KEY))).toBe(false);
  expect(auditKeyOf(layout, 'dev')).toBe(keys);
});

test('attack: an earlier hand-over does not take away the key that still has to hand the log over', async () => {
  const first = auditKeyOf(layout, 'dev');
  replaceLogKey(layout);
  handOver(7);
  await learnLogKeys(layout, url, first);
  const second = auditKeyOf(layout, 'dev');
  const signs = readFileSync(layout.key(AUDIT_KEY), 'utf8');
  replaceLogKey(layout);
  await learnLogKeys(layout, url, second);
  expect(readFileSync(layout.key(PREVIOUS_AUDIT_KEY), 'utf8')).toBe(signs);
});

test('a log of one key teaches nothing', async () => {
  note = null;
  expect(await learnLogKeys(layout, url, auditKeyOf(layout, 'dev'))).toBeNull();
  expect(existsSync(layout.logKeys)).toBe(false);
});
