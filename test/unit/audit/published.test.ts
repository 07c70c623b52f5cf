import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { exportLog, folderTiles } from '../../../adapters/audit/exported.js';
import { tilesOf } from '../../../adapters/audit/http.js';
import { PublishedLog, type TileSource } from '../../../adapters/audit/published.js';
import { encodeRecord } from '../../../adapters/audit/record.js';
import { remember } from '../../../client/audit.js';
import { encodeVerifierKey, parseVerifierKeys } from '../../../formats/signed-note.js';
import { generateKey, importPrivateKey } from '../../../formats/keys.js';
import { EMPTY_ROOT, Frontier, leafHash, proveInclusion } from '../../../formats/tlog.js';
import { decodeProof, encodeProof, verifyProof } from '../../../formats/tlog-proof.js';
import { ORIGIN, aRecord, newStore, open, someRecords, vkey, type Store } from './fixtures.js';

const SIZE = 600;
let store: Store;
let folder: string;

async function logOf(size: number, first: ReturnType<typeof aRecord>[] = []): Promise<Store> {
  const made = newStore();
  const log = await open(made);
  await log.append(first);
  await log.append(someRecords(size - first.length, first.length));
  return made;
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'custody-published-'));
  store = await logOf(SIZE);
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const published = (of: Store = store): Promise<PublishedLog> => PublishedLog.open(tilesOf(of), vkey);

async function idsOf(log: PublishedLog): Promise<string[]> {
  const ids: string[] = [];
  for await (const { record } of log.records()) ids.push(record.id);
  return ids;
}

/** The log with one byte of one path flipped, or changed in another way. */
function changing(path: string, change: (bytes: Buffer) => Buffer | null): TileSource {
  const read = tilesOf(store);
  return async (asked) => {
    const bytes = await read(asked);
    return asked === path && bytes !== null ? change(Buffer.from(bytes)) : bytes;
  };
}

const flip =
  (at: number) =>
  (bytes: Buffer): Buffer => {
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
    return bytes;
  };

const badFrom = (index: number) => expect.objectContaining({ code: 'LOG_INVALID', details: { index } });

