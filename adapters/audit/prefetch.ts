import type { StoredObject } from '../object-store/port.js';
import type { Readable } from './chain.js';

const AHEAD = 16;

/** Reads of `keys` in their order, begun some ahead of being asked for. */
export function prefetching(bucket: Readable, keys: readonly string[]): Readable {
  const begun = new Map<string, Promise<StoredObject | null>>();
  let next = 0;
  const beginMore = (): void => {
    for (; begun.size < AHEAD && next < keys.length; next += 1) {
      const key = keys[next] ?? '';
      const reading = bucket.read(key);
      // Whoever asks for it gets the error; nobody may.
      reading.catch(() => undefined);
      begun.set(key, reading);
    }
  };
  return {
    read: (key) => {
      beginMore();
      const reading = begun.get(key) ?? bucket.read(key);
      begun.delete(key);
      return reading;
    },
    versions: (key) => bucket.versions(key),
    readStream: (key, versionId) => bucket.readStream(key, versionId),
  };
}
