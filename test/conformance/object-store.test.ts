import { createHash, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkOwnLock, proveWorm } from '../../adapters/object-store/proof.js';
import { S3Session } from '../../adapters/object-store/s3-session.js';
import { openBucket } from '../../adapters/object-store/s3.js';
import { startStore, type TestStore } from '../support/store.js';
import { attackMemory, attackS3, bucketName, send } from './attackable.js';
import { inMinutes, objectStoreSuite, type Attackable } from './object-store-suite.js';

const WORM = { objectLock: true, versioning: true };
const PLAIN = { objectLock: false, versioning: false };

const memory = attackMemory();
objectStoreSuite('a store in memory', () => memory);

describe('versitygw', () => {
  let store: TestStore;
  let attackable: Attackable;
  beforeAll(async () => {
    store = await startStore();
    attackable = attackS3(store);
  });
  afterAll(() => store.stop());

  objectStoreSuite('a real S3 store', () => attackable);

  describe('accounts', () => {
    const code = (code: string): object => ({ code });

    it('a writer creates, locks, reads and lists, and may delete nothing', async () => {
      const name = bucketName();
      await store.admin.createBucket(name, WORM);
      const writer = await store.account(`writer-${randomUUID()}`);
      await store.admin.grant(name, [{ account: writer.accessKey, access: 'write' }]);
      const bucket = openBucket(writer, name);
      const { versionId } = await bucket.createOnce('k', Buffer.from('one'));
      await bucket.createOnce('k', Buffer.from('one'), inMinutes(5));
      expect((await bucket.head('k', versionId))?.lock?.mode).toBe('COMPLIANCE');
      await bucket.upload(
        'blob',
        (async function* () {
          yield Buffer.from('x');
        })(),
        { lock: inMinutes(5) },
      );
      expect(await bucket.versions('k')).toHaveLength(1);

      const unlocked = await bucket.createOnce('unlocked', Buffer.from('two'));
      const deletion = { method: 'DELETE', bucket: name, key: 'unlocked' } as const;
      await expect(send(writer, deletion)).rejects.toMatchObject(code('NOT_AUTHORISED'));
      const version = { ...deletion, query: { versionId: unlocked.versionId ?? '' } };
      await expect(send(writer, version)).rejects.toMatchObject(code('NOT_AUTHORISED'));
      const batch = `<Delete><Object><Key>unlocked</Key></Object></Delete>`;
      const many = await new S3Session(writer).text({
        method: 'POST',
        bucket: name,
        query: { delete: '' },
        body: batch,
        headers: { 'content-md5': createHash('md5').update(batch).digest('base64') },
      });
      expect(many.text).toContain('AccessDenied');
      expect((await bucket.versions('unlocked')).map((found) => found.isDeleteMarker)).toEqual([false]);
      await expect(bucket.setLegalHold('k', versionId, true)).rejects.toMatchObject(code('NOT_AUTHORISED'));
    });

    it('a writer may not change the bucket, its policy or its accounts', async () => {
      const name = bucketName();
      await store.admin.createBucket(name, WORM);
      const writer = await store.account(`writer-${randomUUID()}`);
      await store.admin.grant(name, [{ account: writer.accessKey, access: 'write' }]);
      const policy = { method: 'PUT', bucket: name, query: { policy: '' }, body: '{}' } as const;
      await expect(send(writer, policy)).rejects.toMatchObject(code('NOT_AUTHORISED'));
      await expect(send(writer, { method: 'DELETE', bucket: name })).rejects.toMatchObject(code('NOT_AUTHORISED'));
      const account = '<Account><Access>eve</Access><Secret>secretsecret</Secret><Role>admin</Role></Account>';
      const creation = { method: 'PATCH', bucket: 'create-user', body: account } as const;
      await expect(send(writer, creation)).rejects.toMatchObject(code('NOT_AUTHORISED'));
    });

    it('a reader reads and writes nothing', async () => {
      const name = bucketName();
      await store.admin.createBucket(name, WORM);
      const { versionId } = await openBucket(store.config, name).createOnce('k', Buffer.from('one'), inMinutes(5));
      const reader = await store.account(`reader-${randomUUID()}`);
      await store.admin.grant(name, [{ account: reader.accessKey, access: 'read' }]);
      const bucket = openBucket(reader, name);
      expect((await bucket.read('k'))?.body.toString()).toBe('one');
      expect((await bucket.head('k', versionId))?.lock?.mode).toBe('COMPLIANCE');
      await expect(bucket.createOnce('new', Buffer.from('x'))).rejects.toMatchObject(code('NOT_AUTHORISED'));
      await expect(bucket.compareAndSet('k', Buffer.from('x'), null)).rejects.toMatchObject(code('NOT_AUTHORISED'));
      await expect(bucket.extendLock('k', versionId, inMinutes(50))).rejects.toMatchObject(code('NOT_AUTHORISED'));
      const upload = bucket.upload(
        'blob',
        (async function* () {
          yield Buffer.from('x');
        })(),
        {},
      );
      await expect(upload).rejects.toMatchObject(code('NOT_AUTHORISED'));
    });

    it('an account without a grant in a bucket reads nothing there, not even whether a key exists', async () => {
      const [name, other] = [bucketName(), bucketName()];
      await store.admin.createBucket(name, WORM);
      await store.admin.createBucket(other, WORM);
      await openBucket(store.config, name).createOnce('k', Buffer.from('one'), inMinutes(5));
      const stranger = await store.account(`stranger-${randomUUID()}`);
      await store.admin.grant(other, [{ account: stranger.accessKey, access: 'hold' }]);
      const bucket = openBucket(stranger, name);
      for (const attempt of [
        () => bucket.read('k'),
        () => bucket.head('k', 'some-version'),
        () => bucket.versions('k'),
        () => bucket.createOnce('x', Buffer.from('x')),
      ])
        await expect(attempt()).rejects.toMatchObject(code('NOT_AUTHORISED'));
    });

    it('a hold account sets and lifts legal holds', async () => {
      const name = bucketName();
      await store.admin.createBucket(name, WORM);
      const holder = await store.account(`holder-${randomUUID()}`);
      await store.admin.grant(name, [{ account: holder.accessKey, access: 'hold' }]);
      const bucket = openBucket(holder, name);
      const { versionId } = await bucket.createOnce('k', Buffer.from('one'), inMinutes(5));
      await bucket.setLegalHold('k', versionId, true);
      expect((await bucket.head('k', versionId))?.legalHold).toBe(true);
      await bucket.setLegalHold('k', versionId, false);
    });

    it('a wrong secret is refused, and a new secret replaces the old', async () => {
      const name = bucketName();
      await store.admin.createBucket(name, WORM);
      const writer = await store.account(`writer-${randomUUID()}`);
      await store.admin.grant(name, [{ account: writer.accessKey, access: 'write' }]);
      const wrong = openBucket({ ...writer, secretKey: 'wrong' }, name);
      await expect(wrong.read('k')).rejects.toMatchObject(code('NOT_AUTHORISED'));
      const renewed = await store.account(writer.accessKey);
      expect(await openBucket(renewed, name).read('k')).toBeNull();
      await expect(openBucket(writer, name).read('k')).rejects.toMatchObject(code('NOT_AUTHORISED'));
    });
  });

  describe('buckets', () => {
    it('are made once, and checked when they are there', async () => {
      const name = bucketName();
      expect(await store.admin.ensureBucket(name, WORM)).toBe(true);
      expect(await store.admin.ensureBucket(name, WORM)).toBe(false);
      await expect(store.admin.createBucket(name, WORM)).rejects.toMatchObject({ code: 'STORE_CONFLICT' });
      await expect(store.admin.ensureBucket(name, PLAIN)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
      expect(await store.admin.settings(name)).toEqual(WORM);
    });

    it('that lack Object Lock are not taken for WORM', async () => {
      const name = bucketName();
      await store.admin.ensureBucket(name, PLAIN);
      await expect(store.admin.ensureBucket(name, WORM)).rejects.toMatchObject({ code: 'STORE_NOT_WORM' });
      const versioned = bucketName();
      await store.admin.ensureBucket(versioned, { objectLock: false, versioning: true });
      await expect(store.admin.ensureBucket(versioned, WORM)).rejects.toMatchObject({ code: 'STORE_NOT_WORM' });
    });

    it('that do not exist are a mistake of configuration', async () => {
      await expect(openBucket(store.config, bucketName()).read('k')).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    });
  });

  describe('the proof of the store', () => {
    it('shows that everything that would undo a lock is refused to the administrator', async () => {
      const name = bucketName();
      await store.admin.createBucket(name, WORM);
      const checks = await proveWorm(store.config, name);
      expect(checks.map(({ check, refused }) => [check, refused])).toEqual([
        ['delete a locked version', true],
        ['delete a locked version with the bypass header', true],
        ['shorten a lock', true],
        ['shorten a lock with the bypass header', true],
        ['downgrade a lock to GOVERNANCE', true],
        ['downgrade a lock with the bypass header', true],
        ['suspend versioning', true],
        ['change a locked version in any of these ways', true],
      ]);
      for (const { answer } of checks.slice(0, 7)) expect(answer).toMatch(/^4\d\d /);
    });

    it.each([
      ['Object Lock', PLAIN],
      ['Object Lock but with versions', { objectLock: false, versioning: true }],
    ])('is refused for a bucket without %s', async (_, settings) => {
      const name = bucketName();
      await store.admin.createBucket(name, settings);
      await expect(proveWorm(store.config, name)).rejects.toMatchObject({ code: 'STORE_NOT_WORM' });
    });

    it('is refused with a credential that could not delete anyway', async () => {
      const name = bucketName();
      await store.admin.createBucket(name, WORM);
      const writer = await store.account(`writer-${randomUUID()}`);
      await store.admin.grant(name, [{ account: writer.accessKey, access: 'write' }]);
      await expect(proveWorm(writer, name)).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
    });

    it('a writer sees its own lock hold', async () => {
      const name = bucketName();
      await store.admin.createBucket(name, WORM);
      await checkOwnLock(store.config, name, 'lock-check', Buffer.from('check'));
      const plain = bucketName();
      await store.admin.createBucket(plain, PLAIN);
      const check = checkOwnLock(store.config, plain, 'lock-check', Buffer.from('check'));
      await expect(check).rejects.toMatchObject({ code: 'STORE_NOT_WORM' });
    });
  });
});
