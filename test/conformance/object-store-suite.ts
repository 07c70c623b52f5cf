import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { BucketSettings } from '../../adapters/object-store/admin.js';
import type { Bucket, Lock } from '../../adapters/object-store/port.js';
import { isoTime } from '../../domain/time.js';
import { sha256 } from '../../formats/sha256.js';

/** What the suite does to a store beyond its port: what an administrator gone bad would do. */
export interface Attackable {
  bucket(settings: BucketSettings): Promise<Bucket>;
  deleteMarker(bucket: string, key: string): Promise<void>;
  /** An unconditional PUT; answers the version id. */
  overwrite(bucket: string, key: string, body: Buffer): Promise<string | null>;
  /** Rejects when the store refuses. */
  deleteVersion(bucket: string, key: string, versionId: string | null): Promise<void>;
}

const WORM: BucketSettings = { objectLock: true, versioning: true };
const PLAIN: BucketSettings = { objectLock: false, versioning: false };
const MIB = 1024 * 1024;

export const inMinutes = (minutes: number): Lock => ({ retainUntil: isoTime(Date.now() + minutes * 60_000) });

export async function* chunksOf(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let from = 0; from < bytes.length; from += size) {
    await setImmediate();
    yield bytes.subarray(from, from + size);
  }
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

