import { describe, expect, test } from 'vitest';
import { verdictsOf } from '../../support/verdicts.js';
import { createWorld, type Route } from '../../support/world.js';

const world = createWorld();
const verdicts = verdictsOf(world);

describe('the world that other tests start from', () => {
  test('has a release that may be signed and loaded', () => {
    const { evidence } = world.release();
    expect(verdicts.signing(evidence)).toEqual({ allowed: true, approvers: ['alice'] });
    expect(verdicts.loading(evidence)).toEqual({ allowed: true, approvers: ['alice'] });
  });

  test('has a retirement that may be carried out', () => {
    const { evidence } = world.retirement(world.release());
    expect(verdicts.destruction(evidence)).toEqual({ allowed: true, approvers: ['alice', 'bob'] });
  });

  test('has routes that a gateway admits, from the first plan over kill and restore to rollback and withdrawal', () => {
    const [one, two] = [world.release(), world.release({ version: '1.1.0' })];
    const chain = world.inService(one);
    const last = (): Route => chain.at(-1) as Route;
    chain.push(...world.inService(two, last()));
    chain.push(world.restored(last(), [world.kill()]));
    chain.push(world.rollback(last(), one.release));
    chain.push(world.withdraw(last(), one.release));
    chain.forEach((route, at) =>
      expect(verdicts.route(chain[at - 1] ?? null, route.delivery)).toMatchObject({ allowed: true }),
    );
    expect(chain.map(({ document }) => document.releases.map(({ weight }) => weight))).toEqual([
      [100],
      [100],
      [10, 90],
      [50, 50],
      [100, 0],
      [100, 0],
      [100, 0],
      [100],
      [],
    ]);
  });
});
