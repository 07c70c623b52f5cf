import fc from 'fast-check';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { exportLog, exportedBundles, folderTiles } from '../../adapters/audit/exported.js';
import { tilesOf } from '../../adapters/audit/http.js';
import { openAuditLog } from '../../adapters/audit/log.js';
import { PublishedLog } from '../../adapters/audit/published.js';
import { readLog } from '../../adapters/audit/reader.js';
import { openBucket } from '../../adapters/object-store/s3.js';
import { exitCodeOf } from '../../domain/errors.js';
import { encodeVerifierKey } from '../../formats/signed-note.js';
import { generateKey, importPrivateKey } from '../../formats/keys.js';
import { entriesOfBundle, parseTilePath } from '../../formats/tlog-tiles.js';
import { ACCEPTED, fsck, tlog } from '../support/log-checkers.js';
import { startStore, type TestStore } from '../support/store.js';
import { someRecords } from '../unit/audit/fixtures.js';

const ORIGIN = 'custody.example/sizes';
const SMALL = [1, 255, 256, 257] as const;
const LARGE = [65_536, 100_000] as const;
const SIZES = [...SMALL, ...LARGE];
/** `CUSTODY_EVERY_BYTE=1` takes half an hour. Where not, a step that no entry, hash or tile is a multiple of. */
const STEP = process.env['CUSTODY_EVERY_BYTE'] === '1' ? 1 : 97;
const TIMEOUT = STEP === 1 ? 1_800_000 : 120_000;
/** Of a large log, beside one byte in each kind of file. */
const RANDOM_BYTES = 4;
const key = importPrivateKey(generateKey('ed25519').privatePem);
const vkey = encodeVerifierKey(ORIGIN, key);

let store: TestStore;
let folder: string;

const out = (size: number): string => join(folder, String(size));
const vkeyFile = (): string => join(folder, 'vkey');

/** One log, taken along at each size into a folder of its own. */
beforeAll(async () => {
  store = await startStore();
  folder = await mkdtemp(join(tmpdir(), 'custody-sizes-'));
  await writeFile(vkeyFile(), vkey);
  const names = { audit: `audit-${randomUUID()}`, log: `log-${randomUUID()}` };
  await store.admin.createBucket(names.audit, { objectLock: true, versioning: true });
  await store.admin.createBucket(names.log, { objectLock: false, versioning: false });
  const buckets = { audit: openBucket(store.config, names.audit), log: openBucket(store.config, names.log) };
  const retainUntil = new Date(Date.now() + 3_600_000).toISOString();
  const writing = await openAuditLog({ ...buckets, key, vkey, lock: async () => ({ retainUntil }) });
  let before = 0;
  for (const size of SIZES) {
    await writing.append(someRecords(size - before, before));
    await exportLog(await PublishedLog.open(tilesOf(buckets), vkey), out(size), vkey);
    before = size;
  }
  await writing.close();
  expect(await readLog({ ...buckets, vkey }).verifyLog()).toMatchObject({ size: before, records: before });
}, 120_000);

afterAll(async () => {
  await store.stop();
  await rm(folder, { recursive: true, force: true });
});

async function pathsOf(size: number): Promise<string[]> {
  const log = await PublishedLog.open(folderTiles(out(size)), vkey);
  return [...log.paths()];
}

/** The first record that a changed byte makes invalid. */
function indexOf(path: string, at: number, bytes: Buffer): number {
  const asked = parseTilePath(path);
  if (asked === null) return 0;
  const { level, index } = asked;
  if (level !== 'entries') return (index * 256 + Math.floor(at / 32)) * 256 ** level;
  let end = 0;
  const entry = entriesOfBundle(bytes).entries.findIndex(({ length }) => at < (end += 2 + length));
  return index * 256 + entry;
}

/** What our own full check says of the folder with one byte changed. */
async function change(size: number, path: string, at: number, by: number): Promise<unknown> {
  const read = folderTiles(out(size));
  const changed = async (asked: string): Promise<Buffer | null> => {
    const bytes = await read(asked);
    if (asked === path) bytes?.writeUInt8(bytes.readUInt8(at) ^ by, at);
    return bytes;
  };
  try {
    for await (const { first } of (await PublishedLog.open(changed, vkey)).bundles()) expect(first).toBeLessThan(size);
    return null;
  } catch (error) {
    return error;
  }
}

async function expectFound(size: number, path: string, at: number, by: number): Promise<void> {
  const bytes = readFileSync(join(out(size), path));
  expect(await change(size, path, at, by), `byte ${at} of ${path} at ${size}`).toMatchObject({
    code: 'LOG_INVALID',
    details: { index: indexOf(path, at, bytes) },
  });
}