describe('a published log', () => {
  test.each([1, 255, 256, 257, 512, 600])('of %i records gives them all, computed again', async (size) => {
    const log = await published(await logOf(size));
    expect(await idsOf(log)).toEqual(someRecords(size).map(({ id }) => id));
  });

  test('proves every record to somebody who has only the key', async () => {
    const log = await published();
    for (const index of [0, 1, 255, 256, 511, 512, 598, 599]) {
      const proof = decodeProof(Buffer.from(encodeProof(await log.prove(index))));
      expect(verifyProof(proof, parseVerifierKeys(vkey))).toEqual(log.checkpoint);
      expect(JSON.parse(proof.entry.toString())).toMatchObject({ id: `record-${index}` });
    }
    for (const index of [600, -1, 0.5, NaN])
      await expect(log.prove(index), `${index}`).rejects.toThrow(expect.objectContaining({ code: 'USAGE' }));
  });

  test('knows what it was at every size, and has no other past', async () => {
    const log = await published();
    const tree = new Frontier();
    for (const record of someRecords(SIZE)) {
      const earlier = { origin: ORIGIN, size: tree.size, root: tree.root().toString('hex') };
      expect(await log.at(tree.size)).toEqual(earlier);
      tree.append(leafHash(encodeRecord(record)));
    }
    expect(await log.at(SIZE)).toEqual(log.checkpoint);
    await expect(log.at(SIZE + 1)).rejects.toThrow(badFrom(SIZE));
    const forged = await PublishedLog.open(changing('tile/0/000', flip(0)), vkey);
    await expect(forged.at(3)).rejects.toThrow(expect.objectContaining({ code: 'LOG_INVALID' }));
  });

  test('many proofs read what they share once', async () => {
    const asked: string[] = [];
    const log = await PublishedLog.open((path) => {
      asked.push(path);
      return tilesOf(store)(path);
    }, vkey);
    await Promise.all(Array.from({ length: SIZE }, (_, index) => log.prove(index)));
    await log.since(300);
    expect(asked.toSorted()).toEqual([...new Set(asked)].toSorted());
  });

  test('at ten million records, a proof is at most 768 bytes of hashes', async () => {
    for (const index of [0, 5_000_000, 9_999_999]) {
      const path = await proveInclusion(index, 10_000_000, () => EMPTY_ROOT);
      expect(Buffer.concat(path).length).toBeLessThanOrEqual(768);
    }
  });

  test.each([
    ['a full bundle', 'tile/entries/000', flip(2_000), 0, 255],
    ['the unfinished bundle', 'tile/entries/002.p/88', flip(2_000), 512, 599],
    ['a full tile', 'tile/0/001', flip(32 * 7), 263, 263],
    ['the unfinished tile', 'tile/0/002.p/88', flip(32 * 87), 599, 599],
    ['a tile above', 'tile/1/000.p/2', flip(40), 256, 256],
    ['a tile with something behind it', 'tile/0/001', (bytes: Buffer) => Buffer.concat([bytes, bytes]), 511, 511],
    ['a bundle cut short', 'tile/entries/001', (bytes: Buffer) => bytes.subarray(0, bytes.length - 1), 511, 511],
    ['a bundle that is gone', 'tile/entries/001', () => null, 256, 256],
    ['a tile that is gone', 'tile/0/001', () => null, 256, 256],
  ] as const)('attack: a change in %s is found, and where', async (_, path, change, from, to) => {
    expect(await tilesOf(store)(path), path).not.toBeNull();
    const found = await PublishedLog.open(changing(path, change), vkey)
      .then(idsOf)
      .catch((error: unknown) => error);
    expect(found).toMatchObject({ code: 'LOG_INVALID' });
    const { index } = (found as { details: { index: number } }).details;
    expect(index).toBeGreaterThanOrEqual(from);
    expect(index).toBeLessThanOrEqual(to);
  });

  test('attack: whoever changes an entry and every tile above it has no signature for that', async () => {
    const forged = await logOf(SIZE, [aRecord('record-0', { reason: 'as nobody agreed' })]);
    const tiles = tilesOf(forged);
    const note = await tilesOf(store)('checkpoint');
    const log = await PublishedLog.open(async (path) => (path === 'checkpoint' ? note : tiles(path)), vkey);
    await expect(idsOf(log)).rejects.toThrow(expect.objectContaining({ code: 'LOG_INVALID' }));
    await expect(log.prove(0)).rejects.toThrow(expect.objectContaining({ code: 'LOG_INVALID' }));
  });

  test('attack: a checkpoint of another key, or none, is no log', async () => {
    const other = encodeVerifierKey(ORIGIN, importPrivateKey(generateKey('ed25519').privatePem));
    await expect(PublishedLog.open(tilesOf(store), other)).rejects.toThrow(badFrom(0));
    await expect(PublishedLog.open(async () => null, vkey)).rejects.toThrow(badFrom(0));
  });

  test('goes on from what it was', async () => {
    const before = await published();
    const log = await open(store);
    await log.append(someRecords(1, SIZE));
    expect((await before.newer()).checkpoint.size).toBe(SIZE + 1);
  });
});

describe('a proof', () => {
  const text = async (): Promise<string> => encodeProof(await (await published()).prove(300));

  test.each([
    ['says another index', (proof: string) => proof.replace('index 300', 'index 301'), 'LOG_INVALID'],
    ['has another entry', (proof: string) => proof.replace(/extra \S+/, 'extra e30='), 'LOG_INVALID'],
    ['lacks a hash', (proof: string) => proof.replace(/(index 300\n)\S+\n/, '$1'), 'LOG_INVALID'],
    ['has a hash too many', (proof: string) => proof.replace(/(index 300\n)(\S+\n)/, '$1$2$2'), 'LOG_INVALID'],
    ['names another size', (proof: string) => proof.replace('\n600\n', '\n601\n'), 'SIGNATURE_INVALID'],
    ['is of another form', (proof: string) => proof.replace('@v1', '@v2'), 'MALFORMED'],
    ['brings no entry', (proof: string) => proof.replace(/extra \S+\n/, ''), 'MALFORMED'],
    ['says an index that is none', (proof: string) => proof.replace('index 300', 'index 0300'), 'MALFORMED'],
    ['ends early', (proof: string) => proof.slice(0, 60), 'MALFORMED'],
  ] as const)('attack: that %s proves nothing', async (_, change, code) => {
    const [good, changed] = [await text(), change(await text())];
    expect(changed).not.toBe(good);
    expect(() => verifyProof(decodeProof(Buffer.from(changed)), parseVerifierKeys(vkey))).toThrow(
      expect.objectContaining({ code }),
    );
  });
});

