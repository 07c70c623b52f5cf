import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { KEY_BYTES, type KeyStore } from '../../vault/keys.js';

/** An id as blobs have. */
export const newBlob = (): string => randomBytes(16).toString('hex');

/** What the ledger relies on, wherever keys are. `open` opens the same store again, as the next process does. */
export function keyStoreSuite(name: string, open: () => Promise<KeyStore>): void {
  describe(name, () => {
    it('makes one key a blob, and answers the same ever after', async () => {
      const [store, blob, other] = [await open(), newBlob(), newBlob()];
      const key = await store.make(blob);
      expect(key).toHaveLength(KEY_BYTES);
      expect(await store.make(blob)).toEqual(key);
      expect(await store.make(other)).not.toEqual(key);
      expect(await (await open()).make(blob)).toEqual(key);
      expect(await (await open()).read(blob)).toEqual(key);
      expect(await store.blobs()).toEqual(expect.arrayContaining([blob, other]));
    });

    it('has nothing of a blob for which it has made no key', async () => {
      const [store, blob] = [await open(), newBlob()];
      expect(await store.read(blob)).toBeNull();
      expect(await store.holds(blob)).toBe(false);
      expect(await store.blobs()).not.toContain(blob);
    });

    it('has nothing of a key that it has destroyed, and leaves the others', async () => {
      const [store, blob, other] = [await open(), newBlob(), newBlob()];
      const [key, stays] = [await store.make(blob), await store.make(other)];
      await store.destroy(blob);
      await store.destroy(blob);
      for (const each of [store, await open()]) {
        expect(await each.read(blob)).toBeNull();
        expect(await each.holds(blob)).toBe(false);
        expect(await each.blobs()).not.toContain(blob);
        expect(await each.read(other)).toEqual(stays);
      }
      expect(await store.make(blob)).not.toEqual(key);
    });

    it('answers many who ask at once', async () => {
      const [store, blobs] = [await open(), Array.from({ length: 20 }, newBlob)];
      const keys = await Promise.all(blobs.map((blob) => store.make(blob)));
      expect(await Promise.all(blobs.map((blob) => store.read(blob)))).toEqual(keys);
      await Promise.all(blobs.map((blob) => store.destroy(blob)));
      expect(await Promise.all(blobs.map((blob) => store.read(blob)))).toEqual(blobs.map(() => null));
    });
  });
}
