import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { encodeSnapshot, openSnapshot } from '../../../adapters/audit/state-snapshot.js';
import { States } from '../../../adapters/audit/states.js';
import { StateIndex } from '../../../domain/state.js';
import { generateKey, importPrivateKey } from '../../../formats/keys.js';
import { aRecord, key, newStore, open, type Store, vkey } from './fixtures.js';
import { digest, history, MODELS, numbered, pick, time } from './histories.js';

const NO_IDS = Buffer.alloc(0);
const root = digest('a');
/** So many records make a snapshot. */
const MANY = 4_096;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'custody-states-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('a snapshot of states', () => {
  test('and what came after it give what the whole log gives, over any history', () => {
    const places = fc.tuple(fc.nat(150), fc.nat(150)).map((pair) => pair.sort((a, b) => a - b));
    fc.assert(
      fc.property(history, places, fc.nat(59), pick(...MODELS), (records, [first = 0, second = 0], minute, model) => {
        const all = numbered(records);
        const kept = openSnapshot(encodeSnapshot(StateIndex.of(all.slice(0, first)), NO_IDS, root, key), key);
        const index = new StateIndex(kept);
        for (const logged of all.slice(first, second)) index.add(logged);
        // And from one that was made of that.
        const again = new StateIndex(openSnapshot(encodeSnapshot(index, kept.ids, root, key), key));
        for (const logged of all.slice(second)) again.add(logged);
        expect(again.at(model, time(minute))).toEqual(StateIndex.of(all).at(model, time(minute)));
        expect(again.fleetAt(time(minute))).toHaveLength(StateIndex.of(all).fleetAt(time(minute)).length);
      }),
      { numRuns: 300 },
    );
  });

  test('attack: with any byte changed it is none', () => {
    const records = numbered([aRecord('one'), aRecord('two', { change: 'route.changed', after: digest('b') })]);
    const bytes = encodeSnapshot(StateIndex.of(records), NO_IDS, root, key);
    expect(openSnapshot(bytes, key).size).toBe(2);
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8((changed[at] ?? 0) ^ 1, at);
      expect(() => openSnapshot(changed, key), `byte ${at}`).toThrow();
    }
  });

  test('attack: by another key it is none', () => {
    const other = importPrivateKey(generateKey('ed25519').privatePem);
    const bytes = encodeSnapshot(StateIndex.of(numbered([aRecord('one')])), NO_IDS, root, other);
    expect(() => openSnapshot(bytes, key)).toThrow(expect.objectContaining({ code: 'SIGNATURE_INVALID' }));
  });
});

describe('the states of a log', () => {
  const warn = vi.fn();
  const statesOf = (buckets: Store) => new States({ buckets, key, vkey, file: join(folder, 'states'), log: { warn } });
  const append = async (buckets: Store, ...records: ReturnType<typeof aRecord>[]) => {
    const log = await open(buckets);
    await log.append(records);
    await log.close();
  };
  const routed = (id: string, digit: string, minute: number) =>
    aRecord(id, { change: 'route.changed', after: digest(digit), time: time(minute) });
  const filler = Array.from({ length: MANY }, (_, at) => aRecord(`filler ${at}`, { change: 'message.refused' }));
  beforeEach(() => warn.mockClear());

  test('follow it', async () => {
    const store = newStore();
    await append(store, routed('first', 'a', 1));
    const states = statesOf(store);
    expect((await states.current()).index.at('digits', time(5)).route?.digest).toBe(digest('a'));
    await append(store, routed('second', 'b', 2));
    const { index, log } = await states.current();
    expect(index.at('digits', time(5)).route).toEqual({ digest: digest('b'), index: 1 });
    expect(log.checkpoint.size).toBe(2);
  });

  test('begin with the snapshot, and read only what came since', async () => {
    const store = newStore();
    await append(store, routed('first', 'a', 1), ...filler);
    await statesOf(store).current();
    await append(store, routed('second', 'b', 2));
    const read = vi.spyOn(store.audit, 'read');
    const { index } = await statesOf(store).current();
    expect(index.size).toBe(MANY + 2);
    expect(read.mock.calls.filter(([path]) => /^tile\/entries\/0+0$/.test(path))).toEqual([]);
    expect(index.at('digits', time(1)).route?.digest).toBe(digest('a'));
    expect(index.at('digits', time(5)).route?.digest).toBe(digest('b'));
    expect(warn).not.toHaveBeenCalled();
  });

  test('attack: a snapshot that somebody has changed is passed over, aloud, and made again', async () => {
    const store = newStore();
    await append(store, routed('first', 'a', 1), ...filler);
    await statesOf(store).current();
    const file = join(folder, 'states');
    const kept = readFileSync(file);
    writeFileSync(file, Buffer.from(kept.toString('latin1').replaceAll(digest('a'), digest('b')), 'latin1'));
    const { index } = await statesOf(store).current();
    expect(index.at('digits', time(5)).route?.digest).toBe(digest('a'));
    expect(warn).toHaveBeenCalledOnce();
    expect(readFileSync(file)).toEqual(kept);
  });

  test('attack: a log that does not go on from the snapshot has been taken back', async () => {
    const [before, after] = [newStore(), newStore()];
    await append(before, routed('first', 'a', 1), ...filler);
    await statesOf(before).current();
    await append(after, routed('first', 'b', 1), ...filler);
    await expect(statesOf(after).current()).rejects.toMatchObject({ code: 'LOG_INVALID' });
    const shorter = newStore();
    await append(shorter, routed('first', 'a', 1));
    await expect(statesOf(shorter).current()).rejects.toMatchObject({ code: 'LOG_INVALID' });
  });
});
