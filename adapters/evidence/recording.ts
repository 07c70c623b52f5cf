import { compareKeys } from '../object-store/rules.js';
import type { Bucket, StoredObject } from '../object-store/port.js';
import { ReadOnlyBucket } from './read-only.js';

/**
 * A bucket that remembers every object that was read of it, and answers the same for as long as it lives: so whoever looks into
 * the objects it has taken finds what was found here.
 */
export class RecordingBucket extends ReadOnlyBucket {
  readonly #bucket: Bucket;
  readonly #read = new Map<string, Promise<StoredObject | null>>();
  readonly #listed = new Map<string, Promise<readonly string[]>>();

  constructor(bucket: Bucket) {
    super(bucket.name);
    this.#bucket = bucket;
  }

  read(key: string): Promise<StoredObject | null> {
    const known = this.#read.get(key) ?? this.#bucket.read(key);
    this.#read.set(key, known);
    return known;
  }

  async *list(prefix: string, { limit = Infinity, ...after }: { startAfter?: string; limit?: number } = {}) {
    const place = `${prefix} ${after.startAfter ?? ''}`;
    const known = this.#listed.get(place) ?? this.#listAll(prefix, after);
    this.#listed.set(place, known);
    yield* (await known).slice(0, limit);
  }

  async #listAll(prefix: string, after: { readonly startAfter?: string }): Promise<readonly string[]> {
    const keys: string[] = [];
    for await (const key of this.#bucket.list(prefix, after)) keys.push(key);
    return keys;
  }

  /** What was there of all that was asked for, in the order of the keys. */
  async taken(): Promise<readonly (readonly [key: string, object: StoredObject])[]> {
    const found = await Promise.all([...this.#read].map(async ([key, object]) => [key, await object] as const));
    return found
      .flatMap(([key, object]) => (object === null ? [] : [[key, object] as const]))
      .sort(([a], [b]) => compareKeys(a, b));
  }
}
