import { describe, expect, test } from 'vitest';
import { chart, page } from '../../../bench/report.js';
import { digits, figuresOf, isMet, type Results } from '../../../bench/results.js';
import { ROWS } from '../../../bench/rows.js';
import type { Row } from '../../../bench/rows/row.js';

const rows: readonly Row[] = [
  { bench: 'kill', what: 'until all refuse', unit: 'ms', ours: 'ms.p50', better: 'less', goal: { value: 2 } },
  {
    ...{
      bench: 'kill',
      what: 'beside <them> & others',
      unit: 'ms',
      ours: 'ms.p50',
      better: 'less',
      goal: { times: 3 },
    },
    ...{ peer: { name: 'them 1.0', at: 'them', there: 0.5 }, note: 'they keep nothing' },
  },
  {
    ...{ bench: 'gateway', what: 'requests', unit: '/s', ours: 'perSecond', better: 'more', goal: { times: 2 } },
    peer: { name: 'it', at: 'its' },
  },
];
const machine = { processor: 'a processor', cores: 2, gib: 24, kernel: 'Linux 6', node: '20.20.0' };
const ran = (said: object) => ({ at: '2026-01-01T00:00:00.000Z', seconds: 1, said });
const results: Results = {
  machine,
  benches: { kill: ran({ ms: { p50: 1 }, them: 2.5 }), gateway: ran({ perSecond: 3000, its: 1000 }) },
};

describe('the figures of the benches', () => {
  test('are times of the peer and of the goal, whether less is better or more', () => {
    expect(figuresOf(rows, results)).toMatchObject([
      { ours: 1, peer: null, times: null, ofGoal: 2 },
      { ours: 1, peer: 2.5, times: 2.5, ofGoal: 2.5 / 3 },
      { ours: 3000, peer: 1000, times: 3, ofGoal: 1.5 },
    ]);
  });

  test('are those of the benches that have run', () => {
    expect(figuresOf(rows, { machine, benches: {} })).toEqual([]);
  });

  test('attack: a bench that does not say its figure, or says something else, is no figure', () => {
    for (const said of [{}, { ms: 1 }, { ms: { p50: '1' } }, { ms: { p50: null } }])
      expect(() => figuresOf(rows, { machine, benches: { kill: ran(said) } })).toThrow('kill says no ms.p50');
  });

  test('a goal that is missed is shown as missed, and what is not equal is said', () => {
    const text = page(rows, [], results);
    expect(text).toContain('3 figures, 2 reach their goal.');
    expect(text).toContain('| 1 ms | them 1.0: 2.5 | 2.5× | ≥ 3× | **missed: 83.3 %** |');
    expect(text).toContain('| 3,000 /s | it: 1,000 | 3× | ≥ 2× | met |');
    expect(text).toContain('- `kill`, beside <them> & others: they keep nothing.');
    expect(text).toContain('took this one 5 times for them 1.0');
  });

  test('why a goal is missed is said, and that nobody knows where nobody does', () => {
    const missed = '- `kill`, beside <them> & others: 83.3 % of its goal; ';
    expect(page(rows, [], results)).toContain(`${missed}why has not been found out.`);
    const explained = rows.map((row) => ({ ...row, limit: 'the disk is slow' }));
    const text = page(explained, [], results);
    expect(text).toContain(`${missed}the disk is slow.`);
    expect(text.match(/the disk is slow/g)).toHaveLength(1);
  });

  test('a difference that is nothing, or less, has reached any goal', () => {
    for (const p50 of [0, -6]) {
      const [figure] = figuresOf(rows, { machine, benches: { kill: ran({ ms: { p50 }, them: 1 }) } });
      expect(figure === undefined ? null : isMet(figure)).toBe(true);
    }
  });

  test('the chart is one picture that needs nothing else, with a bar for each', () => {
    const svg = chart(rows, results);
    expect(svg).toContain('beside &lt;them&gt; &amp; others');
    expect(svg.match(/fill="#2e7d4f"/g)).toHaveLength(2);
    expect(svg.match(/fill="#c0392b"/g)).toHaveLength(1);
    expect(svg).not.toMatch(/href|url\(|<script/);
  });

  test('have three digits that count', () => {
    expect([0, 0.01234, 1.2345, 123.456, 12345.6, 0.5].map(digits)).toEqual([
      '0',
      '0.012',
      '1.23',
      '123',
      '12,346',
      '0.5',
    ]);
  });
});

test('each row that is to be better than somebody names them, and no two rows are the same', () => {
  for (const row of ROWS) if ('times' in row.goal) expect(row.peer, row.what).toBeDefined();
  const names = ROWS.map(({ bench, what, peer, ours }) => `${bench} ${what} ${ours} ${peer?.name ?? ''}`);
  expect(new Set(names).size).toBe(ROWS.length);
});
