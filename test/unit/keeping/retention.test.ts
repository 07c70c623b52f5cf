import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createRetention, noteOverdueRetention } from '../../../activities/retention.js';
import { keepLocked, walk, type Cursor } from '../../../adapters/lock-keeper.js';
import { createMemoryStore } from '../../../adapters/object-store/memory.js';
import { lockReport, newestExtension } from '../../../adapters/retention-runs.js';
import { after, inUse, KEPT_PREFIXES, NOTHING_YET, shortRetention, type LockTally } from '../../../domain/retention.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { isoTime } from '../../../domain/time.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import type { Release } from '../../support/world.js';
import { BUCKET, inDays, startKeeping, type Keeping } from './rig.js';

const DAY_MS = 86_400_000;

let rig: Keeping;
let release: Release;
beforeEach(async () => {
  rig = await startKeeping();
  release = await rig.keep(rig.world.release());
});
afterEach(async () => {
  vi.useRealTimers();
  await rig.stop();
});

const log = () => rig.store.bucket('test-audit');
const control = () =>
  createRetention({
    ...{ records: rig.records, audit: rig.audit, key: rig.world.keys.control, id: 'control', log: log() },
  });
const days = (count: number): void => void vi.setSystemTime(Date.now() + count * DAY_MS);
const untilOf = async (key: string): Promise<number> =>
  (await rig.objects()).find((each) => each.key === key)?.until ?? NaN;
const blobs = async (of = release) =>
  (await rig.vault.holdings({ release: of.release, sha256s: of.manifest.files.map(({ sha256 }) => sha256) })).map(
    ({ blob }) => storeKeys.blob(blob),
  );

describe('locks of what is in use', () => {
  test('are extended before they end, for thirty days on end, and never shortened', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const watched = [...(await blobs()), storeKeys.statement(release.testResult.digest), storeKeys.policy(1)];
    let before = await Promise.all(watched.map(untilOf));
    for (let day = 0; day < 30; day += 1) {
      days(1);
      const releases = await rig.run(() => rig.keeping.extendReleases());
      const records = await rig.run(() => control().extendRecords());
      expect([...releases.troubles, ...records.troubles]).toEqual([]);
      const now = await Promise.all(watched.map(untilOf));
      for (const [at, until] of now.entries()) {
        expect(until).toBeGreaterThanOrEqual(before[at] ?? 0);
        expect(until - Date.now()).toBeGreaterThan(6 * DAY_MS);
      }
      before = now;
    }
  });

  test('of the audit log, too, a batch that was replaced with what replaced it', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    await log().createOnce('batches/000/0', Buffer.from('damaged'), inDays(1.5));
    rig.store.overwrite('test-audit', 'batches/000/0', Buffer.from('whole'));
    await log().createOnce('checkpoints/1', Buffer.from('checkpoint'), inDays(7));
    const found = await rig.run(() => control().extendLog());
    expect(found).toMatchObject({ checked: 3, extended: 2, troubles: ['batches/000/0 had no lock'] });
    for (const { versionId } of await log().versions('batches/000/0')) {
      const until = (await log().head('batches/000/0', versionId))?.lock?.retainUntil ?? '';
      expect(Date.parse(until) - Date.now()).toBeGreaterThan(6.9 * DAY_MS);
    }
  });
});

