import { describe, expect, test } from 'vitest';
import { tilesOf } from '../../../adapters/audit/http.js';
import { lastTold, logKeys, openKeys } from '../../../adapters/audit/keys.js';
import { openAuditLog, type AuditLog } from '../../../adapters/audit/log.js';
import { PublishedLog } from '../../../adapters/audit/published.js';
import { readLog } from '../../../adapters/audit/reader.js';
import { createMemoryStore } from '../../../adapters/object-store/memory.js';
import type { AuditRecord } from '../../../domain/audit.js';
import { signCheckpoint } from '../../../formats/checkpoint.js';
import { generateKey, importPrivateKey, type SigningKey } from '../../../formats/keys.js';
import { encodeVerifierKey, parseVerifierKeys, signNote } from '../../../formats/signed-note.js';
import { decodeProof, encodeProof, verifyProof } from '../../../formats/tlog-proof.js';
import {
  dyingAfter,
  key as first,
  Killed,
  newStore,
  ORIGIN,
  RETAIN_UNTIL,
  someRecords,
  type Buckets,
  type Store,
} from './fixtures.js';

const [second, third] = [newKey(), newKey()];
const lock = async () => ({ retainUntil: RETAIN_UNTIL });

function newKey(): SigningKey {
  return importPrivateKey(generateKey('ed25519').privatePem);
}

const vkeyOf = (key: SigningKey): string => encodeVerifierKey(ORIGIN, key);
const keysOf = (buckets: Buckets, key: SigningKey, previous: SigningKey | null = null): Promise<string> =>
  logKeys({ ...buckets, key, previous, origin: ORIGIN, by: 'control', lock });

/** As control starts. */
async function start(buckets: Buckets, key: SigningKey, previous: SigningKey | null = null): Promise<AuditLog> {
  return openAuditLog({ ...buckets, key, vkey: await keysOf(buckets, key, previous), lock });
}

async function run(buckets: Buckets, key: SigningKey, previous: SigningKey | null, from: number): Promise<void> {
  const log = await start(buckets, key, previous);
  await log.append(someRecords(10, from));
  await log.close();
}

async function recordsOf(buckets: Buckets, vkey: string): Promise<AuditRecord[]> {
  const found: AuditRecord[] = [];
  for await (const { record } of readLog({ ...buckets, vkey }).records()) found.push(record);
  return found;
}

const refused = (code: string, says: string): Error =>
  expect.objectContaining({ code, message: expect.stringContaining(says) as string }) as Error;

describe('a log', () => {
  test('of one key says so, and nothing is written down of it', async () => {
    const store = newStore();
    await run(store, first, null, 0);
    expect(await keysOf(store, first)).toBe(vkeyOf(first));
    expect(await lastTold(store.audit)).toBeNull();
  });

  test('is handed over, again and again, and each key counts for what it has signed', async () => {
    const store = newStore();
    await run(store, first, null, 0);
    const old = await PublishedLog.open(tilesOf(store), vkeyOf(first));
    const proof = encodeProof(await old.prove(3));
    await run(store, second, first, 10);
    await run(store, third, second, 20);
    await run(store, third, null, 30);

    const vkey = await keysOf(store, third);
    expect(vkey.split('\n')).toEqual([vkeyOf(third), `${vkeyOf(second)} until 22`, `${vkeyOf(first)} until 11`]);
    expect(await readLog({ ...store, vkey }).verifyLog()).toMatchObject({ size: 42, records: 42 });
    expect(verifyProof(decodeProof(Buffer.from(proof)), parseVerifierKeys(vkey))).toEqual(old.checkpoint);
    await (await PublishedLog.open(tilesOf(store), vkey)).follows(old.checkpoint);

    const records = await recordsOf(store, vkey);
    const [one, two, ...more] = records.filter(({ change }) => change === 'log.rotated');
    expect(more).toEqual([]);
    for (const [record, before, after] of [
      [one, first, second],
      [two, second, third],
    ] as const) {
      expect(record?.actor.id).toBe('control');
      expect(record?.reason).toContain(vkeyOf(before));
      expect(record?.reason).toContain(vkeyOf(after));
    }

    // Whoever knows one key of a hand-over is told of the other by it.
    const told = (await lastTold(store.audit)) ?? Buffer.alloc(0);
    for (const trusted of [vkeyOf(second), vkeyOf(third)]) expect(openKeys(told, trusted)).toBe(vkey);
    expect(() => openKeys(told, vkeyOf(first))).toThrow(refused('LOG_INVALID', 'has no signature of'));
  });

  test('is handed over once, however often control starts with both keys', async () => {
    const store = newStore();
    await run(store, first, null, 0);
    for (const from of [10, 20, 30]) await run(store, second, first, from);
    const vkey = await keysOf(store, second, first);
    expect(vkey).toBe(`${vkeyOf(second)}\n${vkeyOf(first)} until 11`);
    expect((await recordsOf(store, vkey)).filter(({ change }) => change === 'log.rotated')).toHaveLength(1);
  });

  test.each([
    ['before', false],
    ['after', true],
  ])('whose hand-over is killed %s any operation is handed over by the next start', async (_, isDone) => {
    for (let n = 1, lived = false; !lived; n++) {
      const store = newStore();
      await run(store, first, null, 0);
      lived = await run(dyingAfter(store, n, isDone), second, first, 10).then(
        () => true,
        (error: unknown) => {
          if (error instanceof Killed) return false;
          throw error;
        },
      );
      await run(store, second, first, 10);
      const vkey = await keysOf(store, second);
      expect(vkey, `${n}`).toBe(`${vkeyOf(second)}\n${vkeyOf(first)} until 11`);
      expect(await readLog({ ...store, vkey }).verifyLog(), `${n}`).toMatchObject({ size: 21, records: 21 });
      expect((await recordsOf(store, vkey))[10], `${n}`).toMatchObject({ change: 'log.rotated' });
    }
  });
});

