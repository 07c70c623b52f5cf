import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { assertFollows } from '../../../adapters/audit/published.js';
import { Questions, type Answer } from '../../../adapters/audit/questions.js';
import type { AuditLog } from '../../../adapters/audit/log.js';
import { createMemoryStore } from '../../../adapters/object-store/memory.js';
import { Records } from '../../../adapters/records.js';
import { askAuditor, type AuditQuestion } from '../../../client/requests.js';
import type { AuditRecord } from '../../../domain/audit.js';
import { StateIndex } from '../../../domain/state.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { openCheckpoint } from '../../../formats/checkpoint.js';
import { parseVerifierKeys } from '../../../formats/signed-note.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { decodeProof, verifyProof } from '../../../formats/tlog-proof.js';
import { createWorld, type World } from '../../support/world.js';
import { aRecord, key, newStore, open, reader, vkey, type Store } from './fixtures.js';
import { digest } from './histories.js';

const AT = '2026-03-01T11:00:00.000Z';
const RECOVER = { question: 'recover', model: 'digits', version: '1.0.0', release: digest('e'), seen: 0 } as const;
const STATE = { question: 'state', model: 'digits', at: AT, seen: 0 } as const;

let folder: string;
let world: World;
let store: Store;
let audit: AuditLog;
let questions: Questions;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'custody-questions-'));
  world = createWorld({ policy: (policy) => ({ ...policy, readers: [{ role: 'operator', models: ['digits'] }] }) });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

beforeEach(async () => {
  const records = new Records(createMemoryStore().bucket('test-custody'), world.root);
  await records.bucket.createOnce(storeKeys.policy(1), canonicalBytes(world.policyEnvelope), {
    retainUntil: '2099-01-01T00:00:00Z',
  });
  store = newStore();
  audit = await open(store);
  await audit.append([
    aRecord('route', { change: 'route.changed', after: digest('a') }),
    aRecord('noise', { change: 'message.refused' }),
    aRecord('killed', { change: 'endpoint.killed', after: digest('b') }),
    aRecord('another', {
      change: 'route.changed',
      after: digest('c'),
      subject: { model: 'lingo', version: null, release: null },
    }),
  ]);
  questions = new Questions({
    ...{ records, audit, buckets: store, key, vkey },
    file: join(folder, 'states'),
    log: { warn: (...said: unknown[]) => expect.fail(JSON.stringify(said)) },
  });
});

const by = (who: 'ada' | 'oscar' | 'alice', question: AuditQuestion) =>
  askAuditor({ key: world.keys[who], id: who, environment: 'test', policy: world.policyDigest }, question);

async function noted(): Promise<AuditRecord[]> {
  const found: AuditRecord[] = [];
  for await (const { record } of reader(store).records(4)) found.push(record);
  return found;
}

function proved(answer: Answer) {
  if (answer.question === 'log') throw new Error('leave to read, and no records');
  return answer.proofs.map((proof) => {
    const decoded = decodeProof(Buffer.from(proof));
    verifyProof(decoded, parseVerifierKeys(vkey));
    return { index: decoded.index, record: JSON.parse(decoded.entry.toString('utf8')) as AuditRecord };
  });
}

describe('whoever asks what a model was', () => {
  test.each(['ada', 'oscar'] as const)('is answered with the records that say so, proved: %s', async (who) => {
    const records = proved(await questions.answer(by(who, STATE)));
    expect(records.map(({ index }) => index)).toEqual([0, 2]);
    expect(StateIndex.of(records).at('digits', AT)).toMatchObject({
      route: { digest: digest('a') },
      killedBy: [{ digest: digest('b') }],
    });
    expect(await noted()).toMatchObject([
      {
        change: 'log.read',
        actor: { id: who },
        subject: { model: 'digits' },
        reason: `read: state of digits at ${AT}`,
      },
    ]);
  });

  test('attack: is told of no model that the policy does not name beside the role, nor of the log', async () => {
    for (const question of [{ ...STATE, model: 'lingo' }, { question: 'log' }, RECOVER] as const)
      await expect(questions.answer(by('oscar', question))).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
    await expect(questions.answer(by('alice', STATE))).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
    const attempts = await noted();
    expect(attempts).toHaveLength(4);
    for (const { reason } of attempts) expect(reason).toMatch(/^refused: NOT_AUTHORISED/);
    expect(attempts.map(({ actor }) => actor.id)).toEqual(['oscar', 'oscar', 'oscar', 'alice']);
  });

  test('attack: is not answered twice for one question', async () => {
    const question = by('ada', STATE);
    await questions.answer(question);
    await expect(questions.answer(question)).rejects.toMatchObject({ code: 'REPLAYED' });
    expect((await noted()).at(-1)?.reason).toMatch(/^refused: REPLAYED/);
  });

  test('hears how the log goes on from what was seen, and nothing where more was seen than there is', async () => {
    const seen = audit.checkpoint();
    const answer = await questions.answer(by('ada', { ...STATE, seen: seen.size }));
    if (answer.question === 'log') throw new Error('leave to read, and no records');
    const now = openCheckpoint(Buffer.from(answer.checkpoint), parseVerifierKeys(vkey));
    const path = answer.since.map((hash) => Buffer.from(hash, 'base64'));
    expect(now.size).toBe(seen.size + 1);
    expect(() => assertFollows(now, seen, path)).not.toThrow();
    expect(() => assertFollows(now, { ...seen, root: digest('0') }, path)).toThrow(/another one/);
    expect(await questions.answer(by('ada', { ...STATE, seen: 1_000 }))).toMatchObject({ since: [] });
  });
});

test('whoever wants a release back gets the proof that the wish is in the log', async () => {
  const [only, ...others] = proved(await questions.answer(by('ada', RECOVER)));
  expect(others).toEqual([]);
  expect(only?.record).toMatchObject({
    change: 'log.read',
    subject: { model: 'digits', version: '1.0.0', release: digest('e') },
    reason: 'read: recover of digits 1.0.0',
  });
});