describe.each(SIZES)('a log of %i records', (size) => {
  test("is accepted by golang.org/x/mod and Tessera's fsck: its root, its records, and that it goes on from each before", async () => {
    const earlier = SIZES.filter((other) => other < size);
    const prove = size > 257 ? 2_000 : size;
    const said = await tlog(out(size), vkeyFile(), {
      prove,
      earlier: earlier.map((other) => join(out(other), 'checkpoint')),
    });
    const { root } = (await PublishedLog.open(folderTiles(out(size)), vkey)).checkpoint;
    expect(said).toMatchObject({ size, root, proved: prove, consistent: earlier });
    expect(await fsck(`${pathToFileURL(out(size)).href}/`, vkeyFile())).toContain(ACCEPTED);
  });
});

describe('attack: a changed byte', () => {
  test.each(SMALL)('anywhere in a log of %i records is found by others', { timeout: TIMEOUT }, async (size) => {
    const said = await tlog(out(size), vkeyFile(), { every: size === 1 ? 1 : STEP });
    expect(said.flipped).toBeGreaterThan(400);
    expect(said.missed).toEqual({ xmod: [], tessera: [] });
  });

  test.each(SMALL)('anywhere in a log of %i records is found by us, and where', { timeout: TIMEOUT }, async (size) => {
    for (const path of await pathsOf(size)) {
      const { length } = readFileSync(join(out(size), path));
      for (let at = 0; at < length; at += size === 1 ? 1 : STEP) await expectFound(size, path, at, 1);
    }
  });

  test.each(LARGE)('in a log of %i records is found by others', async (size) => {
    const said = await tlog(out(size), vkeyFile(), { random: RANDOM_BYTES, prove: 1 });
    expect(said.flipped).toBeGreaterThan(RANDOM_BYTES);
    expect(said.missed).toEqual({ xmod: [], tessera: [] });
  });

  test.each(LARGE)('in a log of %i records is found by us, and where', async (size) => {
    const paths = await pathsOf(size);
    const kinds = new Map(
      paths.toReversed().map((path) => [path.replaceAll(/\d{3}/g, 'N').replace(/\.p\/.*/, '.p'), path]),
    );
    expect(kinds.size).toBeGreaterThan(4);
    for (const path of kinds.values()) await expectFound(size, path, readFileSync(join(out(size), path)).length - 3, 2);
    const somewhere = fc.tuple(fc.constantFrom(...paths), fc.nat(), fc.integer({ min: 1, max: 255 }));
    await fc.assert(
      fc.asyncProperty(somewhere, async ([path, at, by]) => {
        await expectFound(size, path, at % readFileSync(join(out(size), path)).length, by);
      }),
      { numRuns: RANDOM_BYTES },
    );
  });

  test('in the records beside the log is found, and one that was added', async () => {
    const file = join(out(257), 'records.jsonl');
    const good = await readFile(file);
    const said = async (bytes: Buffer): Promise<unknown> => {
      await writeFile(file, bytes);
      const log = await PublishedLog.open(folderTiles(out(257)), vkey);
      try {
        for await (const { first } of exportedBundles(out(257), log)) expect(first).toBeLessThan(257);
        return null;
      } catch (error) {
        return error;
      }
    };
    const lines = good.toString('utf8').split('\n');
    const bad = (index: number) => ({ code: 'LOG_INVALID', details: { index } });
    for (const index of [0, 100, 256])
      for (const forged of [
        lines.with(index, lines[index]?.replace('as agreed', 'as denied') ?? ''),
        lines.toSpliced(index, 1),
      ])
        expect(await said(Buffer.from(forged.join('\n')))).toMatchObject(bad(index));
    expect(await said(Buffer.concat([good, Buffer.from('{}\n')]))).toMatchObject(bad(257));
    expect(await said(good.subarray(0, -1))).toMatchObject(bad(256));
    expect(await said(good)).toBeNull();
  });

  test('ends `custody audit verify` with exit code 6 and the first bad index', async () => {
    const path = join(out(257), 'tile/entries/000');
    const good = await readFile(path);
    const at = good.indexOf('as agreed', Math.floor(good.length / 2));
    await writeFile(path, Buffer.from(good).fill('d', at + 3, at + 4));
    const custody = join(import.meta.dirname, '../../dist/bundled/programs/custody.js');
    const args = ['audit', 'verify', '--from', out(257), '--log-key', vkeyFile(), '--json'];
    const ended = await promisify(execFile)(process.execPath, [custody, ...args]).catch((error: unknown) => error);
    await writeFile(path, good);
    expect(exitCodeOf('LOG_INVALID')).toBe(6);
    expect(ended).toMatchObject({ code: 6, stdout: expect.stringContaining('LOG_INVALID') as string });
    expect((ended as { stdout: string }).stdout).toContain(`"index":${indexOf('tile/entries/000', at + 3, good)}`);
  });
});
