import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { median } from '../../../bench/measure.js';

/** The processes of a stack. */
export const SERVERS = ['temporal', 'store'] as const;
export const OURS = [
  ...(['vault', 'gateway', 'api', 'control', 'intake', 'signing', 'serving', 'training', 'watch'] as const),
];

/** How large a process is at a moment. */
export interface Sample {
  readonly at: number;
  readonly rssMib: number;
  readonly handles: number;
}

export function sampleOf(pid: number): Sample {
  const status = readFileSync(join('/proc', String(pid), 'status'), 'utf8');
  const kib = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]);
  if (Number.isNaN(kib)) throw new Error(`process ${pid} has no memory`);
  return { at: Date.now(), rssMib: kib / 1024, handles: readdirSync(join('/proc', String(pid), 'fd')).length };
}

const HOUR_MS = 3_600_000;

/** By how much it grows, once it has warmed up: from the second quarter of its samples to the last, in each hour. */
export function growthOf(samples: readonly Sample[], what: 'rssMib' | 'handles'): number {
  const quarter = Math.floor(samples.length / 4);
  const [second, last] = [samples.slice(quarter, 2 * quarter), samples.slice(-quarter)];
  const middle = (some: readonly Sample[]): number => median(some.map(({ at }) => at));
  const size = (some: readonly Sample[]): number => median(some.map((each) => each[what]));
  return ((size(last) - size(second)) / (middle(last) - middle(second))) * HOUR_MS;
}
