import { describe, expect, test } from 'vitest';
import { readLog } from '../../../adapters/audit/reader.js';
import { openCheckpoint } from '../../../formats/checkpoint.js';
import { encodeVerifierKey, parseVerifierKeys } from '../../../formats/signed-note.js';
import { generateKey, importPrivateKey } from '../../../formats/keys.js';
import {
  ORIGIN,
  RETAIN_UNTIL,
  aRecord,
  idsOf,
  newStore,
  open,
  reader,
  someRecords,
  vkey,
  watched,
} from './fixtures.js';

async function keysOf(store: ReturnType<typeof newStore>, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const key of store.audit.list(prefix)) keys.push(key);
  return keys;
}

describe('appending to the audit log', () => {
  test('answers an index once the published checkpoint covers it', async () => {
    const store = newStore();
    const log = await open(store);
    expect(await log.append(someRecords(3))).toEqual([{ index: 0 }, { index: 1 }, { index: 2 }]);
    expect(await log.append(someRecords(1, 3))).toEqual([{ index: 3 }]);
    const published = openCheckpoint(
      (await store.log.read('checkpoint'))?.body ?? Buffer.alloc(0),
      parseVerifierKeys(vkey),
    );
    expect(published).toEqual(log.checkpoint());
    expect(published.size).toBe(4);
    expect(await reader(store).verifyLog()).toEqual({ size: 4, root: published.root, records: 4 });
  });

  test('counts an id once: in one call, in calls at once, later, and after reopening', async () => {
    const store = newStore();
    const log = await open(store);
    const [a, b] = [aRecord('a'), aRecord('b')];
    expect(await log.append([a, a, b])).toEqual([{ index: 0 }, { index: 0 }, { index: 1 }]);
    expect(await Promise.all([log.append([a]), log.append([aRecord('c')]), log.append([aRecord('c'), b])])).toEqual([
      [{ index: 0 }],
      [{ index: 2 }],
      [{ index: 2 }, { index: 1 }],
    ]);
    expect(await log.append([aRecord('a', { reason: 'said again later' })])).toEqual([{ index: 0 }]);
    await log.append(someRecords(600));
    const reopened = await open(store);
    expect(await reopened.append([b, aRecord('record-300'), aRecord('record-599')])).toEqual([
      { index: 1 },
      { index: 303 },
      { index: 602 },
    ]);
    expect(reopened.checkpoint().size).toBe(603);
  });

  test('appends nothing of a call with something that is no record', async () => {
    const store = newStore();
    const log = await open(store);
    const refused = expect.objectContaining({ code: 'MALFORMED' }) as Error;
    await expect(log.append([aRecord('a'), aRecord('b', { time: 'yesterday' })])).rejects.toThrow(refused);
    await expect(log.append([aRecord('b', { reason: 'x'.repeat(32_000) })])).rejects.toThrow(refused);
    await expect(log.append([{ ...aRecord('b'), more: 1 } as ReturnType<typeof aRecord>])).rejects.toThrow(refused);
    expect(await log.append([])).toEqual([]);
    expect(log.checkpoint().size).toBe(0);
  });

  test('keeps 256 of the largest records, in batches that are small objects', async () => {
    const store = newStore();
    const log = await open(store);
    await log.append(Array.from({ length: 300 }, (_, at) => aRecord(`${at}`, { reason: 'x'.repeat(31_600) })));
    expect((await reader(store).verifyLog()).size).toBe(300);
  });

  test('commits calls that come at once together, and never across a multiple of 256', async () => {
    const store = newStore();
    const log = await open(store);
    await log.append(someRecords(250));
    await Promise.all(someRecords(20, 250).map((record) => log.append([record])));
    expect(await keysOf(store, 'batches/')).toEqual(['batches/000/000', 'batches/000/250', 'batches/001/000']);
    expect(await idsOf(store)).toEqual(someRecords(270).map(({ id }) => id));
  });

  test('stores full tiles and bundles, and unfinished tiles from level 1 on', async () => {
    const store = newStore();
    await (await open(store)).append(someRecords(600));
    expect(await keysOf(store, 'tile/')).toEqual([
      'tile/0/000',
      'tile/0/001',
      'tile/1/000.p/1',
      'tile/1/000.p/2',
      'tile/entries/000',
      'tile/entries/001',
    ]);
  });

  test('locks batches and copies of the checkpoint, one for each full bundle and one at the end', async () => {
    const store = newStore();
    const log = await open(store);
    for (let from = 0; from < 300; from += 20) await log.append(someRecords(20, from));
    await log.close();
    const copies = await keysOf(store, 'checkpoints/');
    expect(copies.map((key) => Number(key.slice(12)))).toEqual([0, 260, 300]);
    for (const key of [...copies, ...(await keysOf(store, 'batches/'))])
      expect((await store.audit.head(key, null))?.lock, key).toEqual({ mode: 'COMPLIANCE', retainUntil: RETAIN_UNTIL });
    await expect(log.append(someRecords(1))).rejects.toThrow('closed');
  });

  test('locks a batch that its writer left without', async () => {
    const store = newStore();
    const dying = await open({
      ...store,
      audit: {
        ...watched(store.audit, () => undefined),
        createOnce: async (key, body) => {
          const made = await store.audit.createOnce(key, body);
          if (key.startsWith('batches/')) throw new Error('killed');
          return made;
        },
      },
    });
    await expect(dying.append([aRecord('a')])).rejects.toThrow('killed');
    expect((await store.audit.head('batches/000/000', null))?.lock).toBeNull();
    await open(store);
    expect((await store.audit.head('batches/000/000', null))?.lock?.mode).toBe('COMPLIANCE');
  });

  test('fails while the store is down, and goes on afterwards with the same ids', async () => {
    const store = newStore();
    const log = await open(store);
    await log.append([aRecord('a')]);
    store.store.setAvailable(false);
    await expect(log.append([aRecord('b')])).rejects.toThrow(expect.objectContaining({ code: 'STORE_UNAVAILABLE' }));
    store.store.setAvailable(true);
    expect(await log.append([aRecord('b'), aRecord('a')])).toEqual([{ index: 1 }, { index: 0 }]);
  });

  test('makes a checkpoint again when it is gone, damaged or of another key', async () => {
    for (const body of [null, Buffer.from('garbage'), Buffer.alloc(200)]) {
      const store = newStore();
      const log = await open(store);
      await log.append(someRecords(300));
      store.store.deleteVersion('test-log', 'checkpoint', null);
      if (body !== null) store.store.overwrite('test-log', 'checkpoint', body);
      expect((await open(store)).checkpoint()).toEqual(log.checkpoint());
      expect((await reader(store).verifyLog()).size).toBe(300);
    }
  });

  test('makes tiles and bundles again when they are gone', async () => {
    const store = newStore();
    const log = await open(store);
    await log.append(someRecords(600));
    for (const key of await keysOf(store, 'tile/')) store.store.deleteVersion('test-audit', key, null);
    expect(await idsOf(store)).toHaveLength(600);
    await open(store);
    expect(await keysOf(store, 'tile/')).toHaveLength(6);
  });

  test('replaces a batch at the tip that nobody was told of and that is damaged', async () => {
    const store = newStore();
    const log = await open(store);
    await log.append([aRecord('a')]);
    store.store.overwrite('test-audit', 'batches/000/001', Buffer.alloc(100));
    expect(await reader(store).verifyLog()).toMatchObject({ size: 1 });
    const reopened = await open(store);
    expect(await reopened.append([aRecord('b')])).toEqual([{ index: 1 }]);
    expect(await reader(store).verifyLog()).toMatchObject({ size: 2 });
    const versions = await store.audit.versions('batches/000/001');
    expect((await store.audit.head('batches/000/001', versions[1]?.versionId ?? null))?.lock?.mode).toBe('COMPLIANCE');
    expect(await (await open(store)).append([aRecord('b')])).toEqual([{ index: 1 }]);
  });

  test('does not replace a damaged batch that another writer has published meanwhile', async () => {
    const store = newStore();
    const [one, other] = [await open(store, '2000-01-01T00:00:00.000Z'), await open(store, '2000-01-01T00:00:00.000Z')];
    await one.append([aRecord('a')]);
    store.store.deleteVersion('test-audit', 'batches/000/000', null);
    store.store.overwrite('test-audit', 'batches/000/000', Buffer.alloc(100));
    await expect(other.append([aRecord('b')])).rejects.toThrow(
      expect.objectContaining({ code: 'LOG_INVALID', details: { index: 0 } }),
    );
  });
});

