import { writeFileSync } from 'node:fs';
import { keep, keptFor } from './corpus.js';
import { Coverage } from './coverage.js';
import { Dice, mutated } from './mutate.js';
import { faultOf, TARGETS, type Target } from './targets.js';

/**
 * The process that runs the inputs. Before each batch it writes down what it is about to run, so that whoever watches it can
 * tell what it hung in or died of. Usage: loop.js <seconds> <seed> <file for the batch> [target…]
 */
const BATCH = 64;
const MAX_MS = 2000;
const MAX_RSS_MIB = 700;
const TURN_MS = 2000;

const [seconds = '60', seed = '1', batchFile = '', ...named] = process.argv.slice(2);
const dice = new Dice(Number(seed));
const endsAt = Date.now() + Number(seconds) * 1000;
const coverage = new Coverage();
const faults = new Set<string>();
let runs = 0;
let slowest = 0;
let peak = 0;

const targets = Object.entries(TARGETS).filter(([name]) => named.length === 0 || named.includes(name));
const kept = new Map<string, Buffer[]>();
for (const [name, target] of targets) kept.set(name, await distilled(name, target));
say('begins', { inputs: count(), ...coverage.reached });

while (Date.now() < endsAt) for (const [name, target] of targets) await turn(name, target);

for (const [name, inputs] of kept) keep(name, inputs);
say('ended', {
  runs,
  inputs: count(),
  ...coverage.reached,
  slowestMs: Math.round(slowest),
  peakRssMib: peak,
  faults: faults.size,
});
process.exitCode = faults.size === 0 ? 0 : 1;

/** Of what was kept, the shortest inputs that reach all of it. */
async function distilled(name: string, target: Target): Promise<Buffer[]> {
  const useful: Buffer[] = [];
  for (const bytes of keptFor(name).sort((a, b) => a.length - b.length))
    if (await isNew(name, target, bytes)) useful.push(bytes);
  return useful.length > 0 ? useful : [Buffer.from('{}')];
}

async function turn(name: string, target: Target): Promise<void> {
  const inputs = kept.get(name) ?? [];
  const until = Math.min(endsAt, Date.now() + TURN_MS);
  while (Date.now() < until) {
    const batch = Array.from({ length: BATCH }, () => mutated(dice.of(inputs), dice.of(inputs), dice));
    writeFileSync(batchFile, JSON.stringify({ name, batch: batch.map((each) => each.toString('base64')) }));
    for (const bytes of batch) await run(name, target, bytes);
    if (!coverage.look().isNew) continue;
    // Which of them it was is found out by running each of them alone.
    for (const bytes of batch) if (await isNew(name, target, bytes)) inputs.push(bytes);
  }
  const held = Math.round(process.memoryUsage.rss() / 1024 / 1024);
  peak = Math.max(peak, held);
  if (held > MAX_RSS_MIB) fault(name, Buffer.alloc(0), `${held} MiB are held`);
}

async function isNew(name: string, target: Target, bytes: Buffer): Promise<boolean> {
  coverage.look();
  await run(name, target, bytes);
  const seen = coverage.look();
  seen.counts();
  return seen.isNew;
}

async function run(name: string, target: Target, bytes: Buffer): Promise<void> {
  const startedAt = performance.now();
  const found = await faultOf(target, bytes);
  const took = performance.now() - startedAt;
  runs += 1;
  slowest = Math.max(slowest, took);
  if (found !== null) fault(name, bytes, found.stack ?? found.message);
  if (took > MAX_MS) fault(name, bytes, `it took ${Math.round(took)} ms`);
}

/** Each fault once, by where it was thrown. */
function fault(name: string, bytes: Buffer, problem: string): void {
  const key = `${name} ${problem.split('\n').slice(0, 2).join(' ').replace(/\d+/g, '#')}`;
  if (faults.has(key)) return;
  faults.add(key);
  say('fault', { target: name, problem, input: bytes.toString('base64') });
}

function count(): number {
  return [...kept.values()].reduce((sum, each) => sum + each.length, 0);
}

function say(what: string, details: object): void {
  process.stdout.write(`${JSON.stringify({ what, ...details })}\n`);
}
