import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  establishedOf,
  planStep,
  promote,
  restored,
  rollbackTo,
  stableOf,
  weightOf,
  withdraw,
  type RouteIntent,
  type RoutingDocument,
} from '../../../domain/routing.js';
import { sha256 } from '../../../formats/sha256.js';

const RELEASES = ['a', 'b', 'c', 'd', 'e'].map((name, at) => ({ release: sha256(name), version: `1.${at}.0` }));
const TRIGGERS = { minimumSamples: 10, maxErrorRate: 0.1, maxLatencyMs: 100 };
const STEPS = [10, 50, 100];
const WARM = 2;

function document(before: RoutingDocument | null, intent: RouteIntent): RoutingDocument {
  const fixed = {
    environment: 'test',
    model: 'digits',
    policy: sha256('policy'),
    issuedAt: '2026-01-01T00:00:00.000Z',
  };
  return { ...fixed, revision: (before?.revision ?? 0) + 1, previous: null, ...intent };
}

interface Act {
  readonly kind: 'plan' | 'promote' | 'rollback' | 'withdraw';
  readonly release: number;
  readonly step: number;
}

function follow(current: RoutingDocument | null, { kind, release, step }: Act): RoutingDocument | null {
  const target = RELEASES[release] ?? expect.fail('no such release');
  if (kind === 'plan') {
    const weight = stableOf(current) === null ? 100 : (STEPS[step] ?? 100);
    return document(
      current,
      planStep(current, { ...target, weight }, { request: sha256('request'), step }, TRIGGERS, WARM),
    );
  }
  if (current === null) return null;
  if (kind === 'promote') return current.releases[0]?.weight === 100 ? document(current, promote(current)) : current;
  if (kind === 'rollback') return document(current, rollbackTo(current, target.release));
  return document(current, withdraw(current, target.release));
}

const acts = fc.array(
  fc.record<Act>({
    kind: fc.constantFrom('plan', 'promote', 'rollback', 'withdraw'),
    release: fc.nat(4),
    step: fc.nat(2),
  }),
  { maxLength: 20 },
);

describe('routing documents', () => {
  test('whatever happens, never serve more than all callers, list a release twice, or keep more warm than allowed', () => {
    fc.assert(
      fc.property(acts, (all) => {
        let current: RoutingDocument | null = null;
        for (const act of all) {
          current = follow(current, act);
          if (current === null) continue;
          const { releases, plan } = current;
          expect(releases.reduce((sum, { weight }) => sum + weight, 0)).toBeLessThanOrEqual(100);
          expect(new Set(releases.map(({ release }) => release)).size).toBe(releases.length);
          expect(releases.length).toBeLessThanOrEqual(2 + WARM);
          expect(plan !== null && current.triggers === null).toBe(false);
        }
      }),
    );
  });

  test('a rollback never serves what was not established before it', () => {
    fc.assert(
      fc.property(acts, fc.nat(4), (all, to) => {
        const current = all.reduce<RoutingDocument | null>(follow, null);
        if (current === null) return;
        const back = rollbackTo(current, RELEASES[to]?.release ?? null);
        for (const { release } of back.releases)
          expect(establishedOf(current).some((entry) => entry.release === release)).toBe(true);
        expect(back.releases[0]?.weight ?? 100).toBe(100);
        expect(back.releases.slice(1).every(({ weight }) => weight === 0)).toBe(true);
      }),
    );
  });

  test('a withdrawal gives its callers to nobody, unless it ends a rollout', () => {
    fc.assert(
      fc.property(acts, fc.nat(4), (all, gone) => {
        const current = all.reduce<RoutingDocument | null>(follow, null);
        const release = RELEASES[gone]?.release ?? '';
        if (current === null || (current.plan !== null && current.releases[0]?.release === release)) return;
        const left = withdraw(current, release);
        for (const entry of left.releases) expect(entry.weight).toBe(weightOf(current, entry.release));
        expect(left.releases.some((entry) => entry.release === release)).toBe(false);
      }),
    );
  });

  test('a restore keeps what is served, and only orders that can still be replayed', () => {
    const current = document(null, {
      change: 'promote',
      releases: [{ ...(RELEASES[0] ?? expect.fail()), weight: 100 }],
      plan: null,
      triggers: null,
      lifted: [
        { order: sha256('gone'), until: '2026-01-01T00:00:00.000Z' },
        { order: sha256('kept'), until: '2026-01-03T00:00:00.000Z' },
      ],
      restore: null,
    });
    const order = { order: sha256('new'), until: '2026-01-04T00:00:00.000Z' };
    const next = restored(current, [order], sha256('request'), '2026-01-02T00:00:00.000Z');
    expect(next.releases).toEqual(current.releases);
    expect(next.lifted.map((entry) => entry.order)).toEqual([sha256('kept'), sha256('new')]);
    expect(
      restored(current, [{ ...order, order: sha256('kept') }], sha256('request'), '2026-01-02T00:00:00.000Z').lifted,
    ).toHaveLength(1);
  });

  test('an endpoint that has never served has nothing', () => {
    expect(stableOf(null)).toBeNull();
    expect(establishedOf(null)).toEqual([]);
    expect(weightOf(null, sha256('a'))).toBe(0);
  });
});
