import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PublishedLog, type TileSource } from '../adapters/audit/published.js';
import { encodeRecord } from '../adapters/audit/record.js';
import { parseVerifierKeys } from '../formats/signed-note.js';
import { verifyProof } from '../formats/tlog-proof.js';
import { TILE_WIDTH, encodeBundle, parseTilePath } from '../formats/tlog-tiles.js';
import { leafHash, rootOver } from '../formats/tlog.js';
import { median, round, say, seconds, spread } from './measure.js';
import { goBuild, newRecord, startBenchStore, vkey, type BenchLog } from './store.js';

/**
 * What an append to the audit log takes, beside Tessera's POSIX log in its own process (batches of 10 ms, a checkpoint every
 * 100 ms: the least that it permits), in turns. One after the other, in milliseconds: until the record is locked in WORM, in
 * the tree and under a signed checkpoint, which is when an append answers; and until the proof of inclusion is made and
 * checked as well, from the checkpoint as the store has it and the appender's own copy of the tree. Then many at once, in
 * records a second; Tessera's are integrated then, and wait for their checkpoint. Ratios above one are in Custody's favour.
 *
 * Equal: 400 bytes, a Merkle tree in tiles, a signed checkpoint, a proof. Not equal: Custody writes through S3 to a store
 * in another process, with versions and Object Lock that it reads back, and knows each id once; Tessera writes files. The
 * embedded store syncs nothing, Tessera each file and its folder: see fsync in the answer. Usage: append [times] [records] [appenders]
 */
const times = Number(process.argv[2] ?? 100);
const records = Number(process.argv[3] ?? 50_000);
const appenders = Number(process.argv[4] ?? 256);
const REPEATS = 3;

interface Peer {
  readonly integrated: readonly number[] | null;
  readonly published: readonly number[] | null;
  readonly perSecond: number;
}

const folder = await mkdtemp(join(tmpdir(), 'custody-bench-'));
const store = await startBenchStore(join(folder, 'store'));
try {
  const peer = await goBuild('bench/peers/tessera', '.', join(folder, 'tessera'));
  const tessera = async (...args: readonly string[]): Promise<Peer> => {
    const at = await mkdtemp(join(folder, 'log-'));
    const { stdout } = await promisify(execFile)(peer, ['-folder', at, ...args], { maxBuffer: 2 ** 26 });
    await rm(at, { recursive: true });
    return JSON.parse(stdout) as Peer;
  };
  const acknowledged: number[] = [];
  const proved: number[] = [];
  const integrated: number[] = [];
  const published: number[] = [];
  const perSecond: { custody: number[]; tessera: number[] } = { custody: [], tessera: [] };
  await oneByOne(await store.newLog(), times, []);
  for (let repeat = 0; repeat < REPEATS; repeat += 1) {
    acknowledged.push(...(await oneByOne(await store.newLog(), times, proved)));
    const told = await tessera('-sequential', String(times));
    integrated.push(...(told.integrated ?? []));
    published.push(...(told.published ?? []));
    perSecond.custody.push(await atOnce(await store.newLog()));
    perSecond.tessera.push((await tessera('-appenders', String(appenders), '-records', String(records))).perSecond);
  }
  const one = {
    acknowledged: spread(acknowledged),
    proved: spread(proved),
    tesseraIntegrated: spread(integrated),
    tesseraPublished: spread(published),
  };
  const many = { custody: median(perSecond.custody), tessera: median(perSecond.tessera) };
  say({
    oneByOne: { times, milliseconds: one },
    atOnce: { appenders, records, perSecond: many },
    fsync: { custodyEmbeddedStore: 'never', tessera: 'each file and its folder' },
    ratios: {
      provedBesidePublished: round(one.tesseraPublished.p50 / one.proved.p50),
      acknowledgedBesideIntegrated: round(one.tesseraIntegrated.p50 / one.acknowledged.p50),
      perSecond: round(many.custody / many.tessera),
    },
  });
} finally {
  await store.stop();
  await rm(folder, { recursive: true, force: true });
}

async function oneByOne({ appender, log }: BenchLog, count: number, withProof: number[]): Promise<number[]> {
  const took: number[] = [];
  const entries: Buffer[] = [];
  const leaves: Buffer[] = [];
  const own: TileSource = async (path) => {
    const asked = parseTilePath(path);
    if (asked === null) return (await log.read(path))?.body ?? null;
    const { level, index, width } = asked;
    const first = index * TILE_WIDTH;
    if (level === 'entries') return encodeBundle(entries.slice(first, first + width));
    if (level === 0) return Buffer.concat(leaves.slice(first, first + width));
    return Buffer.concat(Array.from({ length: width }, (_, at) => rootOver(leaves.slice(at * 256, at * 256 + 256))));
  };
  for (let time = 0; time < count; time += 1) {
    const record = newRecord();
    const begun = performance.now();
    const [answer] = await appender.append([record]);
    took.push(performance.now() - begun);
    const entry = encodeRecord(record);
    entries.push(entry);
    leaves.push(leafHash(entry));
    const proof = await (await PublishedLog.open(own, vkey)).prove(answer?.index ?? -1);
    withProof.push(performance.now() - begun);
    verifyProof(proof, parseVerifierKeys(vkey));
  }
  await appender.close();
  return took;
}

async function atOnce({ appender }: BenchLog): Promise<number> {
  let left = records;
  const one = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await appender.append([newRecord()]);
    }
  };
  const took = await seconds(() => Promise.all(Array.from({ length: appenders }, one)));
  await appender.close();
  return records / took;
}
