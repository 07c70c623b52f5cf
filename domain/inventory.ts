import type { Criticality, Declared } from './consumers.js';
import type { CallersReport, SeenCaller, SeenOfModel } from './gateway.js';
import type { ReleaseName } from './names.js';

/** How sure it is who calls: proved and declared for this model; proved, but declared for others; named only; not even that. */
export const CALLER_KINDS = ['declared', 'undeclared', 'unknown', 'anonymous'] as const;
export type CallerKind = (typeof CALLER_KINDS)[number];

/** What is in the graph. A model stands for its endpoint. */
export type InventoryNode =
  | { readonly kind: 'model'; readonly model: string }
  | ({ readonly kind: 'release' } & ReleaseName)
  | { readonly kind: 'consumer'; readonly id: string; readonly owner: string; readonly criticality: Criticality }
  | { readonly kind: 'caller'; readonly id: string; readonly known: Exclude<CallerKind, 'declared'> };

export const EDGE_KINDS = ['calls', 'is', 'serves', 'is made from'] as const;

/** `from` needs `to`. */
export interface InventoryEdge {
  readonly from: string;
  readonly to: string;
  readonly why: (typeof EDGE_KINDS)[number];
}

/** Who needs whom: each node once, by its key. Edges that name no node of it are left out. Made by `makeGraph` alone. */
export interface InventoryGraph {
  readonly nodes: ReadonlyMap<string, InventoryNode>;
  readonly edges: readonly InventoryEdge[];
  readonly numbered: Numbered;
}

/**
 * The same by numbers, so that a question looks no key up but those that it names. Who needs node `n` stands in `needers` from
 * `starts[n]` on, up to `starts[n + 1]`.
 */
interface Numbered {
  readonly numbers: ReadonlyMap<string, number>;
  readonly keys: readonly string[];
  readonly nodes: readonly InventoryNode[];
  readonly starts: Int32Array;
  readonly needers: Int32Array;
}

export const modelKey = (model: string): string => `model/${model}`;
export const releaseKey = ({ model, version }: ReleaseName): string => `release/${model}/${version}`;
export const consumerKey = (id: string): string => `consumer/${id}`;
/** Whoever only says who it is never becomes the one it names. */
export const callerKey = (known: Exclude<CallerKind, 'declared'>, id: string): string => `caller/${known}/${id}`;

export function nodeKey(node: InventoryNode): string {
  switch (node.kind) {
    case 'model':
      return modelKey(node.model);
    case 'release':
      return releaseKey(node);
    case 'consumer':
      return consumerKey(node.id);
    case 'caller':
      return callerKey(node.known, node.id);
  }
}

export function makeGraph(nodes: Iterable<InventoryNode>, edges: Iterable<InventoryEdge>): InventoryGraph {
  const byKey = new Map<string, InventoryNode>();
  for (const node of nodes) byKey.set(nodeKey(node), node);
  const keys = [...byKey.keys()];
  const numbers = new Map(keys.map((key, at) => [key, at] as const));
  const seen = new Set<number>();
  const kept: InventoryEdge[] = [];
  const [froms, tos]: [number[], number[]] = [[], []];
  for (const edge of edges) {
    const [from, to] = [numbers.get(edge.from), numbers.get(edge.to)];
    if (from === undefined || to === undefined) continue;
    const triple = (from * keys.length + to) * EDGE_KINDS.length + EDGE_KINDS.indexOf(edge.why);
    if (seen.has(triple)) continue;
    seen.add(triple);
    kept.push(edge);
    froms.push(from);
    tos.push(to);
  }
  const numbered = { numbers, keys, nodes: [...byKey.values()], ...byTarget(keys.length, froms, tos) };
  return { nodes: byKey, edges: kept, numbered };
}

function byTarget(count: number, froms: readonly number[], tos: readonly number[]) {
  const starts = new Int32Array(count + 2);
  for (const to of tos) starts[to + 2]! += 1;
  for (let at = 2; at < starts.length; at += 1) starts[at]! += starts[at - 1]!;
  // Each place is used up as it is filled, and so becomes the start of the next.
  const needers = new Int32Array(tos.length);
  for (const [at, to] of tos.entries()) needers[starts[to + 1]!++] = froms[at]!;
  return { starts, needers };
}

/** Everything that needs one of `roots`, directly or through others, nearest first; the roots are not in it. */
export function dependentsOf({ numbered }: InventoryGraph, roots: readonly string[]): readonly InventoryNode[] {
  const { began, queue, end } = searched(numbered, roots);
  // Made at once: a list that grows is copied again and again.
  const found = new Array<InventoryNode>(end - began);
  for (let at = began; at < end; at += 1) found[at - began] = numbered.nodes[queue[at]!]!;
  return found;
}

/** A node that was reached, by the edge that led to it: the way back to where the search began. */
export interface Reached {
  readonly node: InventoryNode;
  /** How many edges lie between. 1: it needs it itself. */
  readonly distance: number;
  /** The key of the node through which it needs it. */
  readonly through: string;
}

/** As `dependentsOf`, with the way to each. */
export function waysOfDependents({ numbered }: InventoryGraph, roots: readonly string[]): readonly Reached[] {
  const { keys, nodes } = numbered;
  const { began, queue, through, end } = searched(numbered, roots);
  const distances = new Int32Array(keys.length);
  return Array.from(queue.subarray(began, end), (number, at) => {
    const from = through[began + at]!;
    const distance = (distances[number] = distances[from]! + 1);
    return { node: nodes[number]!, distance, through: keys[from]! };
  });
}

