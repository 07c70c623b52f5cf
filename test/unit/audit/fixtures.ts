import { openAuditLog, type AuditLog } from '../../../adapters/audit/log.js';
import { readLog, type LogReader } from '../../../adapters/audit/reader.js';
import { createMemoryStore, type MemoryStore } from '../../../adapters/object-store/memory.js';
import type { Bucket } from '../../../adapters/object-store/port.js';
import type { AuditRecord } from '../../../domain/audit.js';
import { LOG_ORIGIN, logKey, logVkey } from '../../support/log-key.js';

export { LOG_ORIGIN as ORIGIN, logKey as key, logVkey as vkey };

export function aRecord(id: string, changes: Partial<AuditRecord> = {}): AuditRecord {
  return {
    id,
    time: '2026-03-01T10:00:00.000Z',
    actor: { id: 'alice', statement: null },
    change: 'decision.accepted',
    subject: { model: 'digits', version: '1.0.0', release: null },
    before: null,
    after: null,
    policy: null,
    workflow: null,
    reason: 'as agreed',
    ...changes,
  };
}

export function someRecords(count: number, from = 0): AuditRecord[] {
  return Array.from({ length: count }, (_, at) => aRecord(`record-${from + at}`));
}

export interface Buckets {
  readonly audit: Bucket;
  readonly log: Bucket;
}

export interface Store extends Buckets {
  readonly store: MemoryStore;
}

export function newStore(): Store {
  const store = createMemoryStore();
  return {
    store,
    audit: store.bucket('test-audit'),
    log: store.bucket('test-log', { objectLock: false, versioning: false }),
  };
}

export const RETAIN_UNTIL = '2036-01-01T00:00:00.000Z';

export function open({ audit, log }: Buckets, retainUntil = RETAIN_UNTIL): Promise<AuditLog> {
  return openAuditLog({ audit, log, key: logKey, vkey: logVkey, lock: async () => ({ retainUntil }) });
}

export function reader({ audit, log }: Buckets): LogReader {
  return readLog({ audit, log, vkey: logVkey });
}

export async function idsOf(buckets: Buckets, from = 0): Promise<string[]> {
  const ids: string[] = [];
  for await (const { record } of reader(buckets).records(from)) ids.push(record.id);
  return ids;
}

/** What `check` sees before (and may refuse) and after each operation of a bucket. */
export function watched(bucket: Bucket, before: (operation: string, key: string) => unknown, after = before): Bucket {
  const around = async <T>(operation: string, key: string, run: () => Promise<T>): Promise<T> => {
    await before(operation, key);
    const answer = await run();
    if (after !== before) await after(operation, key);
    return answer;
  };
  return {
    name: bucket.name,
    createOnce: (k, body, lock) => around('createOnce', k, () => bucket.createOnce(k, body, lock)),
    compareAndSet: (k, body, etag) => around('compareAndSet', k, () => bucket.compareAndSet(k, body, etag)),
    read: (k) => around('read', k, () => bucket.read(k)),
    readStream: (k, versionId) => around('readStream', k, () => bucket.readStream(k, versionId)),
    head: (k, versionId) => around('head', k, () => bucket.head(k, versionId)),
    upload: (k, body, options) => around('upload', k, () => bucket.upload(k, body, options)),
    extendLock: (k, versionId, lock) => around('extendLock', k, () => bucket.extendLock(k, versionId, lock)),
    setLegalHold: (k, versionId, on) => around('setLegalHold', k, () => bucket.setLegalHold(k, versionId, on)),
    list: async function* (prefix, options) {
      await before('list', prefix);
      yield* bucket.list(prefix, options);
    },
    versions: (k) => around('versions', k, () => bucket.versions(k)),
    versionsOf: (keys) => around('versionsOf', keys.join(), () => bucket.versionsOf(keys)),
  };
}

export class Killed extends Error {}

/** The same buckets until the n-th operation, which is the last: before it is done, or after. */
export function dyingAfter({ audit, log }: Store, n: number, isDone: boolean): Buckets {
  let left = n;
  let isDead = false;
  const before = (): void => {
    if (!isDead && (isDone || left > 1)) return;
    isDead = true;
    throw new Killed();
  };
  const after = (): void => {
    left -= 1;
    if (left > 0) return;
    isDead = true;
    throw new Killed();
  };
  return { audit: watched(audit, before, after), log: watched(log, before, after) };
}
