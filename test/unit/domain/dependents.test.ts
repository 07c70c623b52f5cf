import { describe, expect, test } from 'vitest';
import { endpointsOn, releasesOn, standInTheWay, type Held } from '../../../domain/dependents.js';
import { leaving, mayLeave } from '../../../domain/fallback.js';
import { inventoryGraph, type InventoryFacts } from '../../../domain/inventory.js';
import type { RouteEntry, RoutingDocument } from '../../../domain/routing.js';
import { denial } from '../../support/verdicts.js';
import { createWorld } from '../../support/world.js';

const name = { model: 'lingo', version: '1.0.0' };
const child = { model: 'lingo-ft', version: '1.0.0' };
const twin = { model: 'other', version: '3.0.0' };
const next = { model: 'lingo', version: '1.1.0' };

function inventory(over: Partial<InventoryFacts> = {}, living: readonly Held[] = []) {
  const facts: InventoryFacts = { consumers: [], seen: [], served: [], releases: [], origins: [], ...over };
  return { ...facts, graph: inventoryGraph(facts), living };
}

describe('releases that depend on a release', () => {
  const origins = [
    { child, origin: name },
    { child: next, origin: name },
    { child: { model: 'lingo-q8', version: '1.0.0' }, origin: child },
  ];
  const held = (of: typeof name, ...files: string[]): Held => ({ ...of, files });
  const own = held(name, 'a', 'tokenizer');
  const living = [own, held(twin, 'b', 'tokenizer'), held({ ...twin, version: '4.0.0' }, 'c')];

  test('are those made from it, also through others, and those that share a file with it', () => {
    expect(releasesOn(inventory({ origins, served: [child] }, living), own)).toEqual([
      { ...child, how: 'is made from it', serves: true },
      { ...next, how: 'is made from it', serves: false },
      { model: 'lingo-q8', version: '1.0.0', how: 'is made from it', serves: false },
      { ...twin, how: 'shares files with it', serves: false },
    ]);
  });

  test('attack: a base whose adapters serve is not retired, unless the request names each of them', () => {
    const served = [child, next, twin];
    const found = releasesOn(inventory({ origins, served }, living), own);
    expect(standInTheWay(found, name, [])).toEqual(['lingo-ft@1.0.0']);
    expect(standInTheWay(found, name, ['lingo-ft@1.0.1'])).toEqual(['lingo-ft@1.0.0']);
    expect(standInTheWay(found, name, ['lingo-ft@1.0.0'])).toEqual([]);
  });
});

test('endpoints that call a model depend on its releases', () => {
  const world = createWorld();
  const { predicate, digest } = world.consumer({ models: ['lingo'], endpoint: 'shop' });
  const consumers = [{ predicate, digest, signers: ['oscar'] }] as unknown as InventoryFacts['consumers'];
  expect(endpointsOn(inventory({ consumers }).graph, name)).toEqual(['shop']);
});

describe('the callers of a release that ends', () => {
  const [serving, warm, older] = ['a', 'b', 'c'].map((digit) => digit.repeat(64)) as [string, string, string];
  const entry = (release: string, weight: number): RouteEntry => ({ release, version: '1.0.0', weight });
  const routed = (releases: readonly RouteEntry[], plan: RoutingDocument['plan'] = null) =>
    ({ model: 'lingo', releases, plan, triggers: null, lifted: [] }) as unknown as RoutingDocument;
  const document = routed([entry(serving, 100), entry(warm, 0), entry(older, 0)]);
  const none = { retirement: { noticeSeconds: 1 } };
  const required = { retirement: { noticeSeconds: 1, fallback: 'required' } } as const;

  test('may be left with nothing, unless the policy demands a fallback', () => {
    expect(mayLeave(document, serving, {}, none)).toMatchObject({ allowed: true });
    expect(mayLeave(document, serving, {}, required)).toEqual(denial('POLICY_REFUSED', /left with nothing/));
    expect(mayLeave(document, serving, { fallback: warm }, required)).toMatchObject({ allowed: true });
    // Nobody is left where nobody calls.
    expect(mayLeave(document, warm, {}, required)).toMatchObject({ allowed: true });
    expect(mayLeave(null, serving, {}, required)).toMatchObject({ allowed: true });
  });

  test('attack: a fallback that is the release itself, unknown, or under rollout is none', () => {
    const plan = { request: 'r', step: 0 };
    const rolling = routed([entry(warm, 10), entry(serving, 90)], plan);
    for (const [of, fallback] of [
      [document, serving],
      [document, 'd'.repeat(64)],
      [rolling, warm],
    ] as const)
      expect(mayLeave(of, serving, { fallback }, required)).toEqual(denial('POLICY_REFUSED', /not kept warm/));
  });

  test('go to the fallback, whole, and to nothing else', () => {
    expect(leaving(document, serving, { fallback: older }, none)).toMatchObject({
      change: 'rollback',
      releases: [entry(older, 100)],
    });
    expect(leaving(document, serving, {}, none)).toMatchObject({
      change: 'withdraw',
      releases: [entry(warm, 0), entry(older, 0)],
    });
    expect(leaving(document, warm, { fallback: older }, required)).toMatchObject({
      change: 'withdraw',
      releases: [entry(serving, 100), entry(older, 0)],
    });
  });

  test('attack: stay with what was only kept warm when its end was asked for, and serves them at its end', () => {
    expect(leaving(document, serving, {}, required)).toEqual(denial('POLICY_REFUSED', /left with nothing/));
  });

  test('attack: they stay where they are while the fallback is gone, or a rollout is under way', () => {
    const gone = routed([entry(serving, 100)]);
    expect(leaving(gone, serving, { fallback: warm }, none)).toEqual(denial('POLICY_REFUSED', /not kept warm/));
    const rolling = routed([entry('d'.repeat(64), 10), entry(serving, 90), entry(warm, 0)], { request: 'r', step: 0 });
    expect(leaving(rolling, serving, { fallback: warm }, none)).toEqual(denial('PENDING', /rollout is under way/));
  });
});