async function digestOf(stream: AsyncIterable<unknown>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of stream) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** What every store behind the port must do, whatever it is made of. */
export function objectStoreSuite(name: string, store: () => Attackable): void {
  describe(name, () => {
    it('creates a key once, and answers the same bytes with what is there', async () => {
      const bucket = await store().bucket(WORM);
      const first = await bucket.createOnce('k', Buffer.from('one'), inMinutes(10));
      expect(first.created).toBe(true);
      expect(first.versionId).not.toBeNull();
      expect(await bucket.createOnce('k', Buffer.from('one'), inMinutes(10))).toEqual({ ...first, created: false });
      expect(await bucket.versions('k')).toHaveLength(1);
    });

    it('says when it took the record, by its own clock; nothing put on top of it dates that back', async () => {
      const bucket = await store().bucket(WORM);
      const before = Math.floor(Date.now() / 1000) * 1000;
      await bucket.createOnce('k', Buffer.from('one'), inMinutes(10));
      const taken = (await bucket.read('k'))?.storedAt ?? '';
      expect(Date.parse(taken)).toBeGreaterThanOrEqual(before);
      expect(Date.parse(taken)).toBeLessThanOrEqual(Date.now());
      await store().overwrite(bucket.name, 'k', Buffer.from('two'));
      await store().deleteMarker(bucket.name, 'k');
      const record = await bucket.read('k');
      expect(record?.body.toString()).toBe('one');
      // Some stores copy a record that another version covers: it may seem later then, and never earlier.
      expect(Date.parse(record?.storedAt ?? '')).toBeGreaterThanOrEqual(Date.parse(taken));
    });

    it('refuses other bytes under a key that exists, and names both', async () => {
      const bucket = await store().bucket(WORM);
      await bucket.createOnce('k', Buffer.from('one'), inMinutes(10));
      await expect(bucket.createOnce('k', Buffer.from('two'), inMinutes(10))).rejects.toMatchObject({
        code: 'STORE_CONFLICT',
        details: { key: 'k', expected: sha256('two'), found: sha256('one') },
      });
      expect((await bucket.read('k'))?.body.toString()).toBe('one');
    });

    it('lets exactly one of many racing creators win', async () => {
      const bucket = await store().bucket(WORM);
      const bodies = Array.from({ length: 12 }, (_, index) => Buffer.from(`writer ${index}`));
      const results = await Promise.allSettled(bodies.map((body) => bucket.createOnce('race', body, inMinutes(10))));
      const winners = results.flatMap((result, index) => (result.status === 'fulfilled' ? [index] : []));
      expect(winners).toHaveLength(1);
      for (const result of results)
        if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'STORE_CONFLICT' });
      expect((await bucket.read('race'))?.body).toEqual(bodies[winners[0] ?? -1]);
    });

    it('takes empty bodies and answers null for keys that are not there', async () => {
      const bucket = await store().bucket(WORM);
      await bucket.createOnce('empty', Buffer.alloc(0), inMinutes(10));
      expect((await bucket.read('empty'))?.body).toEqual(Buffer.alloc(0));
      expect(await bucket.read('absent')).toBeNull();
      expect(await bucket.head('absent', null)).toBeNull();
      expect(await bucket.versions('absent')).toEqual([]);
      await expect(bucket.readStream('absent', null)).rejects.toMatchObject({ code: 'INPUT_MISSING' });
    });

    it('still reads the record after a delete marker, and refuses to create it anew with other bytes', async () => {
      const bucket = await store().bucket(WORM);
      const { versionId } = await bucket.createOnce('k', Buffer.from('one'), inMinutes(10));
      await store().deleteMarker(bucket.name, 'k');
      expect(await bucket.read('k')).toMatchObject({ body: Buffer.from('one'), versionId });
      await expect(bucket.createOnce('k', Buffer.from('two'), inMinutes(10))).rejects.toMatchObject({
        code: 'STORE_CONFLICT',
      });
      expect(await bucket.createOnce('k', Buffer.from('one'), inMinutes(10))).toEqual({ created: false, versionId });
      expect((await bucket.versions('k')).filter((version) => version.isDeleteMarker)).toHaveLength(1);
    });

    it('takes the oldest version for the record when someone writes over it, and lists versions oldest first', async () => {
      const bucket = await store().bucket(WORM);
      const { versionId } = await bucket.createOnce('k', Buffer.from('one'), inMinutes(10));
      const second = await store().overwrite(bucket.name, 'k', Buffer.from('second'));
      const third = await store().overwrite(bucket.name, 'k', Buffer.from('the third'));
      expect(await bucket.read('k')).toMatchObject({ body: Buffer.from('one'), versionId });
      expect(await bucket.head('k', null)).toMatchObject({ versionId, size: 3 });
      expect(await digestOf(await bucket.readStream('k', null))).toBe(sha256('one'));
      expect(await digestOf(await bucket.readStream('k', third))).toBe(sha256('the third'));
      expect((await bucket.versions('k')).map((version) => version.versionId)).toEqual([versionId, second, third]);
      expect((await bucket.versions('k')).map((version) => version.size)).toEqual([3, 6, 9]);
    });

    it('keeps the versions of keys apart that begin alike', async () => {
      const bucket = await store().bucket(WORM);
      for (const key of ['routes/m/1', 'routes/m/10', 'routes/m/11']) await bucket.createOnce(key, Buffer.from(key));
      expect((await bucket.versions('routes/m/1')).map((version) => version.key)).toEqual(['routes/m/1']);
    });

    it('tells the versions of many keys at once, whatever lies between and beside them', async () => {
      const bucket = await store().bucket(WORM);
      const key = (at: number): string => `blobs/${sha256(String(at)).slice(0, 20)}`;
      for (let from = 0; from < 1200; from += 50)
        await Promise.all(
          Array.from({ length: 50 }, (_, at) => bucket.createOnce(key(from + at), Buffer.from(String(from + at)))),
        );
      const { versionId } = await bucket.createOnce(key(7), Buffer.from('7'));
      const second = await store().overwrite(bucket.name, key(7), Buffer.from('second'));
      await store().deleteMarker(bucket.name, key(8));
      const few = await bucket.versionsOf([key(7), key(8), key(7), key(5000), 'blobs', key(9).slice(0, -1)]);
      expect([...few.keys()].sort()).toEqual([key(7), key(8)].sort());
      expect(few.get(key(7))?.map((each) => each.versionId)).toEqual([versionId, second]);
      // In whichever order: a store that tells times to the second has both at once.
      expect(new Set(few.get(key(8))?.map((each) => each.isDeleteMarker))).toEqual(new Set([false, true]));
      const all = await bucket.versionsOf(Array.from({ length: 1200 }, (_, at) => key(at)));
      expect(all.size).toBe(1200);
      for (const name of [key(7), key(8), ...Array.from({ length: 60 }, (_, at) => key(20 * at))])
        expect(all.get(name)).toEqual(await bucket.versions(name));
      expect(await bucket.versionsOf([])).toEqual(new Map());
    });

    it('attack: whatever somebody has put just before a key keeps nobody from its versions', async () => {
      const bucket = await store().bucket(WORM);
      for (const key of ['blobs/b', 'blobs/ac']) await bucket.createOnce(key, Buffer.from(key));
      for (let from = 0; from < 1100; from += 50)
        await Promise.all(
          Array.from({ length: 50 }, (_, at) => bucket.createOnce(`blobs/ab${from + at}`, Buffer.from('junk'))),
        );
      const told = await bucket.versionsOf(['blobs/b', 'blobs/ac']);
      expect([...told.keys()].sort()).toEqual(['blobs/ac', 'blobs/b']);
    });

    it('locks what it creates, and shows the lock', async () => {
      const bucket = await store().bucket(WORM);
      const lock = inMinutes(10);
      const { versionId } = await bucket.createOnce('k', Buffer.from('one'), lock);
      const head = await bucket.head('k', versionId);
      expect(head).toMatchObject({ size: 3, legalHold: false, lock: { mode: 'COMPLIANCE' } });
      expect(Date.parse(head?.lock?.retainUntil ?? '')).toBeGreaterThanOrEqual(Date.parse(lock.retainUntil));
      expect(Date.parse(head?.lock?.retainUntil ?? '')).toBeLessThan(Date.parse(lock.retainUntil) + 1000);
    });

    it('adds the lock when it adopts an object that a crash left without one', async () => {
      const bucket = await store().bucket(WORM);
      const { versionId } = await bucket.createOnce('k', Buffer.from('one'));
      expect((await bucket.head('k', versionId))?.lock).toBeNull();
      await bucket.createOnce('k', Buffer.from('one'), inMinutes(10));
      expect((await bucket.head('k', versionId))?.lock?.mode).toBe('COMPLIANCE');
    });

    it('extends a lock and never shortens it', async () => {
      const bucket = await store().bucket(WORM);
      const { versionId } = await bucket.createOnce('k', Buffer.from('one'), inMinutes(10));
      await bucket.extendLock('k', versionId, inMinutes(30));
      const extended = (await bucket.head('k', versionId))?.lock?.retainUntil ?? '';
      expect(Date.parse(extended)).toBeGreaterThan(Date.now() + 29 * 60_000);
      await bucket.extendLock('k', null, inMinutes(5));
      expect((await bucket.head('k', versionId))?.lock?.retainUntil).toBe(extended);
    });

    it('may be extended by many at once, each to another time', async () => {
      const bucket = await store().bucket(WORM);
      const { versionId } = await bucket.createOnce('k', Buffer.from('one'), inMinutes(10));
      const ends = [60, 20, 50, 30, 70, 40, 25, 65, 35, 55, 45, 15];
      await Promise.all(ends.map((end) => bucket.extendLock('k', versionId, inMinutes(end))));
      const { lock } = (await bucket.head('k', versionId)) ?? {};
      expect(Date.parse(lock?.retainUntil ?? '')).toBeGreaterThan(Date.now() + 14 * 60_000);
    });

    it('sees and extends the lock and the hold of a record that someone wrote over, or marked as deleted', async () => {
      const bucket = await store().bucket(WORM);
      const { versionId } = await bucket.createOnce('k', Buffer.from('one'), inMinutes(10));
      await store().overwrite(bucket.name, 'k', Buffer.from('two'));
      await bucket.extendLock('k', null, inMinutes(20));
      await store().deleteMarker(bucket.name, 'k');
      await bucket.extendLock('k', versionId, inMinutes(30));
      await bucket.setLegalHold('k', null, true);
      const head = await bucket.head('k', null);
      expect(head).toMatchObject({ versionId, legalHold: true, lock: { mode: 'COMPLIANCE' } });
      expect(Date.parse(head?.lock?.retainUntil ?? '')).toBeGreaterThan(Date.now() + 29 * 60_000);
    });

    it('refuses to delete what is locked or held, by anybody', async () => {
      const bucket = await store().bucket(WORM);
      const locked = await bucket.createOnce('locked', Buffer.from('one'), inMinutes(10));
      await expect(store().deleteVersion(bucket.name, 'locked', locked.versionId)).rejects.toThrow();
      const held = await bucket.createOnce('held', Buffer.from('one'));
      await bucket.setLegalHold('held', held.versionId, true);
      expect((await bucket.head('held', null))?.legalHold).toBe(true);
      await expect(store().deleteVersion(bucket.name, 'held', held.versionId)).rejects.toThrow();
      await bucket.setLegalHold('held', held.versionId, false);
      await store().deleteVersion(bucket.name, 'held', held.versionId);
      expect(await bucket.read('held')).toBeNull();
      expect((await bucket.read('locked'))?.body.toString()).toBe('one');
    });

    it('refuses a lock in a bucket that has no Object Lock', async () => {
      const bucket = await store().bucket(PLAIN);
      await expect(bucket.createOnce('k', Buffer.from('one'), inMinutes(10))).rejects.toMatchObject({
        code: 'STORE_NOT_WORM',
      });
    });

    it('replaces an object only while it is the one that was read', async () => {
      const bucket = await store().bucket(PLAIN);
      const first = await bucket.compareAndSet('checkpoint', Buffer.from('1'), null);
      expect(first).not.toBeNull();
      expect(await bucket.compareAndSet('checkpoint', Buffer.from('x'), null)).toBeNull();
      const second = await bucket.compareAndSet('checkpoint', Buffer.from('2'), first?.etag ?? '');
      expect(second).not.toBeNull();
      expect(await bucket.compareAndSet('checkpoint', Buffer.from('3'), first?.etag ?? '')).toBeNull();
      expect(await bucket.compareAndSet('absent', Buffer.from('3'), first?.etag ?? '')).toBeNull();
      const stored = await bucket.read('checkpoint');
      expect(stored).toMatchObject({ body: Buffer.from('2'), versionId: null, etag: second?.etag });
      expect(await bucket.head('checkpoint', null)).toMatchObject({ versionId: null, size: 1, lock: null });
    });

    it('lets one of many racing replacements through in each round, and loses none', async () => {
      const bucket = await store().bucket(PLAIN);
      await bucket.compareAndSet('count', Buffer.from('0'), null);
      const increment = async (): Promise<void> => {
        for (;;) {
          const stored = await bucket.read('count');
          const next = Buffer.from(String(Number(stored?.body.toString()) + 1));
          if ((await bucket.compareAndSet('count', next, stored?.etag ?? '')) !== null) return;
        }
      };
      await Promise.all(Array.from({ length: 8 }, increment));
      expect((await bucket.read('count'))?.body.toString()).toBe('8');
    });

    it('lists keys in code-point order from a key on, marked ones included, as many as asked for', async () => {
      const bucket = await store().bucket(WORM);
      const sorted = ['l/a-b/y', 'l/a.b', 'l/a/x', 'l/a0', 'l/z', 'l/\uffee', 'l/\u{1f600}'];
      for (const key of [...sorted].reverse()) await bucket.createOnce(key, Buffer.from(key), inMinutes(10));
      await bucket.createOnce('m', Buffer.from('m'), inMinutes(10));
      await store().deleteMarker(bucket.name, 'l/a/x');
      await store().overwrite(bucket.name, 'l/a0', Buffer.from('again'));
      expect(await collect(bucket.list('l/'))).toEqual(sorted);
      expect(await collect(bucket.list('l/', { startAfter: 'l/a/x' }))).toEqual(sorted.slice(3));
      expect(await collect(bucket.list('l/', { startAfter: 'l/a/w' }))).toEqual(sorted.slice(2));
      expect(await collect(bucket.list('l/', { startAfter: 'l/a.b', limit: 2 }))).toEqual(sorted.slice(2, 4));
      expect(await collect(bucket.list('l/', { limit: 0 }))).toEqual([]);
      expect(await collect(bucket.list('none/'))).toEqual([]);
    });

    it('lists more keys than fit into one page', async () => {
      const bucket = await store().bucket(WORM);
      const keys = Array.from({ length: 1030 }, (_, index) => `p/${String(index).padStart(5, '0')}`);
      for (let from = 0; from < keys.length; from += 32)
        await Promise.all(keys.slice(from, from + 32).map((key) => bucket.createOnce(key, Buffer.from(key))));
      expect(await collect(bucket.list('p/'))).toEqual(keys);
      expect(await collect(bucket.list('p/', { startAfter: 'p/00003', limit: 1005 }))).toEqual(keys.slice(4, 1009));
    });

    it('uploads a stream of unknown length with its lock, and reads it back', async () => {
      const bucket = await store().bucket(WORM);
      const bytes = randomBytes(40 * MIB + 7);
      const progress: number[] = [];
      const blob = await bucket.upload('blobs/large', chunksOf(bytes, 1_000_003), {
        lock: inMinutes(10),
        onProgress: (done) => progress.push(done),
      });
      expect(blob).toMatchObject({ key: 'blobs/large', size: bytes.length, sha256: sha256(bytes) });
      expect(await bucket.head('blobs/large', blob.versionId)).toMatchObject({
        size: bytes.length,
        lock: { mode: 'COMPLIANCE' },
      });
      expect(await digestOf(await bucket.readStream('blobs/large', blob.versionId))).toBe(sha256(bytes));
      expect(progress.at(-1)).toBe(bytes.length);
      expect(progress).toEqual([...progress].sort((a, b) => a - b));
      await expect(store().deleteVersion(bucket.name, 'blobs/large', blob.versionId)).rejects.toThrow();
    });

    it.each([0, 1, 16 * MIB, 16 * MIB + 1])('uploads %i bytes', async (size) => {
      const bucket = await store().bucket(WORM);
      const bytes = randomBytes(size);
      const blob = await bucket.upload('b', chunksOf(bytes, 4 * MIB), { lock: inMinutes(10) });
      expect(blob).toMatchObject({ size, sha256: sha256(bytes) });
      expect(await digestOf(await bucket.readStream('b', blob.versionId))).toBe(sha256(bytes));
    });

    it('attack: an object that is larger than what is created once is not read into memory', async () => {
      const bucket = await store().bucket(WORM);
      await bucket.upload('huge', chunksOf(Buffer.alloc(9 * MIB), MIB), { lock: inMinutes(10) });
      await expect(bucket.read('huge')).rejects.toMatchObject({ code: 'MALFORMED' });
      expect(await bucket.head('huge', null)).toMatchObject({ size: 9 * MIB });
    });

    it('uploads into a bucket without versions', async () => {
      const bucket = await store().bucket(PLAIN);
      const blob = await bucket.upload('in/1', chunksOf(Buffer.from('some bytes'), 3), {});
      expect(blob).toEqual({ key: 'in/1', versionId: null, sha256: sha256('some bytes'), size: 10 });
    });

    it('never uploads over a key that exists', async () => {
      const bucket = await store().bucket(WORM);
      await bucket.createOnce('taken', Buffer.from('mine'), inMinutes(10));
      const upload = bucket.upload('taken', chunksOf(Buffer.from('yours'), 5), { lock: inMinutes(10) });
      await expect(upload).rejects.toMatchObject({ code: 'STORE_CONFLICT' });
      expect(await bucket.versions('taken')).toHaveLength(1);
    });

    it('leaves nothing readable of an upload whose source fails', async () => {
      const bucket = await store().bucket(WORM);
      async function* broken(): AsyncGenerator<Buffer> {
        yield* chunksOf(randomBytes(20 * MIB), 4 * MIB);
        throw new Error('the source broke');
      }
      await expect(bucket.upload('broken', broken(), { lock: inMinutes(10) })).rejects.toThrow('the source broke');
      expect(await bucket.versions('broken')).toEqual([]);
      expect(await collect(bucket.list(''))).toEqual([]);
    });

    it('leaves nothing readable of an upload that is called off, and rejects with the reason', async () => {
      const bucket = await store().bucket(WORM);
      const controller = new AbortController();
      const reason = new Error(`called off ${randomUUID()}`);
      async function* source(): AsyncGenerator<Buffer> {
        yield* chunksOf(randomBytes(20 * MIB), 4 * MIB);
        controller.abort(reason);
        yield randomBytes(MIB);
      }
      const upload = bucket.upload('off', source(), { lock: inMinutes(10), signal: controller.signal });
      await expect(upload).rejects.toBe(reason);
      expect(await bucket.versions('off')).toEqual([]);
    });
  });
}
