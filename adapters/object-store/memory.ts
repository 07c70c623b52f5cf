import { hash } from 'node:crypto';
import { Readable } from 'node:stream';
import { CustodyError } from '../../domain/errors.js';
import { isoTime } from '../../domain/time.js';
import { sha256 } from '../../formats/sha256.js';
import type { BucketSettings } from './admin.js';
import type { Bucket, Lock, ObjectHead, ObjectVersion, StoredBlob, StoredObject, UploadOptions } from './port.js';
import { assertReadable, assertSmall, compareKeys, conflict, retentionTime } from './rules.js';

/** A store in memory with the semantics of the real ones, for tests; the last three are what only an attacker does. */
export interface MemoryStore {
  /** The bucket of this name, made at the first call. */
  bucket(name: string, settings?: BucketSettings): Bucket;
  /** While not available, everything is `STORE_UNAVAILABLE`. */
  setAvailable(available: boolean): void;
  deleteMarker(bucket: string, key: string): void;
  /** An unconditional PUT without a lock; answers the version id. */
  overwrite(bucket: string, key: string, body: Buffer): string | null;
  /** `NOT_AUTHORISED` while the version is locked or held. */
  deleteVersion(bucket: string, key: string, versionId: string | null): void;
}

interface Version extends ObjectVersion {
  readonly body: Buffer;
  retainUntil: string | null;
  legalHold: boolean;
}

const WORM: BucketSettings = { objectLock: true, versioning: true };

class MemoryBucket implements Bucket {
  readonly name: string;
  private readonly settings: BucketSettings;
  private readonly isAvailable: () => boolean;
  private readonly objects = new Map<string, Version[]>();
  private count = 0;

  constructor(name: string, settings: BucketSettings, isAvailable: () => boolean) {
    this.name = name;
    this.settings = settings;
    this.isAvailable = isAvailable;
  }

  async createOnce(key: string, body: Buffer, lock?: Lock): Promise<{ created: boolean; versionId: string | null }> {
    assertSmall(key, body);
    this.reach();
    const record = this.record(key);
    if (record === null) return { created: true, versionId: this.put(key, body, lock).versionId };
    const [expected, found] = [sha256(body), sha256(record.body)];
    if (found !== expected) throw conflict(key, expected, found);
    if (lock !== undefined) this.lock(record, lock);
    return { created: false, versionId: record.versionId };
  }

  async compareAndSet(key: string, body: Buffer, ifMatch: string | null): Promise<{ etag: string } | null> {
    assertSmall(key, body);
    this.reach();
    const latest = this.objects.get(key)?.at(-1);
    const current = latest === undefined || latest.isDeleteMarker ? null : latest.etag;
    return current === ifMatch ? { etag: this.put(key, body).etag } : null;
  }

  async read(key: string): Promise<StoredObject | null> {
    this.reach();
    const record = this.record(key);
    if (record === null) return null;
    assertReadable(key, record.body.length);
    const { versionId, etag, lastModified: storedAt } = record;
    return { body: Buffer.from(record.body), versionId, etag, storedAt };
  }

  async readStream(key: string, versionId: string | null): Promise<Readable> {
    this.reach();
    return Readable.from([Buffer.from(this.must(key, versionId).body)], { objectMode: false });
  }

  async head(key: string, versionId: string | null): Promise<ObjectHead | null> {
    this.reach();
    const version = this.find(key, versionId);
    if (version === null) return null;
    const { etag, size, retainUntil, legalHold } = version;
    const lock = retainUntil === null ? null : { mode: 'COMPLIANCE' as const, retainUntil };
    return { versionId: version.versionId, etag, size, lock, legalHold };
  }

