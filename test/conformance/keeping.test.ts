import { afterAll, beforeAll, expect, it } from 'vitest';
import { keepLocked } from '../../adapters/lock-keeper.js';
import { openBucket } from '../../adapters/object-store/s3.js';
import type { Bucket } from '../../adapters/object-store/port.js';
import type { S3Config } from '../../adapters/object-store/s3-session.js';
import { inUse } from '../../domain/retention.js';
import { isoTime } from '../../domain/time.js';
import { startStore, type TestStore } from '../support/store.js';
import { bucketName, send } from './attackable.js';
import { inMinutes } from './object-store-suite.js';

const DAY_MS = 86_400_000;
const name = bucketName();
let store: TestStore;
let signing: S3Config;
let control: S3Config;
let bucket: Bucket;

beforeAll(async () => {
  store = await startStore();
  await store.admin.createBucket(name, { objectLock: true, versioning: true });
  signing = await store.account('signing');
  control = await store.account('control');
  await store.admin.grant(name, [
    { account: 'signing', access: 'hold' },
    { account: 'control', access: 'write' },
  ]);
  bucket = openBucket(signing, name);
});
afterAll(() => store.stop());

const need = { need: () => inUse(Date.now(), 7) };
const deletion = (key: string, versionId: string | null) =>
  ({ method: 'DELETE', bucket: name, key, query: { versionId: versionId ?? '' } }) as const;

it('a real store keeps a lock that was extended, whoever would remove it, and says until when', async () => {
  const { versionId } = await bucket.createOnce('statements/a', Buffer.from('a'), inMinutes(5));
  const { versionId: bare } = await bucket.createOnce('statements/b', Buffer.from('b'));
  const found = await keepLocked(bucket, ['statements/a', 'statements/b', 'statements/c'], need);
  expect(found).toMatchObject({ checked: 2, extended: 2, troubled: 3 });
  expect(found.troubles.map((trouble) => trouble.split(', at')[0])).toEqual([
    'statements/a had a lock that was about to end',
    'statements/b had no lock',
    'statements/c is gone',
  ]);
  for (const [key, id] of [
    ['statements/a', versionId],
    ['statements/b', bare],
  ] as const) {
    const lock = (await bucket.head(key, id))?.lock;
    expect(lock?.mode).toBe('COMPLIANCE');
    expect(Date.parse(lock?.retainUntil ?? '') - Date.now()).toBeGreaterThan(6.9 * DAY_MS);
    await expect(send(store.config, deletion(key, id))).rejects.toThrow();
    await expect(bucket.extendLock(key, id, inMinutes(1))).resolves.toBeUndefined();
    expect((await bucket.head(key, id))?.lock).toEqual(lock);
  }
  expect(await keepLocked(bucket, ['statements/a', 'statements/b'], need)).toMatchObject({ extended: 0, troubled: 0 });
});

it('attack: what is held is not removed by the administrator, and no account but the one for it takes the hold off', async () => {
  const { versionId } = await bucket.createOnce('blobs/x', Buffer.from('x'));
  await bucket.setLegalHold('blobs/x', versionId, true);
  await expect(send(store.config, deletion('blobs/x', versionId))).rejects.toThrow();
  const other = openBucket(control, name);
  await expect(other.setLegalHold('blobs/x', versionId, false)).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
  expect((await other.head('blobs/x', versionId))?.legalHold).toBe(true);
  await bucket.setLegalHold('blobs/x', versionId, false);
  await expect(send(store.config, deletion('blobs/x', versionId))).resolves.toBeDefined();
});

it('what is held stays for as long as its lock is extended: in this store a hold alone does not outlast a lock that has run out', async () => {
  const brief = { retainUntil: isoTime(Date.now() + 3_000) };
  const [kept = '', left = ''] = await Promise.all(
    ['blobs/kept', 'blobs/left'].map(async (key) => {
      const { versionId } = await bucket.createOnce(key, Buffer.from(key), brief);
      await bucket.setLegalHold(key, versionId, true);
      return versionId ?? '';
    }),
  );
  // As every day, of whatever is held.
  expect(await keepLocked(bucket, ['blobs/kept'], need)).toMatchObject({ extended: 1 });
  await expect(send(store.config, deletion('blobs/left', left))).rejects.toThrow();
  const removed = (): Promise<boolean> =>
    send(store.config, deletion('blobs/left', left)).then(
      () => true,
      () => false,
    );
  await expect.poll(removed).toBe(true);
  const bypass = { headers: { 'x-amz-bypass-governance-retention': 'true' } };
  await expect(send(store.config, deletion('blobs/kept', kept))).rejects.toThrow();
  await expect(send(store.config, { ...deletion('blobs/kept', kept), ...bypass })).rejects.toThrow();
  expect((await bucket.read('blobs/kept'))?.body.toString()).toBe('blobs/kept');
});
