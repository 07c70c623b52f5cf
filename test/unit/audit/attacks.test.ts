import { describe, expect, test } from 'vitest';
import { encodeBatch } from '../../../adapters/audit/batch.js';
import { encodeRecord } from '../../../adapters/audit/record.js';
import { signCheckpoint } from '../../../formats/checkpoint.js';
import { exitCodeOf } from '../../../domain/errors.js';
import { Frontier, leafHash } from '../../../formats/tlog.js';
import { ORIGIN, aRecord, idsOf, key, newStore, open, reader, someRecords, type Store } from './fixtures.js';

/** Locks that have run out: what follows is what the store's own administrator can do. */
const NO_LOCK = '2000-01-01T00:00:00.000Z';

async function replace({ store, audit }: Store, name: string, change: (body: Buffer) => Buffer): Promise<void> {
  const body = (await audit.read(name))?.body;
  if (body === undefined) throw new Error(`no ${name}`);
  store.deleteVersion('test-audit', name, null);
  store.overwrite('test-audit', name, change(Buffer.from(body)));
}

const flip = (at: number) => (body: Buffer) => {
  const index = at < 0 ? body.length + at : at;
  body.writeUInt8(body.readUInt8(index) ^ 1, index);
  return body;
};

const badFrom = (index: number) => expect.objectContaining({ code: 'LOG_INVALID', details: { index } }) as Error;

/** 300 records in batches of ten. */
async function aLog(count = 300): Promise<Store> {
  const store = newStore();
  const log = await open(store, NO_LOCK);
  for (let from = 0; from < count; from += 10) await log.append(someRecords(10, from));
  await log.close();
  return store;
}

const batchAt = (first: number) => `batches/00${Math.floor(first / 256)}/${String(first % 256).padStart(3, '0')}`;
/** Where the entries of a batch begin. */
const HEADER = 64;

