import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Decision } from '../../../activities/contract.js';
import type { Desk } from '../../../activities/control.js';
import { createNoticing } from '../../../activities/notice.js';
import { StatusDocuments } from '../../../activities/status-document.js';
import { StoredConsumers } from '../../../adapters/consumers.js';
import type { Letter, Sent } from '../../../adapters/notifier.js';
import type { ConsumerPredicate } from '../../../domain/consumers.js';
import type { SeenCaller } from '../../../domain/gateway.js';
import type { Retirement } from '../../../domain/lifecycle.js';
import { lifecycleId } from '../../../domain/names.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { isoTime } from '../../../domain/time.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { recordsOf } from '../serving/fixture.js';
import { createWorld, type KeyName, type Release, type World } from '../../support/world.js';
import { startDesk, type DeskRig } from './rig.js';

const HOUR = 3600;
const PERIOD = 24 * HOUR;

let world: World;
let rig: DeskRig;
let release: Release;
let letters: Letter[];
let callers: SeenCaller[];
/** How often the status document was made anew. */
let reissued: number;
/** Consumers that no way reaches. */
let unreachable: string[];
let agreed: { request: string; approvals: string[]; approvers: string[] };

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  const rule = { noticeSeconds: PERIOD, waiver: 'security-authority', remindSeconds: [2 * HOUR] } as const;
  world = createWorld({ policy: (policy) => ({ ...policy, retirement: rule }) });
  rig = await startDesk(world);
  release = world.release();
  [letters, callers, unreachable, reissued] = [[], [], [], 0];
  for (const [key, bytes] of recordsOf(release)) await rig.records.bucket.createOnce(key, bytes);
  const { request } = world.retirement(release);
  await rig.put(storeKeys.request(request.digest), canonicalBytes(request.envelope));
  const approvals = (['alice', 'bob'] as const).map((by) => world.approve(request, by));
  for (const { envelope } of approvals) await rig.records.keep(envelope);
  agreed = {
    request: request.digest,
    approvals: approvals.map(({ digest }) => digest),
    approvers: ['alice', 'bob'],
  };
});
afterEach(() => void vi.useRealTimers());

function act<T>(what: (noticing: ReturnType<typeof createNoticing>) => Promise<T>): Promise<T> {
  const seen = { model: 'digits', callers, overflow: { requests: 0, refused: 0 } };
  const gateway = { state: async () => ({ models: [] }), callers: async () => ({ models: [seen] }) };
  const send = async (letter: Letter): Promise<Sent> => {
    letters.push(letter);
    return unreachable.includes(letter.consumer)
      ? { how: 'failed', messageId: null, why: ['MAIL_UNAVAILABLE'] }
      : { how: 'mail', messageId: letter.messageId, why: [] };
  };
  const desk = {
    ...rig.desk,
    ...{ gateways: [gateway], consumers: new StoredConsumers(rig.records), key: world.keys.control },
    notifier: { send },
    reissueStatus: async () => void (reissued += 1),
  } as unknown as Desk;
  return new MockActivityEnvironment().run<[], T, () => Promise<T>>(() => what(createNoticing(desk)));
}
const give = (): Promise<Retirement> => act(({ giveNotice }) => giveNotice(release.name, release.release, agreed));
const follow = (retirement: Retirement) =>
  act(({ followNotice }) => followNotice(release.name, release.release, retirement));
const answer = (retirement: Retirement, ...decisions: Decision[]) =>
  act(({ answerNotice }) => answerNotice(release.name, release.release, retirement, decisions));

async function declare(overrides: Partial<ConsumerPredicate> = {}): Promise<void> {
  const { envelope, predicate, digest } = world.consumer(overrides);
  await rig.put(storeKeys.consumer(predicate.consumer, predicate.sequence, digest), canonicalBytes(envelope));
}
function said(kind: 'acknowledgement' | 'waiver', by: KeyName, consumer = 'checkout'): Decision {
  const about = { ...release.name, consumer, request: agreed.request, issuedAt: isoTime(Date.now()) };
  const predicate = { environment: 'test', ...about };
  const subject = { name: lifecycleId(release.name), sha256: release.release };
  const statement =
    kind === 'waiver'
      ? world.statement('waiver', subject, { ...predicate, reason: 'it is gone' }, by)
      : world.statement('acknowledgement', subject, predicate, by);
  return { message: kind === 'waiver' ? 'waive' : 'acknowledge', envelope: statement.envelope };
}
const pass = (seconds: number): void => void vi.setSystemTime(Date.now() + seconds * 1000);
const logged = (change: string) => rig.log.filter((record) => record.change === change);
const under = async (prefix: string): Promise<string[]> => {
  const keys: string[] = [];
  for await (const key of rig.records.bucket.list(prefix)) keys.push(key);
  return keys;
};

