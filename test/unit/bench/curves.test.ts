import { describe, expect, test } from 'vitest';
import { curvesChart, curvesOn } from '../../../bench/curve-report.js';
import { CURVES, curveFiguresOf, type Curve } from '../../../bench/curves.js';
import type { Results } from '../../../bench/results.js';

const level: Curve = {
  ...{ bench: 'endpoints', what: 'a check of <one>', of: 'endpoints', points: 'points', size: 'count' },
  ...{ cost: 'ns', unit: 'ns', costOf: 'one', growth: 1.5 },
};
const shared: Curve = {
  ...{ bench: 'graph', what: 'a question', of: 'edges', points: 'at.points', size: 'edges', cost: 'ms.ours' },
  ...{ unit: 'ms', costOf: 'all', growth: 1, peer: { name: 'them', at: 'ms.theirs' }, note: 'they say less' },
};
const machine = { processor: 'a processor', cores: 2, gib: 24, kernel: 'Linux 6', node: '20.20.0' };
const results = (said: Record<string, object>): Results => ({
  machine,
  benches: Object.fromEntries(
    Object.entries(said).map(([name, each]) => [name, { at: '2026-01-01T00:00:00.000Z', seconds: 1, said: each }]),
  ),
});
const endpoints = (...ns: readonly number[]) => ({ points: ns.map((each, at) => ({ count: 10 ** at, ns: each })) });
const graph = {
  at: {
    points: [
      { edges: 1, ms: { ours: 2, theirs: 3 } },
      { edges: 1000, ms: { ours: 1, theirs: 30 } },
    ],
  },
};

describe('the curves of the benches', () => {
  test('are what one costs: by itself, or as its share of all of them, ours and the peer’s', () => {
    const said = results({ endpoints: endpoints(100, 120, 140), graph });
    expect(curveFiguresOf([level, shared], said)).toMatchObject([
      {
        growth: 1.4,
        isMet: true,
        points: [{ size: 1, each: 100, peer: null }, { size: 10 }, { size: 100, each: 140 }],
      },
      {
        growth: 0.0005,
        points: [
          { each: 2, peer: 3 },
          { size: 1000, each: 0.001, peer: 0.03 },
        ],
      },
    ]);
  });

  test('attack: one that grows more than it may is shown as missed', () => {
    const said = results({ endpoints: endpoints(100, 120, 160) });
    expect(curveFiguresOf([level], said)).toMatchObject([{ growth: 1.6, isMet: false }]);
    expect(curvesOn([level], said).join('\n')).toContain(
      '1.6× what it does among the fewest; at most 1.5× was to be: **missed**',
    );
    expect(curvesChart([level], said)).toContain('#c0392b');
  });

  test('what cannot be told from nothing is shown as a dash, and is no beginning of a growth', () => {
    const said = results({ endpoints: endpoints(-3, 100, 120) });
    expect(curveFiguresOf([level], said)).toMatchObject([{ growth: 1.2 }]);
    expect(curvesOn([level], said)).toContain('| ns | – | 100 | 120 |');
    expect(curvesChart([level], said).match(/<circle/g)).toHaveLength(2);
  });

  test('attack: a bench that says no points, or one without its cost, is no curve', () => {
    for (const said of [{}, { points: [] }, { points: 7 }])
      expect(() => curveFiguresOf([level], results({ endpoints: said }))).toThrow('endpoints says no points');
    const [without, infinite] = [{ count: 1 }, { count: 1, ns: null }];
    for (const point of [without, infinite])
      expect(() => curveFiguresOf([level], results({ endpoints: { points: [point] } }))).toThrow(
        'endpoints says no ns',
      );
  });

  test('have a table each, with what all of them cost where one has its share', () => {
    const lines = curvesOn([shared], results({ graph }));
    expect(lines).toContain('### `graph`: a question');
    expect(lines).toContain('| edges | 1 | 1,000 |');
    expect(lines).toContain('| ms for each of the edges | 2 | 0.001 |');
    expect(lines).toContain('| ms of all | 2 | 1 |');
    expect(lines).toContain('| them | 3 | 0.03 |');
    expect(lines.join('\n')).toContain('What to know: they say less.');
    expect(curvesOn([shared], results({}))).toEqual([]);
  });

  test('are one picture that needs nothing else, with every number in it', () => {
    const svg = curvesChart([level, shared], results({ endpoints: endpoints(100, 100, 100), graph }));
    expect(svg).toContain('a check of &lt;one&gt;');
    expect(svg.match(/<polyline/g)).toHaveLength(3);
    expect(svg).not.toMatch(/NaN|Infinity|undefined|href|url\(|<script/);
    const [, first = '', last = ''] = /<polyline points="\d+,(\d+) \d+,\d+ \d+,(\d+)"/.exec(svg) ?? [];
    expect(first).toBe(last);
  });
});

test('each curve may grow by a number or says nothing of it, and no two are the same', () => {
  const names = CURVES.map(({ bench, what }) => `${bench} ${what}`);
  expect(new Set(names).size).toBe(CURVES.length);
  for (const { growth } of CURVES) expect(growth === null || growth >= 1).toBe(true);
});