describe('the full check of the audit log', () => {
  test('ends with exit code 6', () => {
    expect(exitCodeOf('LOG_INVALID')).toBe(6);
  });

  test.each([
    ['its magic', 0],
    ['its index', 15],
    ['the root before it', 40],
    ['the length of its first entry', HEADER],
  ])('names a batch with a flipped bit in %s', async (_, at) => {
    for (const first of [0, 100, 260, 290]) {
      const store = await aLog();
      await replace(store, batchAt(first), flip(at));
      await expect(reader(store).verifyLog(), `${first}`).rejects.toThrow(badFrom(first));
    }
  });

  test('names the entry in a full bundle that has a flipped bit in its text', async () => {
    const store = await aLog();
    await replace(store, batchAt(100), (body) => {
      // The reason of the entry 104: still a record, but not what was signed.
      let at = 0;
      for (let entry = 0; entry <= 4; entry++) at = body.indexOf('as agreed', at + 1);
      return flip(at + 5)(body);
    });
    await expect(reader(store).verifyLog()).rejects.toThrow(badFrom(104));
  });

  test('names the batch in the unfinished bundle that has a flipped bit in its text', async () => {
    for (const first of [270, 290]) {
      const store = await aLog();
      await replace(store, batchAt(first), (body) => flip(body.indexOf('as agreed') + 5)(body));
      await expect(reader(store).verifyLog(), `${first}`).rejects.toThrow(badFrom(first));
      await expect(idsOf(store)).rejects.toThrow(badFrom(first));
    }
  });

  test('names the entry that is no record', async () => {
    const store = await aLog();
    await replace(store, batchAt(270), (body) => flip(body.lastIndexOf('"reason"') + 1)(body));
    await expect(reader(store).verifyLog()).rejects.toThrow(badFrom(279));
  });

  test('finds every flipped bit of a whole small log, wherever it is', async () => {
    const store = newStore();
    const log = await open(store, NO_LOCK);
    await log.append([aRecord('a')]);
    await log.append([aRecord('b')]);
    await log.append([aRecord('c')]);
    for (const first of [0, 1, 2]) {
      const length = (await store.audit.read(batchAt(first)))?.body.length ?? 0;
      expect(length).toBeGreaterThan(HEADER);
      for (let at = 0; at < length; at++) {
        // A nonce tells writers apart and stands for nothing.
        if (at >= 16 && at < 32) continue;
        await replace(store, batchAt(first), flip(at));
        await expect(reader(store).verifyLog(), `byte ${at} of ${first}`).rejects.toThrow(badFrom(first));
        await replace(store, batchAt(first), flip(at));
      }
    }
    expect(await reader(store).verifyLog()).toMatchObject({ size: 3 });
  });

  test.each([0, 100, 250, 290])('names the batch at %i that was removed', async (first) => {
    const store = await aLog();
    store.store.deleteVersion('test-audit', batchAt(first), null);
    await expect(reader(store).verifyLog()).rejects.toThrow(badFrom(first));
  });

  test('names the batch that was hidden by a delete marker and another in its place', async () => {
    const store = await aLog();
    store.store.deleteMarker('test-audit', batchAt(100));
    store.store.overwrite('test-audit', batchAt(100), Buffer.from('x'));
    expect(await reader(store).verifyLog()).toMatchObject({ size: 300 });
    expect(await idsOf(store)).toHaveLength(300);
  });

  test('names the first of two batches that changed places', async () => {
    const store = await aLog();
    const [one, other] = await Promise.all([100, 120].map((at) => store.audit.read(batchAt(at))));
    await replace(store, batchAt(100), () => other?.body ?? Buffer.alloc(0));
    await replace(store, batchAt(120), () => one?.body ?? Buffer.alloc(0));
    await expect(reader(store).verifyLog()).rejects.toThrow(badFrom(100));
  });

  test('names the first of two entries that changed places', async () => {
    const store = await aLog();
    await replace(store, batchAt(100), (body) => {
      const length = 2 + body.readUInt16BE(HEADER);
      const [a, b] = [body.subarray(HEADER, HEADER + length), body.subarray(HEADER + length, HEADER + 2 * length)];
      return Buffer.concat([body.subarray(0, HEADER), b, a, body.subarray(HEADER + 2 * length)]);
    });
    await expect(reader(store).verifyLog()).rejects.toThrow(badFrom(100));
  });

  test('names where the end was cut off, and where also the checkpoint was turned back', async () => {
    const store = await aLog();
    for (let first = 270; first < 300; first += 10) store.store.deleteVersion('test-audit', batchAt(first), null);
    await expect(reader(store).verifyLog()).rejects.toThrow(badFrom(270));
    const note = signCheckpoint({ origin: ORIGIN, size: 270, root: rootOf(270) }, key);
    store.store.overwrite('test-log', 'checkpoint', note);
    await expect(reader(store).verifyLog()).rejects.toThrow(badFrom(270));
  });

  test('refuses a checkpoint older than the last locked one', async () => {
    const store = await aLog();
    store.store.overwrite(
      'test-log',
      'checkpoint',
      signCheckpoint({ origin: ORIGIN, size: 260, root: rootOf(260) }, key),
    );
    await expect(reader(store).verifyLog()).rejects.toThrow(badFrom(260));
    // The next writer goes on from the locked one.
    const log = await open(store, NO_LOCK);
    expect(log.checkpoint().size).toBe(300);
    expect(await reader(store).verifyLog()).toMatchObject({ size: 300 });
  });

  test('refuses a checkpoint that is gone', async () => {
    const store = await aLog();
    store.store.deleteVersion('test-log', 'checkpoint', null);
    await expect(reader(store).verifyLog()).rejects.toThrow(badFrom(300));
    await expect(idsOf(store)).rejects.toThrow(badFrom(300));
  });

  test('names where a log forks from the one that was signed, though its own chain is whole', async () => {
    const store = await aLog();
    const frontier = new Frontier();
    for (const record of someRecords(100)) frontier.append(leafHash(encodeRecord(record)));
    const tens = Array.from({ length: 20 }, (_, at) => 100 + 10 * at);
    const starts = [...tens, 256].sort((one, other) => one - other);
    for (const [at, first] of starts.entries()) {
      const records = someRecords((starts[at + 1] ?? 300) - first, first);
      const entries = records.map((record) => encodeRecord({ ...record, reason: 'never agreed' }));
      await replace(store, batchAt(first), () => encodeBatch({ first, previousRoot: frontier.root(), entries }));
      for (const entry of entries) frontier.append(leafHash(entry));
    }
    await expect(reader(store).verifyLog()).rejects.toThrow(badFrom(100));
    await expect(open(store)).rejects.toThrow(expect.objectContaining({ code: 'LOG_INVALID' }));
  });

  test('names a batch that lies inside another, or beyond the end', async () => {
    const inside = await aLog();
    inside.store.overwrite('test-audit', batchAt(105), Buffer.from('x'));
    await expect(reader(inside).verifyLog()).rejects.toThrow(badFrom(105));
    const beyond = await aLog();
    beyond.store.overwrite('test-audit', batchAt(310), Buffer.from('x'));
    await expect(reader(beyond).verifyLog()).rejects.toThrow(badFrom(300));
    const strange = await aLog();
    strange.store.overwrite('test-audit', 'batches/other', Buffer.from('x'));
    await expect(reader(strange).verifyLog()).rejects.toThrow(badFrom(300));
  });

  test.each([
    ['tile/0/000', 32 * 77, 77],
    ['tile/1/000.p/1', 0, 0],
    ['tile/entries/000', -1, 255],
  ])('names the entry at which %s differs from the batches', async (name, at, index) => {
    const store = await aLog();
    await replace(store, name, flip(at));
    await expect(reader(store).verifyLog()).rejects.toThrow(badFrom(index));
    // What is derived is not needed: reading falls back to the batches.
    expect(await idsOf(store)).toHaveLength(300);
  });

  test('refuses a locked checkpoint that does not verify, or has another root', async () => {
    const store = await aLog();
    store.store.overwrite('test-audit', 'checkpoints/0000000000000100', Buffer.from('x'));
    await expect(reader(store).verifyLog()).rejects.toThrow(badFrom(100));
    const other = await aLog();
    const note = signCheckpoint({ origin: ORIGIN, size: 280, root: rootOf(270) }, key);
    other.store.overwrite('test-audit', 'checkpoints/0000000000000280', note);
    await expect(reader(other).verifyLog()).rejects.toThrow(badFrom(270));
  });
});

function rootOf(size: number): string {
  const frontier = new Frontier();
  for (const record of someRecords(size)) frontier.append(leafHash(encodeRecord(record)));
  return frontier.root().toString('hex');
}
