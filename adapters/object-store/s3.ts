import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { CustodyError } from '../../domain/errors.js';
import { isoTime } from '../../domain/time.js';
import { sha256 } from '../../formats/sha256.js';
import { uploadParts } from './multipart.js';
import type { Bucket, Lock, ObjectHead, ObjectVersion, StoredBlob, StoredObject, UploadOptions } from './port.js';
import { assertSmall, conflict, isLocked, recordOf, retentionTime } from './rules.js';
import { askLockState, checksum, legalHoldXml, lockHeaders, lockStateOf, retentionXml } from './s3-lock.js';
import { S3Session, failure, type S3Answer, type S3Config, type S3Request } from './s3-session.js';
import { listKeys, listVersions, listVersionsOf } from './s3-versions.js';

type KeyRequest = Omit<S3Request, 'bucket' | 'key'>;

/** Header values of Node are lists where a header was repeated; S3 repeats none of those that are read here. */
function header({ headers }: Pick<S3Answer, 'headers'>, name: string): string | null {
  const value = headers[name];
  return typeof value === 'string' ? value : null;
}

function versionIdOf(answer: Pick<S3Answer, 'headers'>): string | null {
  const id = header(answer, 'x-amz-version-id');
  return id === 'null' ? null : id;
}

class S3Bucket implements Bucket {
  readonly name: string;
  private readonly session: S3Session;

  constructor(session: S3Session, name: string) {
    this.session = session;
    this.name = name;
  }

  async createOnce(key: string, body: Buffer, lock?: Lock): Promise<{ created: boolean; versionId: string | null }> {
    assertSmall(key, body);
    const headers = { 'if-none-match': '*', ...lockHeaders(lock), ...checksum(body) };
    const answer = await this.text(key, { method: 'PUT', headers, body, repeatable: true });
    if (answer.status !== 412) {
      if (answer.status !== 200) throw failure(`create ${key}`, answer);
      const versionId = versionIdOf(answer);
      if (lock === undefined) return { created: true, versionId };
      const [versions] = await Promise.all([this.versions(key), this.ensureLock(key, versionId, lock)]);
      // Where a store lets a create succeed over a delete marker, what was there before is still the record.
      if (recordOf(versions)?.versionId === versionId) return { created: true, versionId };
    }
    return this.adopt(key, body, lock);
  }

  private async adopt(key: string, body: Buffer, lock?: Lock): Promise<{ created: false; versionId: string | null }> {
    const stored = await this.read(key);
    if (stored === null)
      throw new CustodyError('WORM_VIOLATED', `${this.name} says that ${key} exists, and holds no version of it`, {
        details: { bucket: this.name, key },
      });
    const expected = sha256(body);
    const found = sha256(stored.body);
    if (found !== expected) throw conflict(key, expected, found);
    if (lock !== undefined) await this.ensureLock(key, stored.versionId, lock);
    return { created: false, versionId: stored.versionId };
  }

  async compareAndSet(key: string, body: Buffer, ifMatch: string | null): Promise<{ etag: string } | null> {
    assertSmall(key, body);
    const condition: Record<string, string> = ifMatch === null ? { 'if-none-match': '*' } : { 'if-match': ifMatch };
    const answer = await this.text(key, { method: 'PUT', headers: { ...condition, ...checksum(body) }, body });
    if (answer.status === 412 || answer.code === 'NoSuchKey') return null;
    const etag = header(answer, 'etag');
    if (answer.status !== 200 || etag === null) throw failure(`replace ${key}`, answer);
    return { etag };
  }

  async read(key: string): Promise<StoredObject | null> {
    const found = await this.get(key, null);
    if (found === null) return null;
    const body = await this.session.bytes(found.answer.stream);
    const { answer, versionId, storedAt } = found;
    return { body, versionId, etag: header(answer, 'etag') ?? '', storedAt };
  }

  async readStream(key: string, versionId: string | null): Promise<Readable> {
    const found = await this.get(key, versionId);
    if (found === null) throw this.missing(key, versionId);
    return Readable.from(this.chunks(found.answer), { objectMode: false });
  }

