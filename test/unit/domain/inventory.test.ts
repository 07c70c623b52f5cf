import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  callerKey,
  consumerKey,
  dependentsOf,
  inventoryGraph,
  makeGraph,
  mergeSeen,
  modelKey,
  nodeKey,
  releaseKey,
  waysOfDependents,
  type InventoryEdge,
  type InventoryFacts,
  type InventoryGraph,
  type InventoryNode,
} from '../../../domain/inventory.js';
import type { ConsumerPredicate } from '../../../domain/consumers.js';
import type { SeenCaller } from '../../../domain/gateway.js';
import { graphDot, graphMermaid, graphTree, labelOf, rootsOf } from '../../../formats/graph.js';
import { sha256 } from '../../../formats/sha256.js';
import { createWorld } from '../../support/world.js';

const world = createWorld();
const declared = (overrides: Partial<ConsumerPredicate>) => ({
  digest: sha256(JSON.stringify(overrides)),
  predicate: world.consumer(overrides).predicate,
  counts: true,
});
const caller = (overrides: Partial<SeenCaller>): SeenCaller => ({
  id: '',
  kind: 'anonymous',
  firstSeen: world.at(-60),
  lastSeen: world.at(-1),
  requests: 1,
  refused: 0,
  perSecond: 0,
  ...overrides,
});
const EMPTY: InventoryFacts = { consumers: [], seen: [], served: [], releases: [], origins: [] };
const seen = (model: string, ...callers: readonly SeenCaller[]) => ({
  model,
  callers,
  overflow: { requests: 0, refused: 0 },
});
const dependents = (graph: InventoryGraph, ...roots: string[]): string[] => dependentsOf(graph, roots).map(nodeKey);

describe('who depends on a model', () => {
  test('declared consumers, callers that were only seen, and those behind a consumer that is an endpoint itself', () => {
    const graph = inventoryGraph({
      ...EMPTY,
      consumers: [
        declared({ consumer: 'router', models: ['digits'], endpoint: 'lingo' }),
        declared({ consumer: 'shop', models: ['lingo'] }),
        declared({ consumer: 'elsewhere', models: ['other'] }),
      ],
      seen: [seen('digits', caller({ kind: 'unknown', id: 'cron' }), caller({}))],
    });
    expect(
      waysOfDependents(graph, [modelKey('digits')]).map(({ node, distance }) => [nodeKey(node), distance]),
    ).toEqual([
      [consumerKey('router'), 1],
      [callerKey('unknown', 'cron'), 1],
      [callerKey('anonymous', ''), 1],
      [modelKey('lingo'), 2],
      [consumerKey('shop'), 3],
    ]);
  });

  test('consumers of what was made from a release: a quantised child, and an adapter that names the model as its base', () => {
    const base = { model: 'digits', version: '1.0.0' };
    const small = { model: 'digits-small', version: '1.0.0' };
    const adapter = { model: 'digits-shop', version: '2.0.0' };
    const graph = inventoryGraph({
      ...EMPTY,
      releases: [base, small, adapter],
      served: [base, small, adapter],
      origins: [
        { child: small, origin: base },
        { child: adapter, origin: { model: 'digits' } },
      ],
      consumers: [declared({ consumer: 'phone', models: ['digits-small'] }), declared({ models: ['digits-shop'] })],
    });
    const found = dependents(graph, releaseKey(base));
    for (const key of [releaseKey(small), releaseKey(adapter), consumerKey('phone'), consumerKey('checkout')])
      expect(found).toContain(key);
  });

  test('a consumer that was removed is in it no more; one whose declaration has expired is', () => {
    const graph = inventoryGraph({
      ...EMPTY,
      consumers: [declared({ consumer: 'gone', models: [] }), declared({ expiresAt: world.at(-1) })],
    });
    expect(dependents(graph, modelKey('digits'))).toEqual([consumerKey('checkout')]);
  });

  test('attack: a caller that gives itself the name of a consumer is not that consumer', () => {
    const graph = inventoryGraph({
      ...EMPTY,
      consumers: [declared({ models: ['lingo'] })],
      seen: [seen('digits', caller({ kind: 'unknown', id: 'checkout' }))],
    });
    expect(dependents(graph, modelKey('digits'))).toEqual([callerKey('unknown', 'checkout')]);
  });

  test('attack: consumers in a circle end, and each is told once', () => {
    const graph = inventoryGraph({
      ...EMPTY,
      consumers: [
        declared({ consumer: 'a', models: ['one'], endpoint: 'two' }),
        declared({ consumer: 'b', models: ['two'], endpoint: 'one' }),
        declared({ consumer: 'itself', models: ['one'], endpoint: 'one' }),
      ],
    });
    expect(dependents(graph, modelKey('one')).sort()).toEqual(
      [consumerKey('a'), consumerKey('b'), consumerKey('itself'), modelKey('two')].sort(),
    );
    expect(graphTree(graph, rootsOf(graph)).join('\n')).toContain('(above)');
  });
});

