import {
  neighbours,
  nodeKey,
  type InventoryEdge,
  type InventoryGraph,
  type InventoryNode,
} from '../domain/inventory.js';

/** What people call a node. Callers wrote part of it themselves: whoever prints it escapes it. */
export function labelOf(node: InventoryNode): string {
  switch (node.kind) {
    case 'model':
      return `endpoint ${node.model}`;
    case 'release':
      return `release ${node.model}@${node.version}`;
    case 'consumer':
      return `consumer ${node.id} (${node.criticality}, ${node.owner})`;
    case 'caller':
      return node.id === '' ? `callers without a name` : `${node.known} caller ${node.id}`;
  }
}

/** How `from` stands to what is above it in the tree of those who need it. */
const NEEDS: Readonly<Record<InventoryEdge['why'], string>> = {
  calls: 'is called by',
  is: 'is behind',
  serves: 'is served by',
  'is made from': 'is the origin of',
};

/** Deeper is shown no further to the right: lines of a long chain would grow with its square. */
const MAX_INDENT = 120;

/**
 * Who needs whom, as a tree from each of `roots` to whoever needs it. What was shown above is only named: so circles end, and
 * the tree has no more lines than there are edges.
 */
export function graphTree(graph: InventoryGraph, roots: readonly string[]): readonly string[] {
  const needers = neighbours(graph, ({ to }) => to);
  const shown = new Set<string>();
  const lines: string[] = [];
  // A stack of its own: a chain may be longer than the stack of calls is deep.
  const stack = [...roots].reverse().map((key) => ({ key, prefix: '', branch: '', rest: '' }));
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { key, prefix, branch, rest } = next;
    const node = graph.nodes.get(key);
    if (node === undefined || (branch === '' && shown.has(key))) continue;
    const edges = needers.get(key) ?? [];
    const again = shown.has(key) && edges.length > 0;
    lines.push(`${prefix}${branch}${labelOf(node)}${again ? ' (above)' : ''}`);
    if (shown.has(key)) continue;
    shown.add(key);
    const inner = `${prefix}${rest}`.slice(0, MAX_INDENT);
    for (const [at, { from, why }] of [...edges.entries()].reverse()) {
      const isLast = at === edges.length - 1;
      const branch = `${isLast ? '└─' : '├─'} ${NEEDS[why]} `;
      stack.push({ key: from, prefix: inner, branch, rest: isLast ? '   ' : '│  ' });
    }
  }
  return lines;
}

/** Where a tree of everything begins: at the endpoints, and at releases that none of them serves. */
export function rootsOf({ nodes }: InventoryGraph): readonly string[] {
  const keysOf = (kind: InventoryNode['kind']): string[] =>
    [...nodes].flatMap(([key, node]) => (node.kind === kind ? [key] : [])).sort();
  return [...keysOf('release'), ...keysOf('model')];
}

const SHAPES: Readonly<Record<InventoryNode['kind'], string>> = {
  model: 'box',
  release: 'note',
  consumer: 'ellipse',
  caller: 'plaintext',
};

/** For Graphviz. An arrow leads from who needs something to what it needs. */
export function graphDot(graph: InventoryGraph): readonly string[] {
  const quoted = (text: string): string => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
  return [
    'digraph inventory {',
    '  rankdir=LR;',
    ...[...graph.nodes.values()].map(
      (node) => `  ${quoted(nodeKey(node))} [shape=${SHAPES[node.kind]}, label=${quoted(labelOf(node))}];`,
    ),
    ...graph.edges.map(({ from, to, why }) => `  ${quoted(from)} -> ${quoted(to)} [label=${quoted(why)}];`),
    '}',
  ];
}

/** For Mermaid, which has no quoting: whatever could mean something to it is written as a character's number. */
export function graphMermaid(graph: InventoryGraph): readonly string[] {
  const ids = new Map([...graph.nodes.keys()].map((key, at) => [key, `n${at}`] as const));
  const told = (text: string): string => text.replace(/[^\w .@/-]/gu, (found) => `#${found.codePointAt(0) ?? 0};`);
  return [
    'flowchart LR',
    ...[...graph.nodes].map(([key, node]) => `  ${ids.get(key) ?? ''}["${told(labelOf(node))}"]`),
    ...graph.edges.map(({ from, to, why }) => `  ${ids.get(from) ?? ''} -->|${why}| ${ids.get(to) ?? ''}`),
  ];
}