  private async *chunks({ stream }: S3Answer): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of stream) yield chunk as Buffer;
    } catch (error) {
      throw this.session.explained(error);
    }
  }

  async head(key: string, versionId: string | null): Promise<ObjectHead | null> {
    const version = await this.resolve(key, versionId);
    if (version === null) return null;
    const answer = await this.text(key, { method: 'HEAD', query: version.query });
    if (answer.status === 404 || answer.status === 405) return null;
    if (answer.status !== 200) throw failure(`look at ${key}`, answer);
    const mode = header(answer, 'x-amz-object-lock-mode');
    const hold = header(answer, 'x-amz-object-lock-legal-hold');
    const { lock, legalHold } =
      mode === null && hold === null
        ? await askLockState(this.session, this.name, key, version.query)
        : lockStateOf(mode, header(answer, 'x-amz-object-lock-retain-until-date'), hold);
    return {
      versionId: versionIdOf(answer) ?? version.versionId,
      etag: header(answer, 'etag') ?? '',
      size: Number(header(answer, 'content-length')),
      lock,
      legalHold,
    };
  }

  async upload(key: string, body: AsyncIterable<Buffer>, options: UploadOptions): Promise<StoredBlob> {
    const headers = lockHeaders(options.lock);
    const { size, digest, versionId, doubt } = await uploadParts(this.session, this.name, key, headers, body, options);
    let stored = versionId;
    if (doubt !== null) {
      // An answer that is lost or without a version id leaves open whose object it is: the read-back settles it.
      const record = recordOf(await this.versions(key));
      if (record === null) throw doubt;
      stored = record.versionId;
    }
    const found = await this.digestOf(key, stored, options);
    if (found !== digest) {
      if (doubt !== null) throw conflict(key, digest, found);
      throw new CustodyError('DIGEST_MISMATCH', `${key} was stored as sha256 ${found}, and sent as ${digest}`);
    }
    const head = await this.mustHead(key, stored);
    if (head.size !== size)
      throw new CustodyError('DIGEST_MISMATCH', `${key} was stored with ${head.size} bytes, and sent with ${size}`);
    if (options.lock !== undefined) await this.ensureLock(key, stored, options.lock);
    return { key, versionId: stored, sha256: digest, size };
  }

  private async digestOf(key: string, versionId: string | null, { signal }: UploadOptions): Promise<string> {
    const hash = createHash('sha256');
    for await (const chunk of await this.readStream(key, versionId)) {
      signal?.throwIfAborted();
      hash.update(chunk as Buffer);
    }
    return hash.digest('hex');
  }

  async extendLock(key: string, versionId: string | null, lock: Lock): Promise<void> {
    await this.ensureLock(key, versionId, lock);
  }

  /**
   * Reads the lock of a version, adds what is missing, and reads it again: some stores lock after they have stored. Refused is
   * also what somebody has locked for longer since it was read: releases share blobs.
   */
  private async ensureLock(key: string, versionId: string | null, lock: Lock): Promise<void> {
    const isLockedNow = async (): Promise<boolean> => isLocked(await this.mustHead(key, versionId), lock);
    if (await isLockedNow()) return;
    try {
      await this.change(key, versionId, 'retention', retentionXml('COMPLIANCE', retentionTime(lock)));
    } catch (error) {
      if (await isLockedNow()) return;
      throw error;
    }
    if (!(await isLockedNow()))
      throw new CustodyError('STORE_NOT_WORM', `the store accepted a lock on ${key} and did not set it`);
  }

  async setLegalHold(key: string, versionId: string | null, on: boolean): Promise<void> {
    await this.change(key, versionId, 'legal-hold', legalHoldXml(on));
    if ((await this.mustHead(key, versionId)).legalHold !== on)
      throw new CustodyError('STORE_NOT_WORM', `the store accepted a change of the hold on ${key} and did not make it`);
  }

  list(prefix: string, options: { startAfter?: string; limit?: number } = {}): AsyncIterable<string> {
    return listKeys(this.session, this.name, prefix, options);
  }

  versions(key: string): Promise<ObjectVersion[]> {
    return listVersions(this.session, this.name, key);
  }

  versionsOf(keys: readonly string[]): Promise<ReadonlyMap<string, readonly ObjectVersion[]>> {
    return listVersionsOf(this.session, this.name, keys);
  }

  private async change(key: string, versionId: string | null, what: string, body: string): Promise<void> {
    const version = await this.resolve(key, versionId);
    if (version === null) throw this.missing(key, versionId);
    const query = { [what]: '', ...version.query };
    const answer = await this.text(key, { method: 'PUT', query, headers: checksum(body), body, repeatable: true });
    if (answer.status !== 200) throw failure(`set the ${what} of ${key}`, answer);
  }

  private async get(
    key: string,
    versionId: string | null,
  ): Promise<{ answer: S3Answer; versionId: string | null; storedAt: string } | null> {
    const version = await this.resolve(key, versionId);
    if (version === null) return null;
    const answer = await this.session.request({ method: 'GET', bucket: this.name, key, query: version.query });
    if (answer.status === 200) {
      const storedAt = isoTime(Date.parse(header(answer, 'last-modified') ?? ''));
      return { answer, versionId: version.versionId, storedAt };
    }
    const text = (await this.session.bytes(answer.stream)).toString('utf8');
    if (answer.status === 404 || answer.status === 405) return null;
    throw failure(`read ${key}`, { status: answer.status, code: '', text });
  }

  /** Which version is meant, and how to ask for it; `null` when the key has no version. */
  private async resolve(
    key: string,
    versionId: string | null,
  ): Promise<{ versionId: string | null; query: Readonly<Record<string, string>> } | null> {
    if (versionId !== null) return { versionId, query: { versionId } };
    const versions = await this.versions(key);
    const record = recordOf(versions);
    if (record === null) return null;
    if (record.versionId !== null) return { versionId: record.versionId, query: { versionId: record.versionId } };
    // versitygw answers a HEAD of version `null` with 404 where a bucket has no versions.
    return { versionId: null, query: versions.length === 1 ? {} : { versionId: 'null' } };
  }

  private async mustHead(key: string, versionId: string | null): Promise<ObjectHead> {
    const head = await this.head(key, versionId);
    if (head === null) throw this.missing(key, versionId);
    return head;
  }

  private missing(key: string, versionId: string | null): CustodyError {
    const version = versionId === null ? '' : ` in version ${versionId}`;
    return new CustodyError('INPUT_MISSING', `the bucket ${this.name} holds no ${key}${version}`);
  }

  private text(key: string, request: KeyRequest): ReturnType<S3Session['text']> {
    return this.session.text({ ...request, bucket: this.name, key });
  }
}

/** A bucket of an S3 store with Object Lock. Nothing is sent before the first call. */
export function openBucket(config: S3Config, name: string): Bucket {
  return new S3Bucket(new S3Session(config), name);
}
