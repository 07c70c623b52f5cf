import { execa } from 'execa';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem, type as system } from 'node:os';
import { join } from 'node:path';
import pc from 'picocolors';
import { isoTime } from '../domain/time.js';
import { costOf, curvesChart, unitOf, verdictOf } from './curve-report.js';
import { curveFiguresOf, CURVES } from './curves.js';
import { round } from './measure.js';
import { chart, page } from './report.js';
import { digits, figuresOf, goalOf, isMet, limitOf, type Ran, type Results } from './results.js';
import { ROWS } from './rows.js';

/**
 * Runs the benches one after the other, or those that are named, prints their figures beside their goals, and writes
 * `bench/results.json` and the page about it. What was measured before of the others stays. Ends with 1 where a bench has failed; a goal
 * that is missed is shown as missed. Usage: run [bench …]
 */
const root = join(import.meta.dirname, '../..');
const file = join(root, 'bench/results.json');
const all = [...new Set([...ROWS, ...CURVES].map(({ bench }) => bench))];
const named = process.argv.slice(2);
const unknown = named.filter((name) => !all.includes(name));
if (unknown.length > 0) throw new Error(`no bench is called ${unknown.join(', ')}: there are ${all.join(', ')}`);

const before: Partial<Results> = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Results) : {};
const benches: Record<string, Ran> = { ...before.benches };
const failed: string[] = [];
for (const name of named.length === 0 ? all : named) {
  const ran = await run(name);
  if (ran === null) {
    failed.push(name);
    continue;
  }
  benches[name] = ran;
  const results = { machine: machine(), benches };
  print(results, name);
  printCurves(results, name);
  writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`);
  writeFileSync(join(root, 'docs/performance.md'), page(ROWS, CURVES, results));
  writeFileSync(join(root, 'docs/performance.svg'), chart(ROWS, results));
  writeFileSync(join(root, 'docs/performance-curves.svg'), curvesChart(CURVES, results));
}
if (failed.length > 0) process.stderr.write(`${pc.red(`failed: ${failed.join(', ')}`)}\n`);
process.exitCode = failed.length > 0 ? 1 : 0;

async function run(name: string): Promise<Ran | null> {
  const startedAt = Date.now();
  const { stdout, failed: hasFailed } = await execa(process.execPath, [join(import.meta.dirname, `${name}.js`)], {
    cwd: root,
    reject: false,
    stderr: 'inherit',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (hasFailed) return null;
  const said = stdout.split('\n').flatMap((text) => (text.startsWith('{') ? [JSON.parse(text) as object] : []));
  const seconds = round((Date.now() - startedAt) / 1000);
  return { at: isoTime(startedAt), seconds, said: Object.assign({}, ...said) as object };
}

function machine(): Results['machine'] {
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    gib: Math.round(totalmem() / 1024 ** 3),
    kernel: `${system()} ${release()}`,
    node: process.versions.node,
  };
}

function print(results: Results, name: string): void {
  for (const figure of figuresOf(ROWS, results)) {
    const { row, ours, peer, times } = figure;
    if (row.bench !== name) continue;
    const beside = peer === null || times === null ? '' : `${row.peer?.name ?? ''} ${digits(peer)}: ${digits(times)}×`;
    const verdict = isMet(figure) ? pc.green('met') : pc.red(`missed: ${digits(figure.ofGoal * 100)} %`);
    const cells = [row.bench.padEnd(14), row.what.padEnd(78), `${digits(ours)} ${row.unit}`.padStart(22)];
    process.stdout.write(`${cells.join(' ')}  ${goalOf(figure).padEnd(24)} ${verdict}  ${pc.dim(beside)}\n`);
    if (!isMet(figure)) process.stdout.write(`${' '.repeat(15)}${pc.dim(limitOf(figure))}\n`);
  }
}

function printCurves(results: Results, name: string): void {
  for (const figure of curveFiguresOf(CURVES, results)) {
    const { curve, points, isMet: isAsGood } = figure;
    if (curve.bench !== name) continue;
    const cells = points.map(({ size, each }) => `${digits(size)}: ${costOf(each)}`);
    const verdict = verdictOf(figure).replaceAll('*', '');
    const head = `${curve.bench}: ${curve.what}, ${unitOf(curve)}`;
    process.stdout.write(`${head}\n  ${cells.join('  ')}\n  ${(isAsGood ? pc.dim : pc.red)(verdict)}\n`);
  }
}