describe('attack', () => {
  async function handedOver(): Promise<{ store: Store; vkey: string }> {
    const store = newStore();
    await run(store, first, null, 0);
    await run(store, second, first, 10);
    return { store, vkey: await keysOf(store, second) };
  }

  test.each([
    ['a key that nobody has handed the log to', third, null, 'this log is signed by'],
    ['the key of before', first, null, 'this log is signed by'],
    ['the key of before, handed the log by its successor', first, second, 'has signed this log before'],
    ['a new key, handed the log by one that had signed before', third, first, 'neither'],
    ['a new key, handed the log by a stranger', third, newKey(), 'neither'],
  ])('%s does not write this log', async (_, key, previous, says) => {
    const { store } = await handedOver();
    const size = (await recordsOf(store, await keysOf(store, second))).length;
    await expect(keysOf(store, key, previous)).rejects.toThrow(
      refused(says.startsWith('has') ? 'USAGE' : 'LOG_INVALID', says),
    );
    expect(await recordsOf(store, await keysOf(store, second))).toHaveLength(size);
  });

  test('a hand-over by a key that does not sign this log, which has had one key only', async () => {
    const store = newStore();
    await run(store, first, null, 0);
    await expect(keysOf(store, third, second)).rejects.toThrow(refused('LOG_INVALID', ''));
    await expect(start(store, third)).rejects.toThrow(refused('LOG_INVALID', ''));
    expect(await lastTold(store.audit)).toBeNull();
  });

  test('whoever has got hold of the key of before signs nothing that is longer', async () => {
    const { store, vkey } = await handedOver();
    const tiles = tilesOf(store);
    const forged = signCheckpoint({ origin: ORIGIN, size: 30, root: 'ab'.repeat(32) }, first);
    await expect(
      PublishedLog.open(async (path) => (path === 'checkpoint' ? forged : tiles(path)), vkey),
    ).rejects.toThrow(refused('LOG_INVALID', 'had signed for the last time by then'));
    const current = await store.log.read('checkpoint');
    await store.log.compareAndSet('checkpoint', forged, current?.etag ?? null);
    await expect(readLog({ ...store, vkey }).verifyLog()).rejects.toThrow(refused('LOG_INVALID', 'no checkpoint'));
    // The batches are the truth: whoever writes next publishes what they come to.
    await run(store, second, null, 20);
    expect(await readLog({ ...store, vkey }).verifyLog()).toMatchObject({ size: 31 });
  });

  test('nor another log of the sizes that were its own: the locked copies are there', async () => {
    const { store, vkey } = await handedOver();
    const current = await store.log.read('checkpoint');
    const forged = signCheckpoint({ origin: ORIGIN, size: 11, root: 'ab'.repeat(32) }, first);
    await store.log.compareAndSet('checkpoint', forged, current?.etag ?? null);
    await expect(readLog({ ...store, vkey }).verifyLog()).rejects.toThrow(
      refused('LOG_INVALID', 'older than the locked'),
    );
  });

  test('keys that neither of the two has signed, or that were changed, are none', async () => {
    const { store, vkey } = await handedOver();
    const told = (await lastTold(store.audit)) ?? Buffer.alloc(0);
    const changed = Buffer.from(told.toString().replace('until 11', 'until 99'));
    expect(() => openKeys(changed, vkeyOf(second))).toThrow(refused('LOG_INVALID', 'is not valid'));
    const stranger = signNote(`${vkeyOf(third)}\n`, ORIGIN, [third]);
    expect(() => openKeys(stranger, vkey)).toThrow(refused('LOG_INVALID', 'has no signature'));
    const nonsense = signNote('anything\n', ORIGIN, [second]);
    expect(() => openKeys(nonsense, vkey)).toThrow(refused('MALFORMED', ''));

    await store.audit.createOnce('keys/0000000000000099', stranger, await lock());
    await expect(keysOf(store, second)).rejects.toThrow(refused('LOG_INVALID', 'this log is signed by'));
  });

  test('a checkpoint is no list of keys, nor the other way round', async () => {
    const { store, vkey } = await handedOver();
    const checkpoint = (await store.log.read('checkpoint'))?.body ?? Buffer.alloc(0);
    expect(() => openKeys(checkpoint, vkey)).toThrow(refused('MALFORMED', ''));
    const told = (await lastTold(store.audit)) ?? Buffer.alloc(0);
    await expect(PublishedLog.open(async () => told, vkey)).rejects.toThrow(refused('LOG_INVALID', 'origin'));
  });

  test('nobody takes the hand-over away again: it is locked', async () => {
    const { store } = await handedOver();
    expect(await store.audit.head('keys/0000000000000011', null)).toMatchObject({
      lock: { retainUntil: RETAIN_UNTIL },
    });
  });
});

test('a log that nobody has written yet begins with its key', async () => {
  const store = createMemoryStore();
  const buckets = { audit: store.bucket('a'), log: store.bucket('l', { objectLock: false, versioning: false }) };
  expect(await keysOf(buckets, first)).toBe(vkeyOf(first));
});