describe('whoever has seen a log before', () => {
  const file = (): string => join(folder, 'seen-checkpoint');

  test('keeps the newest checkpoint, and takes what goes on from it', async () => {
    const first = await published();
    await remember(file(), first, vkey);
    await (await open(store)).append(someRecords(300, SIZE));
    const grown = await published();
    await remember(file(), grown, vkey);
    await remember(file(), grown, vkey);
    expect(readFileSync(file()).equals(grown.note)).toBe(true);
  });

  test('is told nothing wrong where another command has seen a newer one meanwhile, which is kept', async () => {
    const [seen, asked] = [await published(), await published()];
    await remember(file(), seen, vkey);
    await (await open(store)).append(someRecords(300, SIZE));
    const newer = await published();
    await remember(file(), newer, vkey);
    await remember(file(), asked, vkey, seen.checkpoint);
    expect(readFileSync(file()).equals(newer.note)).toBe(true);
  });

  test('attack: refuses a shorter one that was signed just as well, and keeps both', async () => {
    await remember(file(), await published(), vkey);
    const shorter = await published(await logOf(SIZE - 1));
    await expect(remember(file(), shorter, vkey)).rejects.toThrow(/was seen before.*Both checkpoints are kept/);
    expect(readdirSync(folder).sort()).toEqual(['seen-checkpoint', expect.stringMatching(/^seen-checkpoint\.599-/)]);
  });

  test.each([SIZE, SIZE + 1, SIZE + 300])('attack: refuses a fork of %i records, and keeps both', async (size) => {
    const seen = await published();
    await remember(file(), seen, vkey);
    const fork = await published(await logOf(size, [aRecord('record-0', { reason: 'as nobody agreed' })]));
    await expect(remember(file(), fork, vkey)).rejects.toThrow(/another one than the log of 600/);
    expect(readFileSync(file()).equals(seen.note)).toBe(true);
    const [, other] = readdirSync(folder).sort();
    expect(readFileSync(join(folder, other ?? '')).equals(fork.note)).toBe(true);
  });
});

describe('a log that is taken along', () => {
  test('is verified without the stack, grows with the log, and is read as JSON Lines', async () => {
    const out = join(folder, 'log');
    await exportLog(await published(), out, vkey);
    await (await open(store)).append(someRecords(300, SIZE));
    await exportLog(await published(), out, vkey);
    const log = await PublishedLog.open(folderTiles(out), vkey);
    expect(await idsOf(log)).toHaveLength(SIZE + 300);
    const lines = readFileSync(join(out, 'records.jsonl'), 'utf8').trimEnd().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { id: string }).id)).toEqual(await idsOf(log));
  });

  test('attack: a byte that was changed in any of its files is found', async () => {
    const out = join(folder, 'log');
    const log = await published();
    await exportLog(log, out, vkey);
    for (const path of log.paths()) {
      const good = readFileSync(join(out, path));
      writeFileSync(join(out, path), flip(Math.floor(good.length / 2))(Buffer.from(good)));
      const read = PublishedLog.open(folderTiles(out), vkey).then(idsOf);
      await expect(read, path).rejects.toThrow(expect.objectContaining({ code: 'LOG_INVALID' }));
      writeFileSync(join(out, path), good);
    }
  });

  test('attack: another log does not go into the same folder', async () => {
    const out = join(folder, 'log');
    await exportLog(await published(), out, vkey);
    const fork = await logOf(SIZE + 5, [aRecord('record-0', { reason: 'as nobody agreed' })]);
    await expect(exportLog(await published(fork), out, vkey)).rejects.toThrow(/another one than the log of 600/);
  });
});
