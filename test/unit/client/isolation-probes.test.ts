import { describe, expect, test } from 'vitest';
import { killOrder, longAgo } from '../../../client/isolation/probes.js';
import type { Policy } from '../../../domain/policy.js';
import { outsideValidity } from '../../../domain/time.js';
import { readKillOrder } from '../../../formats/kill-order.js';
import { createWorld } from '../../support/world.js';

const NOW = '2026-11-29T12:00:00.000Z';

/** A policy that knows an operator's key, of another environment's, from a time on. */
function knowing(validFrom?: string): { policy: Policy; key: ReturnType<typeof createWorld>['keys']['oscar'] } {
  const world = createWorld();
  const key = world.keys.oscar;
  const authorities = world.policy.authorities.map((authority) =>
    authority.id === 'oscar'
      ? {
          ...authority,
          keys: authority.keys.map((held) => ({ ...held, ...(validFrom === undefined ? {} : { validFrom }) })),
        }
      : authority,
  );
  return { policy: { ...world.policy, authorities }, key };
}

describe('an order that is tried', () => {
  test.each([undefined, '2026-11-01T00:00:00.000Z'])(
    'attack: one by a key that counts, from %s on, is believed, and has expired',
    (validFrom) => {
      const { policy, key } = knowing(validFrom);
      const times = longAgo(policy, key.keyId, Date.parse(NOW));
      if (times === null) throw new Error('the key is not new');
      const order = readKillOrder(killOrder(policy.environment, times, key), policy, policy.environment);
      expect(order.signers).toEqual(['oscar']);
      expect(outsideValidity(order.predicate, NOW)).toBe('expired');
    },
  );

  test('attack: a genuine one that has expired is refused for its environment, before its time is looked at', () => {
    const { policy, key } = knowing();
    const times = longAgo(policy, key.keyId, Date.parse(NOW));
    if (times === null) throw new Error('the key is not new');
    expect(() => readKillOrder(killOrder('elsewhere', times, key), policy, policy.environment)).toThrow(
      expect.objectContaining({ code: 'REPLAYED' }),
    );
  });

  test('is none where the key is so new that it would still count', () => {
    const { policy, key } = knowing('2026-11-29T11:59:30.000Z');
    expect(longAgo(policy, key.keyId, Date.parse(NOW))).toBeNull();
  });
});
