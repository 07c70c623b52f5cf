import { execa } from 'execa';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';

export const MIB = 1024 * 1024;

export interface Run {
  readonly seconds: number;
  readonly peakRssMib: number;
  readonly exitCode: number | undefined;
  readonly stdout: string;
}

/** Runs a program to its end; its memory is looked at while it runs. */
export async function timed(program: string, args: readonly string[]): Promise<Run> {
  const startedAt = performance.now();
  const child = execa(program, args, { reject: false, maxBuffer: 512 * MIB });
  let peak = 0;
  const watch = setInterval(() => (peak = Math.max(peak, peakOf(child.pid))), 2);
  const { exitCode, stdout } = await child;
  clearInterval(watch);
  return {
    seconds: round((performance.now() - startedAt) / 1000),
    peakRssMib: Math.round(peak / 1024),
    exitCode,
    stdout,
  };
}

/** VmHWM, in KiB. */
function peakOf(pid: number | undefined): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid ?? 0}/status`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0; // It has ended.
  }
}

/** One after the other in turns, so that all meet the same machine: the median of each. */
export async function inTurns<K extends string>(
  repeats: number,
  sides: Readonly<Record<K, () => Promise<number>>>,
): Promise<Record<K, number>> {
  const names = Object.keys(sides) as K[];
  const taken = new Map<K, number[]>(names.map((name) => [name, []]));
  for (let repeat = 0; repeat < repeats; repeat += 1)
    for (const name of names) taken.get(name)?.push(await sides[name]());
  return Object.fromEntries(names.map((name) => [name, median(taken.get(name) ?? [])])) as Record<K, number>;
}

export async function seconds(act: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await act();
  return (performance.now() - startedAt) / 1000;
}

export async function writeRandom(path: string, bytes: number): Promise<void> {
  const handle = await open(path, 'w');
  try {
    for (let written = 0; written < bytes; written += 16 * MIB)
      await handle.write(randomBytes(Math.min(16 * MIB, bytes - written)));
  } finally {
    await handle.close();
  }
}

export function median(values: readonly number[]): number {
  return round([...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN);
}

export interface Spread {
  readonly p50: number;
  readonly p99: number;
}

/** Nearest-rank percentiles. */
export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => round(sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN);
  return { p50: at(0.5), p99: at(0.99) };
}

export function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

export function say(result: object): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
