import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { CustodyError } from '../domain/errors.js';
import { dependentsOf, makeGraph, modelKey, type InventoryEdge, type InventoryNode } from '../domain/inventory.js';
import { inTurns, median, round, say } from './measure.js';

/**
 * Who needs a model, also through others, in a graph in which all the others do: microseconds of one question, at each number of
 * edges, and of making the graph. Each node needs up to three that were there before it. Beside it a recursive query of SQLite,
 * in turns, on the same edges in memory, by their index. Ratios above one are in Custody's favour. Usage: graph [edges,edges…] [turns]
 */
const sizes = (process.argv[2] ?? '1,10,100,1000,10000,100000,300000').split(',').map(Number);
const turns = Number(process.argv[3] ?? 21);
const NEEDS = 3;
/** Edges that one measurement of ours goes along at least, by as many questions as that takes. */
const AT_LEAST = 100_000;
const python = process.env['CUSTODY_PYTHON'];
if (python === undefined) throw new CustodyError('TOOL_MISSING', 'name a Python in CUSTODY_PYTHON');

const folder = mkdtempSync(join(tmpdir(), 'custody-bench-'));
try {
  const points: Awaited<ReturnType<typeof point>>[] = [];
  for (const edges of sizes) points.push(await point(python, edges));
  const most = points.at(-1);
  if (most === undefined) throw new Error('no sizes were given');
  say({ points, most: { ...most, ratio: round(most.microseconds.sqlite / most.microseconds.custody) } });
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function point(program: string, edges: number) {
  const pairs = pairsOf(edges);
  const nodes = new Set(pairs.flat()).size;
  const file = join(folder, String(edges));
  writeFileSync(file, Int32Array.from(pairs.flat()));
  const [made, graph] = build(pairs, nodes);
  const root = [modelKey('model-0')];
  const questions = Math.ceil(AT_LEAST / edges);
  const sqlite = await startSqlite(program, file);
  try {
    const microseconds = await inTurns(turns, {
      custody: () => {
        const startedAt = performance.now();
        for (let time = 0; time < questions; time += 1) demand(dependentsOf(graph, root).length, nodes);
        return Promise.resolve(((performance.now() - startedAt) * 1000) / questions);
      },
      sqlite: async () => {
        const { reached, ms } = await sqlite.ask();
        demand(reached, nodes);
        return ms * 1000;
      },
    });
    const peer = `SQLite ${sqlite.version}`;
    return { edges, nodes, peer, microseconds, madeMs: { custody: made, sqlite: round(sqlite.filledMs) } };
  } finally {
    sqlite.end();
  }
}

/** Needed and needer. The same at each run. */
function pairsOf(edges: number): (readonly [number, number])[] {
  let state = 1;
  const below = (limit: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const pairs: [number, number][] = [];
  for (let needer = 1; pairs.length < edges; needer += 1) {
    const needed = new Set(Array.from({ length: NEEDS }, () => below(needer)));
    for (const each of needed) if (pairs.length < edges) pairs.push([each, needer]);
  }
  return pairs;
}

/** The graph, and the median of the milliseconds that making it takes. */
function build(pairs: readonly (readonly [number, number])[], count: number) {
  const node = (at: number): InventoryNode => ({ kind: 'model', model: `model-${at}` });
  const edge = ([needed, needer]: readonly [number, number]): InventoryEdge => ({
    ...{ from: modelKey(`model-${needer}`), to: modelKey(`model-${needed}`), why: 'calls' },
  });
  const once = () => {
    const [nodes, edges] = [Array.from({ length: count }, (_, at) => node(at)), pairs.map(edge)];
    const startedAt = performance.now();
    const graph = makeGraph(nodes, edges);
    return [performance.now() - startedAt, graph] as const;
  };
  const all = Array.from({ length: 5 }, once);
  const graph = all[0]![1];
  if (graph.edges.length !== pairs.length) throw new Error('an edge was there twice');
  return [median(all.map(([ms]) => ms)), graph] as const;
}

async function startSqlite(program: string, file: string) {
  const script = join(import.meta.dirname, '../../bench/peers/reach.py');
  const child = spawn(program, [script, file], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const next = async (): Promise<readonly string[]> => {
    const read = await lines.next();
    if (read.done === true) throw new Error('SQLite has ended');
    return read.value.split(' ');
  };
  const [, version = '', filledMs] = await next();
  return {
    version,
    filledMs: Number(filledMs),
    ask: async () => {
      child.stdin.write('\n');
      const [reached, ms] = await next();
      return { reached: Number(reached), ms: Number(ms) };
    },
    end: () => child.stdin.end(),
  };
}

function demand(reached: number, nodes: number): void {
  if (reached !== nodes - 1) throw new Error(`${reached} of ${nodes - 1} were reached`);
}
