import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AuditDesk } from '../../../adapters/audit/desk.js';
import { openAuditLog } from '../../../adapters/audit/log.js';
import type { Answer } from '../../../adapters/audit/questions.js';
import { readLog } from '../../../adapters/audit/reader.js';
import { createMemoryStore } from '../../../adapters/object-store/memory.js';
import { exchange } from '../../../adapters/exchange.js';
import { Records } from '../../../adapters/records.js';
import type { AuditRecord } from '../../../domain/audit.js';
import type { SignedEnvelope } from '../../../domain/statements.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { askAuditor } from '../../../client/requests.js';
import { freePort } from '../../../client/stack/layout.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { sha256 } from '../../../formats/sha256.js';
import { createWorld } from '../../support/world.js';
import { RETAIN_UNTIL, key, newStore, vkey, type Store } from './fixtures.js';

const world = createWorld();
let folder: string;
let store: Store;
let desk: AuditDesk;
let url: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'custody-desk-'));
  store = newStore();
  const records = new Records(createMemoryStore().bucket('test-custody'), world.root);
  await records.bucket.createOnce(storeKeys.policy(1), canonicalBytes(world.policyEnvelope));
  const lock = async () => ({ retainUntil: RETAIN_UNTIL });
  const audit = await openAuditLog({ ...store, key, vkey, lock });
  desk = new AuditDesk({
    ...{ records, audit, buckets: store, key, vkey, file: join(folder, 'states') },
    log: pino({ level: 'silent' }),
  });
  const port = await freePort();
  await desk.listen(port);
  url = `http://127.0.0.1:${port}`;
});

afterEach(async () => {
  await desk.close();
  rmSync(folder, { recursive: true, force: true });
});

const question = (who: 'ada' | 'oscar' = 'ada', environment = 'test'): SignedEnvelope =>
  askAuditor({ key: world.keys[who], id: who, environment, policy: world.policyDigest }, { question: 'log' });

const ask = async (envelope: SignedEnvelope): Promise<Answer> =>
  (await exchange({ url }, 'POST', '/questions', envelope, 'STORE_UNAVAILABLE')) as Answer;

async function attempts(): Promise<AuditRecord[]> {
  const all: AuditRecord[] = [];
  for await (const { record } of readLog({ ...store, vkey }).records()) all.push(record);
  return all;
}

describe('what somebody reports to the audit desk', () => {
  const incident = (who: 'serving' | 'oscar', environment = 'test') =>
    world.statement(
      'incident',
      { name: 'lifecycle/digits/1.0.0', sha256: sha256('a release') },
      {
        ...{ environment, model: 'digits', version: '1.0.0', kind: 'load.refused' as const },
        ...{ nonce: 'abcdefghijklmnopqrst', reason: 'one bit is another', issuedAt: world.at(0) },
      },
      who,
    ).envelope;
  const report = (envelope: unknown): Promise<unknown> =>
    exchange({ url }, 'POST', '/incidents', envelope, 'STORE_UNAVAILABLE');

  test('is in the log once, by who signed it', async () => {
    for (let again = 0; again < 2; again += 1) await report(incident('serving'));
    expect(await attempts()).toMatchObject([{ change: 'load.refused', actor: { id: 'serving' } }]);
  });

  test.each([
    ['by a person', () => incident('oscar'), 'NOT_AUTHORISED'],
    ['from another environment', () => incident('serving', 'prod'), 'REPLAYED'],
    ['that is a question', () => question(), 'MALFORMED'],
    ['that is none', () => ({}), 'MALFORMED'],
  ] as const)('attack: %s is refused, and that is in the log, once however often it comes', async (_, given, code) => {
    const envelope = given();
    for (let again = 0; again < 2; again += 1) await expect(report(envelope)).rejects.toMatchObject({ code });
    expect(await attempts()).toMatchObject([
      { change: 'message.refused', actor: { id: 'unverified' }, after: sha256(JSON.stringify(envelope)) },
    ]);
  });
});

describe('a question to the audit desk', () => {
  test('is in the log before its answer, which covers it', async () => {
    expect(await ask(question())).toMatchObject({ question: 'log', size: 1, vkey });
    expect(await attempts()).toMatchObject([{ change: 'log.read', actor: { id: 'ada' }, reason: 'read: log' }]);
  });

  test('attack: that is asked again with the same bytes is not answered, and that is in the log', async () => {
    const asked = question();
    await ask(asked);
    for (let again = 1; again <= 2; again += 1) {
      await expect(ask(asked)).rejects.toMatchObject({ code: 'REPLAYED' });
      const last = (await attempts()).at(-1);
      expect(last).toMatchObject({ change: 'log.read', actor: { id: 'ada' }, after: sha256(JSON.stringify(asked)) });
      expect(last?.reason).toContain('refused: REPLAYED');
    }
    expect(await ask(question())).toMatchObject({ question: 'log' });
  });

  test('attack: that the log does not take is not answered', async () => {
    store.store.setAvailable(false);
    await expect(ask(question())).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    store.store.setAvailable(true);
    expect(await attempts()).toEqual([]);
    expect(await ask(question())).toMatchObject({ question: 'log', size: 1 });
  });

  test('attack: that is asked twice at once is answered once', async () => {
    const asked = question();
    const answers = await Promise.allSettled([ask(asked), ask(asked), ask(asked)]);
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  test.each([
    ['of somebody who is no auditor', () => question('oscar'), 'NOT_AUTHORISED'],
    ['of another environment', () => question('ada', 'prod'), 'REPLAYED'],
  ] as const)('attack: %s is refused, and that is in the log', async (_, asked, code) => {
    await expect(ask(asked())).rejects.toMatchObject({ code });
    expect((await attempts()).map(({ reason }) => reason)).toEqual([expect.stringContaining(`refused: ${code}`)]);
  });
});