test('what several gateways saw is told together, by who it was and how sure that is', () => {
  const report = (...callers: SeenCaller[]) => ({ models: [seen('digits', ...callers)] });
  const [merged] = mergeSeen([
    report(caller({ kind: 'declared', id: 'shop', requests: 3, perSecond: 1, firstSeen: world.at(-9) })),
    report(
      caller({ kind: 'declared', id: 'shop', requests: 4, perSecond: 2, lastSeen: world.at(0) }),
      caller({ kind: 'unknown', id: 'shop' }),
    ),
  ]);
  expect(merged?.callers).toMatchObject([
    { kind: 'declared', requests: 7, perSecond: 3, firstSeen: world.at(-60), lastSeen: world.at(0) },
    { kind: 'unknown', requests: 1 },
  ]);
});

describe('any graph', () => {
  const NAMES = Array.from({ length: 12 }, (_, at) => `m${at}`);
  const nodes: InventoryNode[] = NAMES.map((model) => ({ kind: 'model', model }));
  const edge = fc.record<InventoryEdge>({
    from: fc.constantFrom(...NAMES.map(modelKey), 'model/none'),
    to: fc.constantFrom(...NAMES.map(modelKey)),
    why: fc.constantFrom('calls', 'serves'),
  });

  test('dependents are exactly what a naive closure says, none twice, the root not among them, nearest first', () => {
    fc.assert(
      fc.property(fc.array(edge, { maxLength: 60 }), fc.constantFrom(...NAMES), (edges, name) => {
        const graph = makeGraph(nodes, edges);
        const root = modelKey(name);
        const closure = new Set([root]);
        for (let grew = true; grew;) {
          grew = false;
          for (const { from, to } of graph.edges)
            if (closure.has(to) && !closure.has(from)) grew = closure.add(from).size > 0;
        }
        closure.delete(root);
        const found = waysOfDependents(graph, [root]);
        expect(found.map(({ node }) => node)).toEqual(dependentsOf(graph, [root]));
        expect(found.map(({ node }) => nodeKey(node)).sort()).toEqual([...closure].sort());
        const distances = found.map(({ distance }) => distance);
        expect(distances).toEqual([...distances].sort((a, b) => a - b));
        const far = new Map([[root, 0], ...found.map(({ node, distance }) => [nodeKey(node), distance] as const)]);
        for (const { node, distance, through } of found) {
          expect(graph.edges).toContainEqual(expect.objectContaining({ from: nodeKey(node), to: through }));
          expect(far.get(through)).toBe(distance - 1);
        }
      }),
    );
  });

  test('its tree names every node that is reached, and has no more lines than roots and edges together', () => {
    fc.assert(
      fc.property(fc.array(edge, { maxLength: 60 }), (edges) => {
        const graph = makeGraph(nodes, edges);
        const roots = rootsOf(graph);
        const lines = graphTree(graph, roots);
        expect(lines.length).toBeLessThanOrEqual(roots.length + graph.edges.length);
        for (const node of graph.nodes.values())
          expect(lines.some((line) => line.endsWith(labelOf(node)) || line.endsWith(`${labelOf(node)} (above)`))).toBe(
            true,
          );
      }),
    );
  });

  test('each node and each edge is looked at once: 100,000 edges in a chain, and as many at one node', () => {
    const COUNT = 100_000;
    let reads = 0;
    const counted = (edge: InventoryEdge): InventoryEdge => ({
      get from() {
        reads += 1;
        return edge.from;
      },
      to: edge.to,
      why: edge.why,
    });
    const chain = Array.from({ length: COUNT }, (_, at): InventoryNode => ({ kind: 'model', model: `m${at}` }));
    const links = chain
      .slice(1)
      .map((node, at): InventoryEdge => ({ from: nodeKey(node), to: modelKey(`m${at}`), why: 'calls' }));
    const star = chain
      .slice(1)
      .map((node): InventoryEdge => ({ from: nodeKey(node), to: modelKey('m0'), why: 'calls' }));
    for (const edges of [links, star]) {
      reads = 0;
      const graph = makeGraph(chain, edges.map(counted));
      expect(dependentsOf(graph, [modelKey('m0')])).toHaveLength(COUNT - 1);
      expect(reads).toBeLessThanOrEqual(2 * COUNT);
      expect(graphTree(graph, [modelKey('m0')])).toHaveLength(COUNT);
    }
  });
});

describe('what others wrote in a drawing', () => {
  const evil = String.raw`x"];evil[label="\"--><script>`;
  const graph = inventoryGraph({ ...EMPTY, seen: [seen('digits', caller({ kind: 'unknown', id: evil }))] });

  test('attack: stays inside its quotes for Graphviz', () => {
    const [line] = graphDot(graph).filter((each) => each.includes('evil') && each.includes('shape'));
    const outside = (line ?? '').replace(/"(?:[^"\\]|\\.)*"/g, '');
    expect(outside).toBe('   [shape=plaintext, label=];');
  });

  test('attack: has no character for Mermaid that could end its label', () => {
    const [line] = graphMermaid(graph).filter((each) => each.includes('evil'));
    expect(line).toMatch(/^ {2}n\d+\["[\w .@/#;-]*"\]$/);
  });
});
