import type { Row } from './rows/row.js';

/** What the benches have said, and where. */
export interface Results {
  readonly machine: {
    readonly processor: string;
    readonly cores: number;
    readonly gib: number;
    readonly kernel: string;
    readonly node: string;
  };
  /** By bench: when it ran, how many seconds it took, and all that it said. */
  readonly benches: Readonly<Record<string, Ran>>;
}

export interface Ran {
  readonly at: string;
  readonly seconds: number;
  readonly said: object;
}

export interface Figure {
  readonly row: Row;
  readonly ours: number;
  readonly peer: number | null;
  /** How many times better than the peer; `null` without one. */
  readonly times: number | null;
  /** How much of its goal it has reached: from one on it has met it. */
  readonly ofGoal: number;
}

/** The figures of the benches that have run. A bench that no longer says what its row asks for is an error. */
export function figuresOf(rows: readonly Row[], { benches }: Results): readonly Figure[] {
  return rows.flatMap((row) => {
    const ran = benches[row.bench];
    return ran === undefined ? [] : [figureOf(row, ran.said)];
  });
}

function figureOf(row: Row, said: object): Figure {
  const ours = numberAt(row, said, row.ours);
  const peer = row.peer === undefined ? null : numberAt(row, said, row.peer.at);
  // What is left of a difference may be nothing, or less: no goal is out of its reach.
  const fewer = (than: number): number => (ours > 0 ? than / ours : Infinity);
  const timesBetter = (than: number): number => (row.better === 'less' ? fewer(than) : ours / than);
  const times = peer === null ? null : timesBetter(peer);
  if ('value' in row.goal) return { row, ours, peer, times, ofGoal: timesBetter(row.goal.value) };
  if (times === null) throw new Error(`${row.bench}: “${row.what}” is to be better than a peer that it does not name`);
  return { row, ours, peer, times, ofGoal: times / row.goal.times };
}

/** What a bench says there; an error where it says none. */
export function numberAt({ bench, what }: Pick<Row, 'bench' | 'what'>, said: unknown, path: string): number {
  const at = valueAt(said, path);
  if (typeof at !== 'number' || !Number.isFinite(at)) throw new Error(`${bench} says no ${path}: “${what}”`);
  return at;
}

export function valueAt(said: unknown, path: string): unknown {
  let at = said;
  for (const key of path.split('.')) at = (at as Record<string, unknown> | undefined)?.[key];
  return at;
}

export const isMet = ({ ofGoal }: Figure): boolean => ofGoal >= 1;

/** Why the rest of a missed goal is out of reach. */
export const limitOf = ({ row }: Figure): string => row.limit ?? 'why has not been found out';

/** By peer: how many times as long it took here as on the machine on which the goals were set. */
export function paces(figures: readonly Figure[]): { readonly name: string; readonly times: number }[] {
  return figures.flatMap(({ row, peer }) => {
    if (peer === null || row.peer?.there === undefined) return [];
    const { name, there } = row.peer;
    return [{ name, times: row.better === 'less' ? peer / there : there / peer }];
  });
}

/** Three digits that count. */
export function digits(value: number): string {
  if (value === 0) return '0';
  const places = Math.min(3, Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value)))));
  const fixed = value.toFixed(places);
  return Number(fixed).toLocaleString('en-US', { maximumFractionDigits: places });
}

export function goalOf({ row: { goal, better, unit } }: Figure): string {
  const sign = better === 'less' && 'value' in goal ? '≤' : '≥';
  return 'times' in goal ? `${sign} ${goal.times}×` : `${sign} ${digits(goal.value)} ${unit}`;
}

/** As text of SVG. */
export function escaped(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}
