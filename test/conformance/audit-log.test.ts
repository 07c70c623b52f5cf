import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serveLog } from '../../adapters/audit/http.js';
import { openAuditLog, type AuditLog } from '../../adapters/audit/log.js';
import { readLog } from '../../adapters/audit/reader.js';
import type { Bucket } from '../../adapters/object-store/port.js';
import { openBucket } from '../../adapters/object-store/s3.js';
import { encodeVerifierKey } from '../../formats/signed-note.js';
import { generateKey, importPrivateKey } from '../../formats/keys.js';
import { ACCEPTED, REFUSED, fsck } from '../support/log-checkers.js';
import { startStore, type TestStore } from '../support/store.js';
import { someRecords } from '../unit/audit/fixtures.js';

const ORIGIN = 'custody.example/conformance';
const RECORDS = 600;
const key = importPrivateKey(generateKey('ed25519').privatePem);
const vkey = encodeVerifierKey(ORIGIN, key);

let store: TestStore;
let folder: string;
let audit: Bucket;
let log: Bucket;

const openLog = (): Promise<AuditLog> =>
  openAuditLog({
    audit,
    log,
    key,
    vkey,
    lock: async () => ({ retainUntil: new Date(Date.now() + 3_600_000).toISOString() }),
  });

beforeAll(async () => {
  store = await startStore();
  folder = await mkdtemp(join(tmpdir(), 'custody-log-'));
  await writeFile(join(folder, 'vkey'), vkey);
  const names = { audit: `audit-${randomUUID()}`, log: `log-${randomUUID()}` };
  await store.admin.createBucket(names.audit, { objectLock: true, versioning: true });
  await store.admin.createBucket(names.log, { objectLock: false, versioning: false });
  audit = openBucket(store.config, names.audit);
  log = openBucket(store.config, names.log);
  const writing = await openLog();
  const sizes = [1, 2, 250, 100, 247];
  for (let from = 0; from < RECORDS;) {
    const count = sizes.shift() ?? 0;
    await writing.append(someRecords(count, from));
    from += count;
  }
  await writing.close();
});

afterAll(async () => {
  await store.stop();
  await rm(folder, { recursive: true, force: true });
});

/** What Tessera's checker says of a log that is served from its buckets. */
async function fsckOf(from: { audit: Bucket; log: Bucket }): Promise<string> {
  const server = createServer(serveLog(from)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  try {
    return await fsck(url, join(folder, 'vkey'));
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

/** The bucket with one byte of one object flipped. */
function flipping(bucket: Bucket, name: string, at: number): Bucket {
  const flipped: Pick<Bucket, 'read'> = {
    read: async (asked) => {
      const stored = await bucket.read(asked);
      if (asked === name && stored !== null) stored.body.writeUInt8(stored.body.readUInt8(at) ^ 1, at);
      return stored;
    },
  };
  return new Proxy(bucket, {
    get: (target, property) => {
      if (property === 'read') return flipped.read;
      const member: unknown = Reflect.get(target, property);
      return typeof member === 'function' ? (member.bind(target) as unknown) : member;
    },
  });
}

describe('the audit log on a real store', () => {
  test('is accepted by its own full check, and by its locks', async () => {
    const state = await readLog({ audit, log, vkey }).verifyLog();
    expect(state).toMatchObject({ size: RECORDS, records: RECORDS });
    for (const name of ['batches/000/000', 'batches/000/001', 'checkpoints/0000000000000600'])
      expect((await audit.head(name, null))?.lock?.mode, name).toBe('COMPLIANCE');
  });

  test("is accepted by Tessera's fsck", async () => {
    const said = await fsckOf({ audit, log });
    expect(said).toContain(ACCEPTED);
    expect(said).toContain('600');
  });

  test.each([
    ['a full bundle', 'tile/entries/001', 1000],
    ['a batch of the unfinished bundle', 'batches/002/000', 1000],
    ['a tile', 'tile/0/000', 1000],
    ['a tile of level 1', 'tile/1/000.p/2', 0],
  ])("is not accepted by Tessera's fsck after a flipped byte in %s", async (_, name, at) => {
    expect((await audit.read(name))?.body.length, name).toBeGreaterThan(at);
    const said = await fsckOf({ audit: flipping(audit, name, at), log });
    expect(said).toContain(REFUSED);
    expect(said).not.toContain(ACCEPTED);
  });

  test("is not accepted by Tessera's fsck after a flipped byte in the checkpoint", async () => {
    expect(await fsckOf({ audit, log: flipping(log, 'checkpoint', 40) })).toContain(REFUSED);
  });

  test('survives that the store is killed and started again while two writers append', async () => {
    const writers = await Promise.all([openLog(), openLog()]);
    const told = new Map<string, number>();
    const append = async (which: number): Promise<void> => {
      for (let from = RECORDS; from < RECORDS + 60; from += 3) {
        const records = someRecords(3, from);
        for (let answers: { index: number }[] | null = null; answers === null;) {
          answers = (await writers[which]?.append(records).catch(() => null)) ?? null;
          answers?.forEach(({ index }, at) => {
            const id = records[at]?.id ?? '';
            expect(told.get(id) ?? index, id).toBe(index);
            told.set(id, index);
          });
        }
      }
    };
    const killing = async (): Promise<void> => {
      for (let round = 0; round < 2; round++) {
        await store.kill();
        await store.restart();
      }
    };
    await Promise.all([append(0), append(1), killing()]);
    const ids: string[] = [];
    for await (const { record } of readLog({ audit, log, vkey }).records()) ids.push(record.id);
    expect(ids).toHaveLength(RECORDS + 60);
    for (const [id, index] of told) expect(ids[index]).toBe(id);
    expect(await readLog({ audit, log, vkey }).verifyLog()).toMatchObject({ size: 660, records: 660 });
    expect(await fsckOf({ audit, log })).toContain(ACCEPTED);
  });
});