describe('a retirement', () => {
  test('is told to declared consumers by their contact, to those behind them, and to callers that were only seen', async () => {
    await declare({ contact: 'team-shop', endpoint: 'lingo' });
    await declare({ consumer: 'chat', contact: 'chat', models: ['lingo'] });
    await declare({ consumer: 'gone' });
    await declare({ consumer: 'gone', sequence: 2, models: [] });
    // Attack: records of releases that are none keep nobody from being told.
    const junk: [string, string][] = [
      ['lost', '{"release":"x"}'],
      ['torn', '{'],
      ['text', '"no record"'],
    ];
    for (const [model, body] of junk) {
      const fake = { model, version: '1.0.0' };
      await rig.put(storeKeys.version(fake), Buffer.from('"x"'));
      await rig.put(storeKeys.record(fake, 'ingested'), Buffer.from(body));
    }
    callers = [caller('unknown', 'cron'), caller('unknown', 'checkout'), caller('anonymous', '')];
    const { notice } = await give();
    expect(letters.map(({ consumer }) => consumer)).toEqual(['chat', 'team-shop', 'cron']);
    const { verified } = await rig.records.get('notice', notice);
    expect(verified.predicate.consumers.map(({ id, owner, criticality }) => [id, owner, criticality])).toEqual([
      ['chat', 'carla', 'critical'],
      ['checkout', 'carla', 'critical'],
      ['cron', null, null],
    ]);
    expect(logged('retirement.noticed')).toMatchObject([
      {
        ...{ subject: { ...release.name, release: release.release }, after: notice },
        reason: expect.stringMatching(/^3 consumers told/) as string,
      },
    ]);
  });

  test('is told once, however often it is asked for', async () => {
    await declare();
    const first = await give();
    expect(await give()).toEqual(first);
    expect(letters).toHaveLength(1);
  });

  test('is told to who appears meanwhile, too, of the end as it is', async () => {
    const retirement = await give();
    pass(HOUR);
    await declare({ criticality: 'low' });
    for (let again = 0; again < 2; again += 1)
      expect(await follow(retirement)).toMatchObject({ awaited: [], endsAt: retirement.retiresAt });
    expect(letters.map(({ consumer, data }) => [consumer, data.retiresAt])).toEqual([
      ['checkout', retirement.retiresAt],
    ]);
    const [later] = await under(storeKeys.laterNoticesOf(release.name));
    expect(logged('retirement.noticed')).toMatchObject([{}, { after: later?.split('/').at(-1) }]);
  });

  test('is announced to callers at once, and whatever moves its end, each once', async () => {
    await declare({ criticality: 'low' });
    unreachable = ['checkout'];
    const retirement = await give();
    for (let again = 0; again < 2; again += 1) await follow(retirement);
    const [first] = await under(storeKeys.notices);
    expect(first).toContain(`digits/${release.release}/`);
    expect([first?.endsWith(retirement.notice), reissued]).toEqual([true, 1]);
    pass(HOUR);
    unreachable = [];
    const { endsAt } = await follow(retirement);
    expect([(await under(storeKeys.notices)).length, reissued]).toEqual([2, 2]);
    const documents = new StatusDocuments({ ...rig, onError: (error) => expect.fail(String(error)) });
    const { retiring } = await documents.draw(Date.now(), await rig.records.policies());
    expect(retiring).toMatchObject([{ release: release.release, endsAt, reason: 'replaced' }]);
    expect(endsAt > retirement.retiresAt).toBe(true);
  });

  test('says what to use instead, to people and to machines', async () => {
    await declare();
    const action = { kind: 'retire', reason: 'replaced', noticeSeconds: PERIOD, instead: 'digits 2' } as const;
    const { request } = world.retirement(release, { request: { action } });
    await rig.put(storeKeys.request(request.digest), canonicalBytes(request.envelope));
    const approvals = (['alice', 'bob'] as const).map((by) => world.approve(request, by));
    for (const { envelope } of approvals) await rig.records.keep(envelope);
    agreed = { ...agreed, request: request.digest, approvals: approvals.map(({ digest }) => digest) };
    await give();
    expect(letters).toMatchObject([
      { data: { instead: 'digits 2' }, text: expect.stringContaining('Use instead: digits 2') as string },
    ]);
  });

  test('whom no way reached is written to again, must answer, and has the whole period from when it was', async () => {
    await declare({ criticality: 'low' });
    unreachable = ['checkout'];
    const retirement = await give();
    expect(await follow(retirement)).toMatchObject({ awaited: ['checkout'], lookAt: isoTime(Date.now() + 300_000) });
    // Two days without a mail server: the release does not end meanwhile.
    pass(2 * PERIOD);
    expect(await follow(retirement)).toMatchObject({ awaited: ['checkout'] });
    unreachable = [];
    pass(HOUR);
    const reached = await follow(retirement);
    expect(reached).toMatchObject({ awaited: [], endsAt: isoTime(Date.now() + PERIOD * 1000) });
    expect(new Set(letters.map(({ messageId }) => messageId)).size).toBe(1);
  });

  test('those who have not answered are reminded once at each time that the policy sets', async () => {
    await declare();
    await declare({ consumer: 'nightly', contact: 'nightly', criticality: 'low', owner: 'olga' });
    const retirement = await give();
    await answer(retirement, said('acknowledgement', 'carla'));
    expect(await follow(retirement)).toMatchObject({ lookAt: isoTime(Date.now() + (PERIOD - 2 * HOUR) * 1000) });
    letters = [];
    pass(PERIOD - 2 * HOUR);
    for (let again = 0; again < 2; again += 1) await follow(retirement);
    expect(letters.map(({ consumer, subject }) => [consumer, subject.slice(0, 10)])).toEqual([
      ['nightly', 'Reminder: '],
    ]);
    expect(logged('retirement.reminded')).toMatchObject([
      { actor: { id: 'control' }, reason: `1 consumers written to again: it retires at ${retirement.retiresAt}` },
    ]);
  });
});

