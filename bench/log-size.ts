import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { exportLog } from '../adapters/audit/exported.js';
import { tilesOf } from '../adapters/audit/http.js';
import { PublishedLog } from '../adapters/audit/published.js';
import { inTurns, round, say, spread, timed, type Spread } from './measure.js';
import { goBuild, newRecord, newRecords, startBenchStore, vkey, type BenchLog } from './store.js';

/**
 * What the size of the audit log costs. An append, one after the other and in turns through logs of each size, in
 * milliseconds; how many bytes of hashes a proof has; and `custody audit verify` of the largest, taken along into a folder,
 * beside Tessera's fsck of the same folder: whole processes, in turns. The records as JSON Lines beside the log are left
 * out, since fsck does not know them. Ratios above one are in Custody's favour. Usage: log-size [size,size…] [appends]
 */
const sizes = (process.argv[2] ?? '1000,100000,1000000').split(',').map(Number);
const appends = Number(process.argv[3] ?? 200);
const REPEATS = 5;
/** Appended in one call while a log is filled. */
const AT_ONCE = 16_384;

const folder = await mkdtemp(join(tmpdir(), 'custody-bench-'));
const store = await startBenchStore(join(folder, 'store'));
try {
  const logs: { size: number; log: BenchLog; took: number[] }[] = [];
  for (const size of sizes) logs.push({ size, log: await filled(size), took: [] });
  for (let time = 0; time < appends; time += 1)
    for (const { log, took } of logs) {
      const begun = performance.now();
      await log.appender.append([newRecord()]);
      took.push(performance.now() - begun);
    }
  const bySize: Record<string, Spread & { proofBytes: number }> = {};
  for (const { size, log, took } of logs) {
    const { path } = await (await PublishedLog.open(tilesOf(log), vkey)).prove(Math.floor(size / 3));
    bySize[size] = { ...spread(took), proofBytes: Buffer.concat(path).length };
  }
  const [smallest, largest] = [logs[0], logs.at(-1)];
  if (smallest === undefined || largest === undefined) throw new Error('no sizes were given');
  const out = join(folder, 'log');
  await exportLog(await PublishedLog.open(tilesOf(largest.log), vkey), out, vkey);
  await rm(join(out, 'records.jsonl'));
  for (const { log } of logs) await log.appender.close();
  const verify = await verified(out, largest.size);
  say({
    appends: { times: appends, milliseconds: bySize },
    growth: round(spread(largest.took).p50 / spread(smallest.took).p50),
    verify,
  });
} finally {
  await store.stop();
  await rm(folder, { recursive: true, force: true });
}

async function filled(size: number): Promise<BenchLog> {
  const log = await store.newLog();
  for (let left = size; left > 0; left -= AT_ONCE) await log.appender.append(newRecords(Math.min(left, AT_ONCE)));
  return log;
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
