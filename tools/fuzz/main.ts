import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';

/**
 * Hands changed inputs to every reader of bytes from outside, keeps those that reach code which none had reached, and watches for
 * faults: anything thrown but a CustodyError, an input that takes seconds, memory without bound, a process that hangs or dies.
 */
const HANGS_AFTER_MS = 60_000;
const HEAP_MB = 600;

const options = new Command('fuzz')
  .option('--seconds <seconds>', 'how long', '60')
  .option('--seed <number>', 'another seed tries other inputs', String(Date.now() % 2 ** 31))
  .argument('[target...]', 'readers; all of them if none is named')
  .parse();
const { seconds, seed } = options.opts<{ seconds: string; seed: string }>();

const folder = mkdtempSync(join(tmpdir(), 'custody-fuzz-'));
const batch = join(folder, 'batch.json');
const loop = fileURLToPath(new URL('loop.js', import.meta.url));
process.stdout.write(`${JSON.stringify({ what: 'seed', seed })}\n`);
const child = spawn(
  process.execPath,
  [`--max-old-space-size=${HEAP_MB}`, loop, seconds, seed, batch, ...options.args],
  {
    stdio: 'inherit',
  },
);
let hung = false;
const watch = setInterval(() => {
  const at = statSync(batch, { throwIfNoEntry: false })?.mtimeMs;
  if (at === undefined || Date.now() - at < HANGS_AFTER_MS) return;
  hung = true;
  child.kill('SIGKILL');
}, 1000);
child.on('exit', (code, signal) => {
  clearInterval(watch);
  if (signal !== null || (code ?? 0) > 1)
    process.stdout.write(
      `${JSON.stringify({ what: hung ? 'hang' : 'crash', code, signal, batch: readFileSync(batch, 'utf8') })}\n`,
    );
  rmSync(folder, { recursive: true, force: true });
  process.exitCode = code ?? 1;
});
