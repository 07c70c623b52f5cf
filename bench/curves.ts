import { numberAt, valueAt, type Results } from './results.js';

/** What one costs as there are more of them. */
export interface Curve {
  readonly bench: string;
  readonly what: string;
  /** What there are more and more of. */
  readonly of: string;
  /** Where the bench says its points, from the fewest to the most; and where each of these says how many there are. */
  readonly points: string;
  readonly size: string;
  /** Where each says the cost. */
  readonly cost: string;
  readonly unit: string;
  /** `all`: of all of them together, so that one has its share. `one`: of one more, among so many. */
  readonly costOf: 'all' | 'one';
  /** As many times what one costs among the fewest it may cost among the most; `null` where the cost of the fewest says nothing. */
  readonly growth: number | null;
  readonly peer?: { readonly name: string; readonly at: string };
  readonly note?: string;
}

export interface CurvePoint {
  readonly size: number;
  /** What one costs. */
  readonly each: number;
  /** What one costs the peer; `null` without one. */
  readonly peer: number | null;
}

export interface CurveFigure {
  readonly curve: Curve;
  readonly points: readonly CurvePoint[];
  /** What one costs among the most, beside what it costs among the fewest where it costs anything. */
  readonly growth: number;
  readonly isMet: boolean;
}

const ENDPOINTS = { bench: 'endpoints', of: 'endpoints', points: 'points', size: 'endpoints' } as const;
const GRAPH = { bench: 'graph', of: 'edges', points: 'points', size: 'edges' } as const;
const LOG = { bench: 'log-size', of: 'records', points: 'points', size: 'records' } as const;
const LIVE = { bench: 'waiting', of: 'live lifecycles', points: 'lifecycles', size: 'releases' } as const;

/** In the order in which the benches run. */
export const CURVES: readonly Curve[] = [
  {
    ...{ ...ENDPOINTS, what: 'the check of one request', cost: 'checkNs', unit: 'ns', costOf: 'one', growth: 10 },
    note: 'requests go to all of them by turns, so that what is looked at of many no longer lies in the processor’s caches',
  },
  { ...ENDPOINTS, what: 'a kill until it is refused', cost: 'refusedMs', unit: 'ms', costOf: 'one', growth: 2 },
  {
    ...{ ...ENDPOINTS, what: 'a kill until it is on disk', cost: 'durableMs', unit: 'ms', costOf: 'one', growth: 10 },
    note: 'the gateway writes its state file whole, which grows with the endpoints',
  },
  { ...ENDPOINTS, what: 'a gateway opens from disk', cost: 'openMs', unit: 'ms', costOf: 'all', growth: 1 },
  { ...ENDPOINTS, what: 'memory of the gateway', cost: 'heapKib', unit: 'KiB', costOf: 'all', growth: 1.5 },
  { ...ENDPOINTS, what: 'state file of the gateway', cost: 'stateBytes', unit: 'bytes', costOf: 'all', growth: 1 },
  {
    ...{ ...GRAPH, what: 'who needs a model: all that do', cost: 'microseconds.custody', unit: 'µs', costOf: 'all' },
    ...{ growth: 1, peer: { name: 'SQLite in memory, a recursive query', at: 'microseconds.sqlite' } },
  },
  {
    ...{ ...GRAPH, what: 'making the graph', cost: 'madeMs.custody', unit: 'ms', costOf: 'all', growth: 1 },
    peer: { name: 'SQLite, filling its table', at: 'madeMs.sqlite' },
  },
  { ...LOG, what: 'an append', cost: 'p50', unit: 'ms', costOf: 'one', growth: 1.5 },
  {
    ...{ ...LOG, what: 'the proof of one record', cost: 'proofBytes', unit: 'bytes', costOf: 'one', growth: null },
    note: 'it grows with the logarithm: a hash more where there are twice as many records',
  },
  {
    ...{ ...LOG, what: 'filling the log', cost: 'filledSeconds', unit: 's', costOf: 'all', growth: 1 },
    note: 'ten million are measured where the bench is run by itself with that size, as they take minutes and more than 10 GB',
  },
  { ...LOG, what: 'bytes in the store', cost: 'storeBytes', unit: 'bytes', costOf: 'all', growth: 1.5 },
  { ...LIVE, what: 'memory of control’s worker', cost: 'workerMib', unit: 'MiB', costOf: 'all', growth: null },
  { ...LIVE, what: 'memory of Temporal', cost: 'serverMib', unit: 'MiB', costOf: 'all', growth: null },
  { ...LIVE, what: 'Temporal’s database on disk', cost: 'fileMib', unit: 'MiB', costOf: 'all', growth: null },
];

/** Those of the benches that have run. */
export function curveFiguresOf(curves: readonly Curve[], { benches }: Results): readonly CurveFigure[] {
  return curves.flatMap((curve) => {
    const ran = benches[curve.bench];
    return ran === undefined ? [] : [figureOf(curve, ran.said)];
  });
}

function figureOf(curve: Curve, said: object): CurveFigure {
  const list = valueAt(said, curve.points);
  if (!Array.isArray(list) || list.length === 0)
    throw new Error(`${curve.bench} says no ${curve.points}: “${curve.what}”`);
  const points = list.map((point: unknown): CurvePoint => {
    const size = numberAt(curve, point, curve.size);
    const each = (path: string): number => numberAt(curve, point, path) / (curve.costOf === 'all' ? size : 1);
    return { size, each: each(curve.cost), peer: curve.peer === undefined ? null : each(curve.peer.at) };
  });
  const measured = points.filter(isMeasured);
  const growth = (measured.at(-1)?.each ?? NaN) / (measured[0]?.each ?? NaN);
  return { curve, points, growth, isMet: curve.growth === null || growth <= curve.growth };
}

/** A few of them may cost less than can be told from nothing. */
export const isMeasured = ({ each }: CurvePoint): boolean => each > 0;
