import type { Readable } from 'node:stream';
import { CustodyError } from '../../domain/errors.js';
import type { Bucket, ObjectHead, ObjectVersion, StoredBlob, StoredObject } from '../object-store/port.js';

/** A bucket of which only small objects are read, and nothing else is to be had. */
export abstract class ReadOnlyBucket implements Bucket {
  readonly name: string;

  protected constructor(name: string) {
    this.name = name;
  }

  abstract read(key: string): Promise<StoredObject | null>;
  abstract list(prefix: string, options?: { startAfter?: string; limit?: number }): AsyncIterable<string>;

  createOnce(): Promise<{ created: boolean; versionId: string | null }> {
    return this.#refuse();
  }
  compareAndSet(): Promise<{ etag: string } | null> {
    return this.#refuse();
  }
  readStream(): Promise<Readable> {
    return this.#refuse();
  }
  head(): Promise<ObjectHead | null> {
    return this.#refuse();
  }
  upload(): Promise<StoredBlob> {
    return this.#refuse();
  }
  extendLock(): Promise<void> {
    return this.#refuse();
  }
  setLegalHold(): Promise<void> {
    return this.#refuse();
  }
  versions(): Promise<ObjectVersion[]> {
    return this.#refuse();
  }
  versionsOf(): Promise<ReadonlyMap<string, readonly ObjectVersion[]>> {
    return this.#refuse();
  }

  async #refuse<T>(): Promise<T> {
    throw new CustodyError('INTERNAL', `${this.name} is only looked at`);
  }
}
