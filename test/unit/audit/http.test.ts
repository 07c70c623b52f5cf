import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { serveLog } from '../../../adapters/audit/http.js';
import { decodeBundle, hashesOfTile } from '../../../formats/tlog-tiles.js';
import { leafHash } from '../../../formats/tlog.js';
import { newStore, open, someRecords, type Store } from './fixtures.js';

let store: Store;
let server: Server;
let url: string;

beforeEach(async () => {
  store = newStore();
  const log = await open(store);
  for (let from = 0; from < 600; from += 100) await log.append(someRecords(100, from));
  server = createServer(serveLog(store));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(async () => {
  await new Promise((resolve) => server.close(resolve));
});

const bytesOf = async (path: string) => Buffer.from(await (await fetch(`${url}/${path}`)).arrayBuffer());

describe('the front end of the log', () => {
  test('serves the checkpoint, never from a cache', async () => {
    const answer = await fetch(`${url}/checkpoint`);
    expect(answer.headers.get('cache-control')).toBe('no-cache');
    expect(await answer.text()).toContain('\n600\n');
  });

  test('derives unfinished bundles and tiles of level 0, of every width the log ever had', async () => {
    for (const [index, widths] of [
      [0, [1, 99, 100, 101, 255]],
      [2, [1, 87, 88]],
    ] as const) {
      for (const width of widths) {
        const entries = decodeBundle(await bytesOf(`tile/entries/00${index}.p/${width}`), 'bundle');
        const hashes = hashesOfTile(await bytesOf(`tile/0/00${index}.p/${width}`));
        expect(entries).toHaveLength(width);
        expect(hashes).toEqual(entries.map(leafHash));
        expect(JSON.parse(entries[0]?.toString() ?? '')).toMatchObject({ id: `record-${index * 256}` });
      }
    }
  });

  test('serves full bundles and tiles, also where they have to be derived', async () => {
    const paths = ['tile/entries/001', 'tile/0/001'];
    const stored = await Promise.all(paths.map(bytesOf));
    for (const path of paths) store.store.deleteVersion('test-audit', path, null);
    expect(await Promise.all(paths.map(bytesOf))).toEqual(stored);
    expect(stored[1]?.length).toBe(8192);
    expect((await bytesOf('tile/1/000.p/2')).length).toBe(64);
  });

  test.each([
    'tile/0/002',
    'tile/0/002.p/89',
    'tile/1/000',
    'tile/1/000.p/3',
    'tile/entries/003.p/1',
    'batches/000/000',
    '',
  ])('does not have "%s"', async (path) => {
    expect((await fetch(`${url}/${path}`)).status).toBe(404);
  });

  test('is read only', async () => {
    expect((await fetch(`${url}/checkpoint`, { method: 'POST' })).status).toBe(405);
    const head = await fetch(`${url}/tile/0/000`, { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length')]).toEqual([200, '8192']);
  });

  test('says that the store is down', async () => {
    store.store.setAvailable(false);
    expect((await fetch(`${url}/checkpoint`)).status).toBe(503);
  });
});