describe('what is not in use any more', () => {
  const end = (outcome: object) => rig.put(storeKeys.record(release.name, 'outcome'), canonicalBytes(outcome));

  test('stays as long as the policy says after its end, and is then left alone', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    await end({ kind: 'rejected', stage: 'approve', code: 'POLICY_REFUSED', reason: 'no' });
    const ended = Date.now();
    days(1);
    await rig.run(() => rig.keeping.extendReleases());
    const [blob = ''] = await blobs();
    expect(Math.abs((await untilOf(blob)) - (ended + 7 * DAY_MS))).toBeLessThan(5000);
    days(8);
    expect(await rig.run(() => rig.keeping.extendReleases())).toEqual(NOTHING_YET);
  });

  test('the ciphertext of what was erased keeps the end that its certificate names', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const doomed = await blobs();
    const before = await Promise.all(doomed.map(untilOf));
    await (await rig.condemn(release)).straight();
    await end({ kind: 'retired', certificate: 'a'.repeat(64) });
    days(3);
    await rig.run(() => rig.keeping.extendReleases());
    await rig.run(() => control().extendRecords());
    expect(await Promise.all(doomed.map(untilOf))).toEqual(before);
  });

  test('attack: a record that a release has ended shortens nothing of what is routed to, or held', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const route = rig.world.routePlan(null, release);
    await rig.put(storeKeys.route(release.name.model, 1), canonicalBytes(route.envelope));
    await end({ kind: 'rejected', stage: 'approve', code: 'POLICY_REFUSED', reason: 'forged' });
    const other = await rig.keep(rig.world.release({ version: '9.9.9' }));
    await rig.place(other);
    await rig.put(storeKeys.record(other.name, 'outcome'), canonicalBytes({ kind: 'rolled back', reason: 'forged' }));
    days(6);
    await rig.run(() => rig.keeping.extendReleases());
    for (const blob of [...(await blobs()), ...(await blobs(other))])
      expect((await untilOf(blob)) - Date.now()).toBeGreaterThan(6 * DAY_MS);
  });
});

