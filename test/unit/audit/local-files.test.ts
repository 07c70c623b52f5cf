import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { exportedBundles, exportLog, folderTiles } from '../../../adapters/audit/exported.js';
import { tilesOf } from '../../../adapters/audit/http.js';
import { PublishedLog } from '../../../adapters/audit/published.js';
import { States } from '../../../adapters/audit/states.js';
import { remember } from '../../../client/audit.js';
import { disk, failingFile, remount } from '../../support/disks.js';
import { aRecord, key, newStore, open, someRecords, vkey, type Store } from './fixtures.js';
import { digest, time } from './histories.js';

/** What is kept of the log on this host, on disks that fail, are full or read-only, and with something else in its place. */

/** So many records make a snapshot, and fill bundles and tiles. */
const MANY = 4_200;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'custody-local-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function logOf(size: number, first = aRecord('first')): Promise<Store> {
  const store = newStore();
  const log = await open(store);
  await log.append([first, ...someRecords(size - 1)]);
  await log.close();
  return store;
}

const published = (store: Store): Promise<PublishedLog> => PublishedLog.open(tilesOf(store), vkey);
const partials = (of: string): string[] =>
  readdirSync(of, { recursive: true, encoding: 'utf8' }).filter((name) => /partial|\.states\./.test(name));

describe('the snapshot of states', () => {
  const warn = vi.fn();
  beforeEach(() => warn.mockClear());
  const routed = aRecord('first', { change: 'route.changed', after: digest('a'), time: time(1) });
  const routeBy = async (store: Store, file: string): Promise<unknown> => {
    const states = new States({ buckets: store, key, vkey, file, log: { warn } });
    return (await states.current()).index.at('digits', time(5)).route?.digest;
  };

  test.each<[string, (file: string) => unknown]>([
    ['a disk that fails', (file) => failingFile(file)],
    ['a folder in its place', (file) => mkdirSync(join(file, 'in'), { recursive: true })],
    ['nothing in it, as after a crash', (file) => writeFileSync(file, '')],
  ])('is passed over, aloud, with %s: whoever asks is answered from the log', async (_, spoil) => {
    const store = await logOf(MANY, routed);
    const file = join(folder, 'states');
    await spoil(file);
    expect(await routeBy(store, file)).toBe(digest('a'));
    expect(warn.mock.calls[0]?.[1]).toMatch(/is no snapshot of ours: the log is read from its first record/);
    expect(partials(folder)).toEqual([]);
    // And once more, after the next start.
    expect(await routeBy(store, file)).toBe(digest('a'));
  });

  test('is not written to a full disk, aloud, and nothing half of it is left; once there is room it is', async (context) => {
    const small = await disk('size=16k', context);
    const store = await logOf(MANY, routed);
    expect(await routeBy(store, join(small, 'states'))).toBe(digest('a'));
    expect(warn.mock.calls.map(([, says]) => String(says))).toEqual([expect.stringMatching(/could not be written/)]);
    expect(readdirSync(small)).toEqual([]);
    await remount(small, 'size=16m');
    expect(await routeBy(store, join(small, 'states'))).toBe(digest('a'));
    expect(readdirSync(small)).toEqual(['states']);
    expect(warn).toHaveBeenCalledOnce();
  });

  test('attack: on a read-only disk, one that the log does not go on from is still found out', async (context) => {
    const place = await disk('size=16m', context);
    await routeBy(await logOf(MANY, routed), join(place, 'states'));
    await remount(place, 'ro');
    const other = await logOf(MANY, { ...routed, after: digest('b') });
    await expect(routeBy(other, join(place, 'states'))).rejects.toMatchObject({ code: 'LOG_INVALID' });
  });
});