describe('reading the audit log', () => {
  test('gives the records from any index on', async () => {
    const store = newStore();
    await (await open(store)).append(someRecords(600));
    for (const from of [0, 1, 255, 256, 511, 512, 599, 600, 10_000])
      expect(await idsOf(store, from)).toEqual(
        someRecords(600)
          .slice(from)
          .map(({ id }) => id),
      );
  });

  test('finds nothing in a log that was never opened', async () => {
    const store = newStore();
    expect(await reader(store).verifyLog()).toMatchObject({ size: 0, records: 0 });
    expect(await idsOf(store)).toEqual([]);
  });

  test('believes no other key, though it has the same name', async () => {
    const store = newStore();
    await (await open(store)).append(someRecords(3));
    const other = importPrivateKey(generateKey('ed25519').privatePem);
    const strange = readLog({ ...store, vkey: encodeVerifierKey(ORIGIN, other) });
    await expect(strange.verifyLog()).rejects.toThrow(expect.objectContaining({ code: 'LOG_INVALID' }));
  });

  test('shows nothing beyond the checkpoint', async () => {
    const store = newStore();
    let isDying = false;
    const log = await open({
      ...store,
      log: watched(store.log, () => {
        if (isDying) throw new Error('killed');
      }),
    });
    await log.append([aRecord('a')]);
    isDying = true;
    await expect(log.append([aRecord('b')])).rejects.toThrow('killed');
    expect(await idsOf(store)).toEqual(['a']);
    expect(await reader(store).verifyLog()).toMatchObject({ size: 1, records: 1 });
    await open(store);
    expect(await idsOf(store)).toEqual(['a', 'b']);
  });
});