describe('an alarm', () => {
  const [kind, plain] = ['statements/', Buffer.from('x')];
  const flaws: [what: string, make: (key: string) => Promise<unknown>, trouble: RegExp][] = [
    ['has no lock', (key) => rig.records.bucket.createOnce(key, plain), /had no lock/],
    ['is about to lose it', (key) => rig.records.bucket.createOnce(key, plain, inDays(0.5)), /was about to end/],
    ['has lost it', (key) => rig.records.bucket.createOnce(key, plain, inDays(-1)), /had a lock that ended/],
    [
      'is covered',
      async (key) => {
        await rig.put(key, plain);
        rig.store.deleteMarker(BUCKET, key);
      },
      /something on top/,
    ],
  ];
  test.each(flaws)('is what %s, and it is locked all the same', async (_what, make, trouble) => {
    const key = `${kind}${'e'.repeat(64)}`;
    await make(key);
    const found = await rig.run(() => control().extendRecords());
    expect(found.troubles).toEqual([expect.stringMatching(trouble)]);
    expect((await untilOf(key)) - Date.now()).toBeGreaterThan(6 * DAY_MS);
    expect(await rig.run(() => control().extendRecords())).toMatchObject({
      troubled: /on top/.test(found.troubles[0] ?? '') ? 1 : 0,
    });
  });

  test('is what lies on top of the log: a delete marker anywhere, and another version but of a batch', async () => {
    for (const key of ['batches/000/000', 'batches/000/007', 'checkpoints/0000000000000009'])
      await log().createOnce(key, Buffer.from(key), inDays(7));
    rig.store.deleteMarker('test-audit', 'batches/000/007');
    rig.store.overwrite('test-audit', 'checkpoints/0000000000000009', Buffer.from('another'));
    rig.store.overwrite('test-audit', 'batches/000/000', Buffer.from('whole'));
    const { troubles } = await rig.run(() => control().extendLog());
    expect(troubles.filter((trouble) => /on top/.test(trouble))).toEqual([
      expect.stringMatching(/^batches\/000\/007 has something on top/),
      expect.stringMatching(/^checkpoints\/0000000000000009 has something on top/),
    ]);
    const said = { ...NOTHING_YET, troubled: troubles.length, troubles };
    await rig.run(() => control().recordRetention(said, isoTime(Date.now())));
    expect(rig.log.at(-1)).toMatchObject({ change: 'locks.alarm', reason: expect.stringMatching(/on top/) as string });
  });

  test('is ciphertext that is gone, and a lock that cannot be set; the rest is extended', async () => {
    const real = rig.records.bucket;
    const [gone = '', stuck = ''] = await blobs();
    const { versions, extendLock } = real;
    vi.spyOn(real, 'versions').mockImplementation(async (key) => (key === gone ? [] : versions.call(real, key)));
    vi.spyOn(real, 'extendLock').mockImplementation(async (key, ...rest) => {
      const { CustodyError } = await import('../../../domain/errors.js');
      if (key === stuck) throw new CustodyError('STORE_NOT_WORM', 'the store accepted a lock and did not set it');
      return extendLock.call(real, key, ...rest);
    });
    vi.useFakeTimers({ toFake: ['Date'] });
    days(3);
    const found = await rig.run(() => rig.keeping.extendReleases());
    expect(found.troubles).toHaveLength(2);
    expect(found.troubles).toContain(`${gone} is gone`);
    expect(found.troubles.join()).toContain(`${stuck}: its lock cannot be extended: STORE_NOT_WORM`);
    expect(found.extended).toBeGreaterThan(5);
  });

  test('is told to people by the run that control has signed, and by nobody else', async () => {
    const found: LockTally = { ...NOTHING_YET, troubled: 12, troubles: ['blobs/1 is gone'] };
    const startedAt = isoTime(Date.now() - 1000);
    const record = () => rig.run(() => control().recordRetention(found, startedAt));
    expect(await record()).toEqual(await record());
    expect(rig.log.map(({ change }) => change)).toEqual(['locks.alarm', 'locks.alarm']);
    expect(new Set(rig.log.map(({ id }) => id)).size).toBe(1);
    expect((await lockReport(rig.records)).troubles).toEqual(['blobs/1 is gone', 'and 11 more']);
    const forged = { environment: 'test', startedAt: isoTime(Date.now()), endedAt: startedAt, ...NOTHING_YET };
    const about = { name: 'retention', sha256: 'a'.repeat(64) };
    const by = rig.world.statement('retention', about, forged, 'oscar').envelope;
    await rig.put(storeKeys.retention(Date.parse(forged.startedAt)), canonicalBytes(by));
    expect((await lockReport(rig.records)).troubles).toHaveLength(2);
  });

  test('is a run that has not come, once a day, also while nobody asks; one that came ends it', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const note = () => noteOverdueRetention(rig.records, rig.audit, 'control');
    days(1.9);
    await note();
    expect(rig.log).toEqual([]);
    days(0.2);
    await note();
    await note();
    expect(new Set(rig.log.map(({ id }) => id)).size).toBe(1);
    expect(rig.log[0]).toMatchObject({
      change: 'locks.alarm',
      reason: expect.stringMatching(/not been extended/) as string,
    });
    expect((await lockReport(rig.records)).troubles).toEqual([expect.stringMatching(/not been extended since/)]);
    await rig.run(() => control().recordRetention(NOTHING_YET, isoTime(Date.now())));
    expect((await lockReport(rig.records)).troubles).toEqual([]);
    expect(rig.log.at(-1)).toMatchObject({ change: 'locks.extended', actor: { id: 'control' } });
    days(40);
    expect(await newestExtension(rig.records, Date.now())).toBeNull();
    expect((await lockReport(rig.records)).troubles).toHaveLength(1);
  });

  test('is a policy whose locks end before the next run comes', () => {
    const { policy } = rig.world;
    expect(shortRetention(policy)).toEqual([]);
    expect(shortRetention({ ...policy, retention: { ...policy.retention, auditDays: 1 } })).toHaveLength(1);
  });
});

