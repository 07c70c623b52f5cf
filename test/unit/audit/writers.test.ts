import { afterEach, describe, expect, test, vi } from 'vitest';
import { aRecord, idsOf, newStore, open, reader, someRecords, watched, type Buckets, type Store } from './fixtures.js';

/** A store that keeps whoever makes the calls that `match` names waiting until it is let through. */
function gated({ audit, log }: Store, match: (operation: string, key: string) => boolean) {
  let [letThrough, cameBy] = [(): void => undefined, (): void => undefined];
  const gate = new Promise<void>((resolve) => (letThrough = resolve));
  const arrived = new Promise<void>((resolve) => (cameBy = resolve));
  const wait = async (operation: string, key: string): Promise<void> => {
    if (!match(operation, key)) return;
    cameBy();
    await gate;
  };
  const buckets: Buckets = { audit: watched(audit, wait), log: watched(log, wait) };
  return { buckets, arrived, letThrough: () => letThrough() };
}

const isBatch = (operation: string, key: string): boolean => operation === 'createOnce' && key.startsWith('batches/');

describe('many who append at once', () => {
  test('two hundred through five writers lose nothing and write nothing twice, also what several of them bring', async () => {
    const store = newStore();
    const writers = await Promise.all(Array.from({ length: 5 }, () => open(store)));
    const told = new Map<string, Set<number>>();
    const one = async (appender: number): Promise<void> => {
      // Every record is brought by two, through different writers.
      const records = [aRecord(`r${appender}`), aRecord(`r${(appender + 101) % 200}`)];
      const answers = await writers[appender % 5]?.append(records);
      records.forEach(({ id }, at) => told.set(id, (told.get(id) ?? new Set()).add(answers?.[at]?.index ?? -1)));
    };
    await Promise.all(Array.from({ length: 200 }, (_, appender) => one(appender)));
    await Promise.all(writers.map((log) => log.close()));
    const ids = await idsOf(store);
    expect(ids).toHaveLength(200);
    expect(told.size).toBe(200);
    for (const [id, indexes] of told) expect([...indexes], id).toEqual([ids.indexOf(id)]);
    expect(await reader(store).verifyLog()).toMatchObject({ size: 200, records: 200 });
  });

  test('two race for one index: the one that comes second reads what is there, and appends after it', async () => {
    const store = newStore();
    const slow = gated(store, (operation, key) => isBatch(operation, key));
    const [first, second] = [await open(slow.buckets), await open(store)];
    const late = first.append([aRecord('late')]);
    await slow.arrived;
    expect(await second.append([aRecord('soon')])).toEqual([{ index: 0 }]);
    slow.letThrough();
    expect(await late).toEqual([{ index: 1 }]);
    expect(await idsOf(store)).toEqual(['soon', 'late']);
    expect(await second.append([aRecord('late')])).toEqual([{ index: 1 }]);
    expect(await reader(store).verifyLog()).toMatchObject({ size: 2, records: 2 });
  });
});

describe('a slow store', () => {
  test.each([
    ['a batch', isBatch],
    ['the checkpoint', (operation: string) => operation === 'compareAndSet'],
  ])('that takes its time over %s acknowledges nothing before; who came meanwhile goes together', async (_, match) => {
    const store = newStore();
    let isSlow = false;
    const slow = gated(store, (operation, key) => isSlow && match(operation, key));
    const log = await open(slow.buckets);
    isSlow = true;
    const acknowledged: number[] = [];
    const append = async (at: number): Promise<void> => {
      await log.append([aRecord(`r${at}`)]);
      acknowledged.push(at);
    };
    const appends = [append(0)];
    await slow.arrived;
    for (let at = 1; at < 20; at += 1) appends.push(append(at));
    expect(acknowledged).toEqual([]);
    expect(await idsOf(store)).toEqual([]);
    slow.letThrough();
    await Promise.all(appends);
    expect(acknowledged).toHaveLength(20);
    await log.append([aRecord('r20')]);
    expect(await idsOf(store)).toEqual(Array.from({ length: 21 }, (__, at) => `r${at}`));
    const batches: string[] = [];
    for await (const key of store.audit.list('batches/')) batches.push(key);
    expect(batches).toEqual(['batches/000/000', 'batches/000/001', 'batches/000/020']);
  });
});

describe('a clock that steps', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  test('backwards and forwards changes neither order nor what is kept: records keep their own times', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const store = newStore();
    const log = await open(store);
    const times = ['2026-03-01', '2026-02-01', '2036-03-01', '2001-01-01', '2026-03-02'].map(
      (day) => `${day}T10:00:00.000Z`,
    );
    for (const [at, time] of times.entries()) {
      vi.setSystemTime(time);
      expect(await log.append([aRecord(`r${at}`, { time })])).toEqual([{ index: at }]);
    }
    const kept: string[] = [];
    for await (const { record } of reader(store).records()) kept.push(record.time);
    expect(kept).toEqual(times);
    vi.setSystemTime('2001-01-01T00:00:00.000Z');
    expect(await (await open(store)).append(someRecords(300))).toHaveLength(300);
    expect(await reader(store).verifyLog()).toMatchObject({ size: 305, records: 305 });
  });

  test('backwards puts off no locked copy of the checkpoint', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'performance'] });
    const store = newStore();
    const log = await open(store);
    await log.append([aRecord('before')]);
    vi.setSystemTime(Date.now() - 86_400_000);
    vi.advanceTimersByTime(61_000);
    await log.append([aRecord('after')]);
    const copies: string[] = [];
    for await (const copy of store.audit.list('checkpoints/')) copies.push(copy);
    expect(copies.at(-1)).toBe('checkpoints/0000000000000002');
  });
});