describe('an answer', () => {
  test('by the owner, or a waiver by who may, is kept and in the log, and is waited for no more', async () => {
    await declare();
    await declare({ consumer: 'billing', contact: 'billing' });
    const retirement = await give();
    const decisions = [said('acknowledgement', 'carla'), said('waiver', 'sam', 'billing')];
    const { verdicts, awaited } = await answer(retirement, ...decisions);
    expect(verdicts).toMatchObject([
      { accepted: true, by: 'carla' },
      { accepted: true, by: 'sam' },
    ]);
    expect(awaited).toEqual([]);
    const [statements] = [verdicts.flatMap((verdict) => (verdict.accepted ? [verdict.statement] : []))];
    expect(logged('retirement.acknowledged')).toMatchObject([
      { actor: { id: 'carla', statement: statements[0] }, before: agreed.request, reason: 'for checkout' },
    ]);
    expect(logged('retirement.waived')).toMatchObject([
      { actor: { id: 'sam', statement: statements[1] }, after: statements[1], reason: 'for billing: it is gone' },
    ]);
    expect(await under(storeKeys.acknowledgementsOf(release.name))).toHaveLength(1);
    expect(await under(storeKeys.waiversOf(release.name))).toHaveLength(1);
  });

  test('attack: by anybody else, for somebody who was never told, or as what it is not, is refused and in the log', async () => {
    await declare();
    const retirement = await give();
    const wrong = [
      said('acknowledgement', 'oscar'),
      said('waiver', 'carla'),
      said('waiver', 'sam', 'nobody'),
      { ...said('waiver', 'sam'), message: 'acknowledge' },
      { message: 'waive', envelope: 'no envelope' },
    ];
    const { verdicts, awaited } = await answer(retirement, ...wrong);
    expect(verdicts.map((verdict) => (verdict.accepted ? 'counts' : verdict.code))).toEqual([
      ...['NOT_AUTHORISED', 'NOT_AUTHORISED', 'REPLAYED', 'MALFORMED', 'MALFORMED'],
    ]);
    expect(awaited).toEqual(['checkout']);
    expect(logged('message.refused').length).toBeGreaterThan(0);
    expect(await under(storeKeys.waiversOf(release.name))).toEqual([]);
  });

  test('attack: while the log takes no record it does not count, and is kept nowhere', async () => {
    await declare();
    const retirement = await give();
    rig.audit.isDown = true;
    await expect(answer(retirement, said('acknowledgement', 'carla'))).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
    });
    expect(await under(storeKeys.acknowledgementsOf(release.name))).toEqual([]);
    rig.audit.isDown = false;
    expect(await answer(retirement, said('acknowledgement', 'carla'))).toMatchObject({ awaited: [] });
  });

  test('attack: one that somebody has put into the store himself does not count', async () => {
    await declare();
    const retirement = await give();
    const { envelope } = said('acknowledgement', 'oscar');
    await rig.put(storeKeys.acknowledgement(release.name, 'f'.repeat(64)), canonicalBytes(envelope));
    await rig.put(storeKeys.waiver(release.name, 'f'.repeat(64)), Buffer.from('{'));
    expect(await follow(retirement)).toMatchObject({ awaited: ['checkout'] });
  });
});

function caller(kind: SeenCaller['kind'], id: string): SeenCaller {
  return { id, kind, requests: 1, refused: 0, perSecond: 0, firstSeen: world.at(0), lastSeen: world.at(0) };
}