/** Each node and each edge is looked at once, whatever circles there are. The roots come first in the queue. */
function searched({ numbers, keys, starts, needers }: Numbered, roots: readonly string[]) {
  const rooted = [...new Set(roots.flatMap((root) => numbers.get(root) ?? []))];
  const visited = new Uint8Array(keys.length);
  for (const root of rooted) visited[root] = 1;
  const [queue, through] = [new Int32Array(keys.length), new Int32Array(keys.length)];
  queue.set(rooted);
  let end = rooted.length;
  for (let at = 0; at < end; at += 1) {
    const number = queue[at]!;
    for (let each = starts[number]!; each < starts[number + 1]!; each += 1) {
      const needer = needers[each]!;
      if (visited[needer] === 1) continue;
      visited[needer] = 1;
      through[end] = number;
      queue[end++] = needer;
    }
  }
  return { began: rooted.length, queue, through, end };
}

/** Edges by the node on one of their sides. */
export function neighbours(
  { edges }: InventoryGraph,
  side: (edge: InventoryEdge) => string,
): ReadonlyMap<string, readonly InventoryEdge[]> {
  const found = new Map<string, InventoryEdge[]>();
  for (const edge of edges) {
    const held = found.get(side(edge));
    if (held === undefined) found.set(side(edge), [edge]);
    else held.push(edge);
  }
  return found;
}

/** What is known of an environment, from its statements and its gateways. */
export interface InventoryFacts {
  readonly consumers: readonly Declared[];
  readonly seen: readonly SeenOfModel[];
  /** What endpoints route to, or keep warm. */
  readonly served: readonly ReleaseName[];
  readonly releases: readonly ReleaseName[];
  /** What a release says that it was made from: another release, or a model in whatever version. */
  readonly origins: readonly {
    readonly child: ReleaseName;
    readonly origin: ReleaseName | { readonly model: string };
  }[];
}

/** Whoever was removed is in it no more; whose declaration has expired is, since it may still depend on the model. */
export function inventoryGraph({ consumers, seen, served, releases, origins }: InventoryFacts): InventoryGraph {
  const nodes: InventoryNode[] = [];
  const edges: InventoryEdge[] = [];
  const model = (name: string): string => {
    nodes.push({ kind: 'model', model: name });
    return modelKey(name);
  };
  const release = ({ model: of, version }: ReleaseName): string => {
    nodes.push({ kind: 'release', model: of, version });
    return releaseKey({ model: of, version });
  };
  for (const each of releases) release(each);
  for (const each of served) edges.push({ from: model(each.model), to: release(each), why: 'serves' });
  for (const { child, origin } of origins) {
    const to = 'version' in origin ? release(origin) : model(origin.model);
    edges.push({ from: release(child), to, why: 'is made from' });
  }
  const living = new Set<string>();
  for (const { predicate } of consumers) {
    const { consumer: id, owner, criticality, models, endpoint } = predicate;
    if (models.length === 0) continue;
    living.add(id);
    nodes.push({ kind: 'consumer', id, owner, criticality });
    for (const name of models) edges.push({ from: consumerKey(id), to: model(name), why: 'calls' });
    if (endpoint !== null) edges.push({ from: model(endpoint), to: consumerKey(id), why: 'is' });
  }
  for (const { model: name, callers } of seen)
    for (const caller of callers) {
      const isConsumer = (caller.kind === 'declared' || caller.kind === 'undeclared') && living.has(caller.id);
      const known = caller.kind === 'declared' ? 'unknown' : caller.kind;
      if (!isConsumer) nodes.push({ kind: 'caller', id: caller.id, known });
      const from = isConsumer ? consumerKey(caller.id) : callerKey(known, caller.id);
      edges.push({ from, to: model(name), why: 'calls' });
    }
  return makeGraph(nodes, edges);
}

/** What several gateways have seen, as if it had been one. */
export function mergeSeen(reports: readonly CallersReport[]): readonly SeenOfModel[] {
  const byModel = new Map<
    string,
    { callers: Map<string, SeenCaller>; overflow: { requests: number; refused: number } }
  >();
  for (const { models } of reports)
    for (const { model, callers, overflow } of models) {
      const merged = byModel.get(model) ?? {
        callers: new Map<string, SeenCaller>(),
        overflow: { requests: 0, refused: 0 },
      };
      byModel.set(model, merged);
      merged.overflow.requests += overflow.requests;
      merged.overflow.refused += overflow.refused;
      for (const caller of callers) {
        const key = `${caller.kind} ${caller.id}`;
        const before = merged.callers.get(key);
        merged.callers.set(key, before === undefined ? caller : together(before, caller));
      }
    }
  return [...byModel].map(([model, { callers, overflow }]) => ({ model, callers: [...callers.values()], overflow }));
}

function together(a: SeenCaller, b: SeenCaller): SeenCaller {
  return {
    ...a,
    firstSeen: a.firstSeen < b.firstSeen ? a.firstSeen : b.firstSeen,
    lastSeen: a.lastSeen > b.lastSeen ? a.lastSeen : b.lastSeen,
    requests: a.requests + b.requests,
    refused: a.refused + b.refused,
    perSecond: a.perSecond + b.perSecond,
  };
}