describe('attack', () => {
  test('a clock that has jumped ahead moves no lock', async () => {
    const before = await rig.objects();
    const yesterday = { currentAttemptScheduledTimestampMs: Date.now() - 400 * DAY_MS };
    for (const pass of [rig.keeping.extendReleases, control().extendRecords, control().extendLog])
      await expect(rig.run(pass, yesterday)).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(await rig.objects()).toEqual(before);
  });

  test('a clock that has been set back shortens no lock', async () => {
    const before = new Map((await rig.objects()).map(({ key, until }) => [key, until]));
    vi.useFakeTimers({ toFake: ['Date'] });
    days(-5);
    await rig.run(() => rig.keeping.extendReleases());
    await rig.run(() => control().extendRecords());
    for (const { key, until } of await rig.objects()) expect(until, key).toBeGreaterThanOrEqual(before.get(key) ?? 0);
  });

  test('records that lead nowhere, or are no records, keep no other release from its own', async () => {
    for (const [version, ingested] of [
      ['0.0.1', { release: 'b'.repeat(64) }],
      ['0.0.2', { release: 7 }],
      ['0.0.3', null],
    ] as const) {
      const name = { model: 'digits', version };
      await rig.put(storeKeys.version(name), Buffer.from('x'));
      await rig.put(storeKeys.record(name, 'ingested'), canonicalBytes(ingested));
    }
    await rig.put('versions/../../x', Buffer.from('x'));
    vi.useFakeTimers({ toFake: ['Date'] });
    days(3);
    const found = await rig.run(() => rig.keeping.extendReleases());
    expect(found.extended).toBeGreaterThan(5);
    expect(found.troubles).toEqual([expect.stringMatching(/^digits 0\.0\.1: PENDING/)]);
  });
});

describe('ten thousand objects', () => {
  const COUNT = 10_000;
  const bucket = createMemoryStore().bucket('many');
  const need = { need: () => inUse(Date.now(), 7) };

  test('are gone through in small parts, and after a crash from the last part on', async () => {
    for (let at = 0; at < COUNT; at += 1)
      await bucket.createOnce(`statements/${String(at).padStart(5, '0')}`, Buffer.from('x'));
    let cursor: Cursor | null = null;
    let largest = 0;
    const pass = (from: Cursor, crashAfter: number): Promise<LockTally> => {
      let parts = 0;
      return walk(
        [{ prefix: 'a/' }, { prefix: 'statements/' }],
        { bucket, from, signal: new AbortController().signal },
        async (keys) => {
          largest = Math.max(largest, keys.length);
          if ((parts += 1) > crashAfter) throw new Error('killed');
          return keepLocked(bucket, keys, need);
        },
        (reached) => (cursor = JSON.parse(JSON.stringify(reached)) as Cursor),
      );
    };
    const start = { at: 0, after: null, tally: NOTHING_YET };
    await expect(pass(start, 70)).rejects.toThrow('killed');
    const kept = cursor as Cursor | null;
    expect(kept?.tally.checked).toBe(70 * 64);
    const found = await pass(kept ?? start, Infinity);
    expect(found).toMatchObject({ checked: COUNT, extended: COUNT, troubled: COUNT });
    // What travels in heartbeats and in the history stays small, however much is wrong.
    expect(largest).toBeLessThanOrEqual(64);
    expect(JSON.stringify(found).length).toBeLessThan(4000);
  });
});

test('every place of the custody bucket is gone through, or is ciphertext', () => {
  const digest = 'a'.repeat(64);
  const name = { model: 'digits', version: '1.0.0' };
  const places = [
    ...[storeKeys.manifest, storeKeys.facts, storeKeys.request, storeKeys.statement, storeKeys.grounds].map((of) =>
      of(digest),
    ),
    ...[
      storeKeys.version(name),
      storeKeys.record(name, 'x'),
      storeKeys.resigned(name, 1, digest),
      storeKeys.nonce('n'),
    ],
    ...[storeKeys.policy(1), storeKeys.route('m', 1), storeKeys.lifted('m', digest, 1), storeKeys.kill('m', digest)],
    ...[storeKeys.revocation(digest), storeKeys.status(1), storeKeys.override(digest, digest), storeKeys.retention(1)],
    ...[storeKeys.consumer('c', 1, digest), storeKeys.hold(digest, digest), storeKeys.lift(digest, digest, digest)],
  ];
  for (const key of places)
    expect(
      KEPT_PREFIXES.some((prefix) => key.startsWith(prefix)),
      key,
    ).toBe(true);
  expect(after('2026-01-01T00:00:00.000Z', 2).until).toBe(Date.parse('2026-01-03'));
});