  async upload(key: string, body: AsyncIterable<Buffer>, options: UploadOptions): Promise<StoredBlob> {
    options.signal?.throwIfAborted();
    this.reach();
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of body) {
      options.signal?.throwIfAborted();
      chunks.push(Buffer.from(chunk));
      size += chunk.length;
      options.onProgress?.(size);
    }
    this.reach();
    const whole = Buffer.concat(chunks);
    const digest = sha256(whole);
    const record = this.record(key);
    if (record !== null) throw conflict(key, digest, sha256(record.body));
    return { key, versionId: this.put(key, whole, options.lock).versionId, sha256: digest, size };
  }

  async extendLock(key: string, versionId: string | null, lock: Lock): Promise<void> {
    this.reach();
    this.lock(this.must(key, versionId), lock);
  }

  async setLegalHold(key: string, versionId: string | null, on: boolean): Promise<void> {
    this.reach();
    this.assertLockable(key);
    this.must(key, versionId).legalHold = on;
  }

  async *list(prefix: string, options: { startAfter?: string; limit?: number } = {}): AsyncGenerator<string> {
    this.reach();
    const { startAfter, limit = Infinity } = options;
    const keys = [...this.objects.keys()]
      .filter((key) => key.startsWith(prefix) && (startAfter === undefined || compareKeys(key, startAfter) > 0))
      .sort(compareKeys);
    yield* keys.slice(0, limit);
  }

  async versions(key: string): Promise<ObjectVersion[]> {
    this.reach();
    return (this.objects.get(key) ?? []).map(({ versionId, etag, size, isDeleteMarker, lastModified }) => ({
      key,
      versionId,
      etag,
      size,
      isDeleteMarker,
      lastModified,
    }));
  }

  async versionsOf(keys: readonly string[]): Promise<ReadonlyMap<string, readonly ObjectVersion[]>> {
    const all = await Promise.all(keys.map(async (key) => [key, await this.versions(key)] as const));
    return new Map(all.filter(([, versions]) => versions.length > 0));
  }

  deleteMarker(key: string): void {
    this.add(key, { body: Buffer.alloc(0), etag: '', isDeleteMarker: true });
  }

  put(key: string, body: Buffer, lock?: Lock): Version {
    if (lock !== undefined) this.assertLockable(key);
    const etag = `"SHA256-${hash('sha256', body, 'base64')}"`;
    const version = this.add(key, { body: Buffer.from(body), etag, isDeleteMarker: false });
    if (lock !== undefined) this.lock(version, lock);
    return version;
  }

  deleteVersion(key: string, versionId: string | null): void {
    const version = this.must(key, versionId);
    const locked = version.retainUntil !== null && Date.parse(version.retainUntil) > Date.now();
    if (locked || version.legalHold)
      throw new CustodyError('NOT_AUTHORISED', `the store's account may not delete ${key}: it is locked`);
    const rest = (this.objects.get(key) ?? []).filter((other) => other !== version);
    if (rest.length === 0) this.objects.delete(key);
    else this.objects.set(key, rest);
  }

  private add(key: string, made: Pick<Version, 'body' | 'etag' | 'isDeleteMarker'>): Version {
    this.count += 1;
    const version: Version = {
      ...made,
      key,
      versionId: this.settings.versioning ? `v${String(this.count).padStart(9, '0')}` : null,
      size: made.body.length,
      lastModified: isoTime(Date.now()),
      retainUntil: null,
      legalHold: false,
    };
    const before = this.settings.versioning ? (this.objects.get(key) ?? []) : [];
    this.objects.set(key, [...before, version]);
    return version;
  }

  private lock(version: Version, lock: Lock): void {
    this.assertLockable(version.key);
    const until = retentionTime(lock);
    if (version.retainUntil === null || Date.parse(version.retainUntil) < Date.parse(until))
      version.retainUntil = until;
  }

  private assertLockable(key: string): void {
    if (!this.settings.objectLock)
      throw new CustodyError('STORE_NOT_WORM', `cannot lock ${key}: the bucket ${this.name} has no Object Lock`);
  }

  private record(key: string): Version | null {
    return this.objects.get(key)?.find((version) => !version.isDeleteMarker) ?? null;
  }

  private find(key: string, versionId: string | null): Version | null {
    if (versionId === null) return this.record(key);
    const version = this.objects.get(key)?.find((other) => other.versionId === versionId);
    return version === undefined || version.isDeleteMarker ? null : version;
  }

  private must(key: string, versionId: string | null): Version {
    const version = this.find(key, versionId);
    if (version === null) throw new CustodyError('INPUT_MISSING', `the bucket ${this.name} holds no ${key}`);
    return version;
  }

  private reach(): void {
    if (!this.isAvailable()) throw new CustodyError('STORE_UNAVAILABLE', 'the object store does not answer');
  }
}

export function createMemoryStore(): MemoryStore {
  const buckets = new Map<string, MemoryBucket>();
  let isAvailable = true;
  const open = (name: string, settings: BucketSettings = WORM): MemoryBucket => {
    const bucket = buckets.get(name) ?? new MemoryBucket(name, settings, () => isAvailable);
    buckets.set(name, bucket);
    return bucket;
  };
  return {
    bucket: open,
    setAvailable: (available) => {
      isAvailable = available;
    },
    deleteMarker: (bucket, key) => open(bucket).deleteMarker(key),
    overwrite: (bucket, key, body) => open(bucket).put(key, body).versionId,
    deleteVersion: (bucket, key, versionId) => open(bucket).deleteVersion(key, versionId),
  };
}
