import { setImmediate } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import {
  aRecord,
  dyingAfter,
  idsOf,
  Killed,
  newStore,
  open,
  reader,
  someRecords,
  watched,
  type Buckets,
} from './fixtures.js';

/** Appends one group after another until it is killed; answers what was acknowledged, or `null` when it came to the end. */
async function appendUntilKilled(
  buckets: Buckets,
  groups: readonly number[],
): Promise<{ told: Map<string, number>; lived: boolean }> {
  const told = new Map<string, number>();
  try {
    const log = await open(buckets);
    let from = 0;
    for (const count of groups) {
      const records = someRecords(count, from);
      const answers = await log.append(records);
      records.forEach(({ id }, at) => told.set(id, answers[at]?.index ?? -1));
      from += count;
    }
    await log.close();
    return { told, lived: true };
  } catch (error) {
    if (error instanceof Killed) return { told, lived: false };
    throw error;
  }
}

describe('a writer that is killed', () => {
  test.each([
    ['before', false],
    ['after', true],
  ])('%s any of its operations loses nothing it acknowledged, and nothing is in the log twice', async (_, isDone) => {
    const groups = [1, 254, 3, 300, 1];
    const total = groups.reduce((sum, count) => sum + count, 0);
    for (let n = 1, lived = false; !lived; n++) {
      const store = newStore();
      const first = await appendUntilKilled(dyingAfter(store, n, isDone), groups);
      lived = first.lived;
      const log = await open(store);
      const again = await log.append([...first.told.keys()].map((id) => aRecord(id)));
      expect(again, `${n}`).toEqual([...first.told.values()].map((index) => ({ index })));
      await log.append(someRecords(total));
      const ids = await idsOf(store);
      expect(ids, `${n}`).toHaveLength(total);
      expect(new Set(ids).size).toBe(total);
      for (const [id, index] of first.told) expect(ids[index]).toBe(id);
      expect(await reader(store).verifyLog()).toMatchObject({ size: total, records: total });
      expect(n).toBeLessThan(200);
    }
  });

  test('while it finishes what another killed one had begun leaves the rest to the next', async () => {
    const store = newStore();
    const steps = [9, 14, 20];
    for (const n of steps) await appendUntilKilled(dyingAfter(store, n, true), [250, 20, 400]);
    for (let n = 1; n < 30; n++) await appendUntilKilled(dyingAfter(store, n, n % 2 === 0), []);
    const log = await open(store);
    await log.append(someRecords(670));
    expect(new Set(await idsOf(store)).size).toBe(670);
    expect(await reader(store).verifyLog()).toMatchObject({ size: 670, records: 670 });
  });

  test('at one operation, and still lives, finds its way back', async () => {
    for (let n = 1; n < 40; n++) {
      const store = newStore();
      let left = Infinity;
      const failing = (): void => {
        left -= 1;
        if (left === 0) throw new Killed();
      };
      const log = await open({
        audit: watched(store.audit, () => undefined, failing),
        log: watched(store.log, () => undefined, failing),
      });
      left = n;
      for (const record of someRecords(5))
        await log.append([record]).catch((error: unknown) => expect(error).toBeInstanceOf(Killed));
      left = Infinity;
      const answers = await log.append(someRecords(300));
      expect(new Set(answers.map(({ index }) => index)).size, `${n}`).toBe(300);
      expect(await reader(store).verifyLog()).toMatchObject({ size: 300, records: 300 });
    }
  });
});

describe('two writers at once', () => {
  test('lose nothing that either acknowledged, and write no record twice', async () => {
    for (let round = 0; round < 10; round++) {
      const store = newStore();
      // Each operation takes a number of turns of its own, so that the two interleave in ever other ways.
      let seed = round + 1;
      const dawdle = async (): Promise<void> => {
        seed = (seed * 1103515245 + 12345) % 2 ** 31;
        for (let turns = seed % 4; turns > 0; turns--) await setImmediate();
      };
      const slow = { audit: watched(store.audit, dawdle), log: watched(store.log, dawdle) };
      const writers = await Promise.all([open(slow), open(slow)]);
      const told = new Map<string, Set<number>>();
      const appendAll = async (which: number): Promise<void> => {
        const log = writers[which];
        for (let from = 0; from < 300; from += 30) {
          // Half of the records are appended by both.
          const records = someRecords(30, which === 0 ? from : from + 150);
          const answers = (await log?.append(records)) ?? [];
          records.forEach(({ id }, at) => told.set(id, (told.get(id) ?? new Set()).add(answers[at]?.index ?? -1)));
        }
      };
      await Promise.all([appendAll(0), appendAll(1)]);
      const ids = await idsOf(store);
      expect(ids).toHaveLength(450);
      expect(told.size).toBe(450);
      for (const [id, indexes] of told) expect([...indexes], id).toEqual([ids.indexOf(id)]);
      await Promise.all(writers.map((log) => log.close()));
      expect(await reader(store).verifyLog()).toMatchObject({ size: 450, records: 450 });
    }
  });
});
