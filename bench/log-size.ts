import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { exportLog } from '../adapters/audit/exported.js';
import { tilesOf } from '../adapters/audit/http.js';
import { PublishedLog } from '../adapters/audit/published.js';
import { inTurns, round, say, seconds, spread, timed } from './measure.js';
import { goBuild, newRecord, newRecords, startBenchStore, vkey } from './store.js';

/**
 * What the size of the audit log costs. The seconds of filling it, and the bytes of its files in the store; an append, one after
 * the other and in turns through logs of each size, in milliseconds; how many bytes of hashes a proof has; and `custody audit
 * verify` of the largest, taken along into a folder, beside Tessera's fsck of the same folder: whole processes, in turns. The
 * records as JSON Lines beside the log are left out, since fsck does not know them. Ratios above one are in Custody's favour. A log
 * of ten million takes ten times as long to fill as one of a million, and 8 GB of disk, and what is taken along comes on top: name it as a
 * size where there is room for it. Usage: log-size [size,size…] [appends]
 */
const sizes = (process.argv[2] ?? '1,1000,10000,100000,1000000').split(',').map(Number);
const appends = Number(process.argv[3] ?? 200);
const REPEATS = 5;
/** Appended in one call while a log is filled. */
const AT_ONCE = 16_384;

const folder = await mkdtemp(join(tmpdir(), 'custody-bench-'));
const store = await startBenchStore(join(folder, 'store'));
try {
  const logs: (Awaited<ReturnType<typeof filled>> & { readonly took: number[] })[] = [];
  for (const size of sizes) logs.push({ ...(await filled(size)), took: [] });
  for (let time = 0; time < appends; time += 1)
    for (const { log, took } of logs) {
      const begun = performance.now();
      await log.appender.append([newRecord()]);
      took.push(performance.now() - begun);
    }
  const points = [];
  for (const { records, log, took, filledSeconds, storeBytes } of logs) {
    const { path } = await (await PublishedLog.open(tilesOf(log), vkey)).prove(Math.floor(records / 3));
    points.push({ records, ...spread(took), proofBytes: Buffer.concat(path).length, filledSeconds, storeBytes });
  }
  // The appends themselves are much of what lies in a smaller one.
  const thousand = logs.find(({ records }) => records >= 1_000) ?? logs[0];
  const largest = logs.at(-1);
  if (thousand === undefined || largest === undefined) throw new Error('no sizes were given');
  const out = join(folder, 'log');
  await exportLog(await PublishedLog.open(tilesOf(largest.log), vkey), out, vkey);
  await rm(join(out, 'records.jsonl'));
  for (const { log } of logs) await log.appender.close();
  const verify = await verified(out, largest.records);
  const growth = round(spread(largest.took).p50 / spread(thousand.took).p50);
  say({ appends, points, largest: points.at(-1), growth, verify });
} finally {
  await store.stop();
  await rm(folder, { recursive: true, force: true });
}

async function filled(records: number) {
  const before = await bytesIn(join(folder, 'store'));
  const log = await store.newLog();
  const filledSeconds = await seconds(async () => {
    for (let left = records; left > 0; left -= AT_ONCE) await log.appender.append(newRecords(Math.min(left, AT_ONCE)));
  });
  return { records, log, filledSeconds, storeBytes: (await bytesIn(join(folder, 'store'))) - before };
}

async function bytesIn(of: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(of, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  return bytes;
}

async function verified(out: string, size: number): Promise<object> {
  const key = join(folder, 'vkey');
  await writeFile(key, vkey);
  const custody = join(import.meta.dirname, '../bundled/programs/custody.js');
  const ours = ['audit', 'verify', '--from', out, '--log-key', key];
  const theirs = ['-ui=false', '-N=2', '-storage_url', `${pathToFileURL(out).href}/`, '-public_key', key];
  const fsck = await goBuild('tools/fsck', 'github.com/transparency-dev/tessera/cmd/fsck', join(folder, 'fsck'));
  const peaks: Record<string, number> = {};
  const run = async (name: string, program: string, args: readonly string[]): Promise<number> => {
    const { seconds, exitCode, peakRssMib } = await timed(program, args);
    if (exitCode !== 0) throw new Error(`${name} ended with ${exitCode}`);
    peaks[name] = Math.max(peaks[name] ?? 0, peakRssMib);
    return seconds;
  };
  const took = await inTurns(REPEATS, {
    custody: () => run('custody', process.execPath, [custody, ...ours]),
    fsck: () => run('fsck', fsck, theirs),
  });
  return { records: size, seconds: took, peakRssMib: peaks, ratio: round(took.fsck / took.custody) };
}