describe('the newest checkpoint that was seen', () => {
  const file = (of = folder): string => join(of, 'seen-checkpoint');
  /** The checkpoint that is there fills it: of the pages that a disk is made of, it has one for files. */
  const full = 'size=4k';

  test('stays as it was while the disk is full, and the next command keeps the newer one', async (context) => {
    const small = await disk(full, context);
    const store = await logOf(10);
    const first = await published(store);
    await remember(file(small), first, vkey);
    await (await open(store)).append([aRecord('more')]);
    const grown = await published(store);
    await expect(remember(file(small), grown, vkey)).rejects.toMatchObject({ code: 'NO_SPACE' });
    expect(readFileSync(file(small)).equals(first.note)).toBe(true);
    expect(partials(small)).toEqual([]);
    await remount(small, 'size=64k');
    await remember(file(small), grown, vkey);
    expect(readFileSync(file(small)).equals(grown.note)).toBe(true);
  });

  test('attack: that a log was taken back is said also where there is no room to keep the other checkpoint', async (context) => {
    const small = await disk(full, context);
    await remember(file(small), await published(await logOf(10)), vkey);
    const shorter = await published(await logOf(9));
    const found = await remember(file(small), shorter, vkey).catch((error: unknown) => error);
    expect(found).toMatchObject({ code: 'LOG_INVALID', details: { checkpoint: shorter.note.toString('utf8') } });
    expect((found as Error).message).toContain(shorter.note.toString('utf8'));
    expect(readdirSync(small)).toEqual(['seen-checkpoint']);
  });

  test.each<[string, (at: string) => unknown]>([
    ['on a disk that fails', (at) => failingFile(at)],
    ['with a folder in its place', (at) => mkdirSync(at)],
    ['empty, as after a crash', (at) => writeFileSync(at, '')],
  ])('attack: %s it is not taken for one that was never there', async (_, spoil) => {
    await spoil(file());
    await expect(remember(file(), await published(await logOf(10)), vkey)).rejects.toThrow(
      /EIO|EISDIR|seen-checkpoint/,
    );
    expect(readdirSync(folder)).toEqual(['seen-checkpoint']);
  });
});

describe('a log that is taken along', () => {
  const whole = async (out: string): Promise<number> => {
    const log = await PublishedLog.open(folderTiles(out), vkey);
    let count = 0;
    for await (const { entries } of exportedBundles(out, log)) count += entries.length;
    return count;
  };

  test('to a disk that fills up is continued by the same command once there is room, and verifies', async (context) => {
    const out = await disk('size=128k', context);
    const log = await published(await logOf(600));
    await expect(exportLog(log, out, vkey)).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(partials(out)).toEqual([]);
    await remount(out, 'size=64m');
    await exportLog(log, out, vkey);
    expect(await whole(out)).toBe(600);
    expect(partials(out)).toEqual([]);
  });

  test('to a read-only disk is refused; one that is there verifies', async (context) => {
    const out = await disk('size=64m', context);
    const store = await logOf(300);
    await exportLog(await published(store), out, vkey);
    await remount(out, 'ro');
    expect(await whole(out)).toBe(300);
    await (await open(store)).append([aRecord('more')]);
    await expect(exportLog(await published(store), out, vkey)).rejects.toMatchObject({ code: 'EROFS' });
    expect(await whole(out)).toBe(300);
  });

  test.each(['checkpoint', 'tile/entries/000', 'records.jsonl'])(
    'attack: a disk that fails at its %s is no log, and is not read past',
    async (path) => {
      const out = join(folder, 'log');
      await exportLog(await published(await logOf(300)), out, vkey);
      rmSync(join(out, path));
      await failingFile(join(out, path));
      await expect(whole(out)).rejects.toMatchObject({ code: 'EIO' });
    },
  );

  test('attack: a file in the way of its folders is a log that lacks its tiles', async () => {
    const out = join(folder, 'log');
    const store = await logOf(300);
    await exportLog(await published(store), out, vkey);
    rmSync(join(out, 'tile'), { recursive: true });
    writeFileSync(join(out, 'tile'), '');
    await expect(whole(out)).rejects.toMatchObject({ code: 'LOG_INVALID', details: { index: 0 } });
    await expect(exportLog(await published(store), out, vkey)).rejects.toMatchObject({ code: 'ENOTDIR' });
  });
});
