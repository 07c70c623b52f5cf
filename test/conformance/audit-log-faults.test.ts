import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { tilesOf } from '../../adapters/audit/http.js';
import { openAuditLog, type AuditLog } from '../../adapters/audit/log.js';
import { PublishedLog } from '../../adapters/audit/published.js';
import { openBucket } from '../../adapters/object-store/s3.js';
import type { CustodyError } from '../../domain/errors.js';
import { startProxy, type Answer, type Fault, type Proxy } from '../support/proxy.js';
import { startStore, type TestStore } from '../support/store.js';
import { idsOf, key, reader, someRecords, vkey, type Buckets } from '../unit/audit/fixtures.js';

/** Records that are there before, so that the next ones fill a bundle. */
const BEFORE = 254;
const GROUPS = [1, 3, 2];
const TOTAL = GROUPS.reduce((sum, count) => sum + count, BEFORE);

let store: TestStore;
let proxy: Proxy;
const honest: Fault = (_, pass) => pass();

beforeAll(async () => {
  store = await startStore();
  proxy = await startProxy(store.config.endpoint);
});
afterEach(() => proxy.set(honest));
afterAll(async () => {
  proxy.stop();
  await store.stop();
});

interface Places {
  /** Straight to the store. */
  readonly direct: Buckets;
  /** Through the proxy. */
  readonly proxied: Buckets;
}

async function newLog(): Promise<Places> {
  const names = { audit: `audit-${randomUUID()}`, log: `log-${randomUUID()}` };
  await store.admin.createBucket(names.audit, { objectLock: true, versioning: true });
  await store.admin.createBucket(names.log, { objectLock: false, versioning: false });
  const at = (endpoint: string): Buckets => {
    const config = { ...store.config, endpoint };
    return { audit: openBucket(config, names.audit), log: openBucket(config, names.log) };
  };
  return { direct: at(store.config.endpoint), proxied: at(proxy.endpoint) };
}

const retainUntil = new Date(Date.now() + 3_600_000).toISOString();
const open = (buckets: Buckets): Promise<AuditLog> =>
  openAuditLog({ ...buckets, key, vkey, lock: async () => ({ retainUntil }) });

const answered = (status: number): Answer => ({ status, headers: {}, body: Buffer.alloc(0) });

const FAULTS = {
  'an error': { isLast: false, meet: async () => answered(500) },
  'an answer that is lost': { isLast: false, meet: (pass: () => Promise<Answer>) => pass().then(() => answered(503)) },
  'a crash before': { isLast: true, meet: async () => 'cut' as const },
  'a crash after': { isLast: true, meet: (pass: () => Promise<Answer>) => pass().then(() => 'cut' as const) },
};

/** Opens the log and appends the groups, each until it is acknowledged; a crash ends it. Answers what was acknowledged. */
async function appendAll(buckets: Buckets, isDead: () => boolean): Promise<Map<string, number>> {
  const told = new Map<string, number>();
  const stubborn = async <T>(act: () => Promise<T>): Promise<T | null> => {
    for (let tries = 0; tries < 3; tries += 1) {
      try {
        return await act();
      } catch (error) {
        expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE' });
        if (isDead()) return null;
      }
    }
    throw new Error('one fault does not hold up more than one try');
  };
  const log = await stubborn(() => open(buckets));
  if (log === null) return told;
  let from = BEFORE;
  for (const count of GROUPS) {
    const records = someRecords(count, from);
    const answers = await stubborn(() => log.append(records));
    if (answers === null) return told;
    records.forEach(({ id }, at) => told.set(id, answers[at]?.index ?? -1));
    from += count;
  }
  await stubborn(() => log.close());
  return told;
}

describe('at every single call of the store while a log is opened and appended to', () => {
  test.each(Object.entries(FAULTS))(
    '%s loses nothing that was acknowledged, and writes nothing twice',
    async (_, { isLast, meet }) => {
      let [n, calls] = [0, 0];
      do {
        n += 1;
        calls = 0;
        const { direct, proxied } = await newLog();
        proxy.set(honest);
        const first = await open(direct);
        await first.append(someRecords(BEFORE));
        const seen = first.checkpoint();
        proxy.set(async (_request, pass) => {
          calls += 1;
          if (calls === n) return meet(pass);
          return isLast && calls > n ? 'cut' : pass();
        });
        const told = await appendAll(proxied, () => isLast && calls >= n);
        const again = await open(direct);
        const ids = [...told.keys()];
        expect(await again.append(someRecords(TOTAL).filter(({ id }) => told.has(id))), `${n}`).toEqual(
          ids.map((id) => ({ index: told.get(id) })),
        );
        await again.append(someRecords(TOTAL));
        await again.close();
        expect((await idsOf(direct)).sort(), `${n}`).toEqual(
          someRecords(TOTAL)
            .map(({ id }) => id)
            .sort(),
        );
        expect(await reader(direct).verifyLog()).toMatchObject({ size: TOTAL, records: TOTAL });
        await (await PublishedLog.open(tilesOf(direct), vkey)).follows(seen);
      } while (calls >= n);
      // That there were so many: nothing of it was passed over.
      expect(n).toBeGreaterThan(30);
    },
  );
});

describe('a store', () => {
  test.each([
    ['that asks to slow down', 503, '<Error><Code>SlowDown</Code></Error>', 'STORE_UNAVAILABLE'],
    ['that is full', 507, '<Error><Code>InsufficientStorage</Code></Error>', 'NO_SPACE'],
  ] as const)(
    '%s acknowledges nothing, and what was refused is appended once it can be',
    async (_, status, body, code) => {
      const { direct, proxied } = await newLog();
      const log = await open(proxied);
      await log.append(someRecords(2));
      proxy.set(async ({ method }, pass) =>
        method === 'PUT' ? { status, headers: { 'content-type': 'application/xml' }, body: Buffer.from(body) } : pass(),
      );
      for (let tries = 0; tries < 3; tries += 1)
        await expect(log.append(someRecords(3))).rejects.toThrow(expect.objectContaining({ code }) as CustodyError);
      expect(await idsOf(direct)).toHaveLength(2);
      proxy.set(honest);
      expect(await log.append(someRecords(3))).toEqual([{ index: 0 }, { index: 1 }, { index: 2 }]);
      expect(await reader(direct).verifyLog()).toMatchObject({ size: 3, records: 3 });
    },
  );
});
