import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { combine, countedOf, isTally, judgeStep, tallied, type Seen, type Sight } from '../../../domain/analysis.js';
import type { ModelState, ReleaseCounters } from '../../../domain/gateway.js';

const release = 'a'.repeat(64);
const stable = 'b'.repeat(64);
const asked = { model: 'digits', revision: 3, release };
const counters = (of: string, requests: number, failures = 0, slow = 0): ReleaseCounters => ({
  ...{ revision: 3, release: of, version: of === release ? '1.1.0' : '1.0.0', requests, failures, slow },
  p95Ms: 90,
});

function gateway(change: Partial<ModelState> = {}): ModelState {
  return {
    model: 'digits',
    revision: 3,
    document: 'd'.repeat(64),
    serving: [
      { release, version: '1.1.0', weight: 10 },
      { release: stable, version: '1.0.0', weight: 90 },
    ],
    plan: { request: 'e'.repeat(64), step: 0 },
    triggers: {
      ...{ minimumSamples: 20, maxErrorRate: 0.5, maxLatencyMs: 100 },
      comparison: { maxFalseAlarmRate: 0.01, tolerance: 0.01 },
    },
    killedBy: [],
    breach: null,
    breakers: [],
    counters: [counters(release, 100), counters(stable, 900)],
    replicas: [{ release, version: '1.1.0', host: '127.0.0.1', port: 1, expiresAt: '2030-01-01T00:00:00.000Z' }],
    ...change,
  };
}
const judge = (...seen: Seen[]): Sight => judgeStep(seen, asked, tallied({}, seen, asked));

describe('a canary beside the stable release', () => {
  test('within all limits, but worse, fails, and the counts are named', () => {
    expect(judge(gateway({ counters: [counters(release, 100, 20), counters(stable, 900, 5)] }))).toEqual({
      kind: 'fail',
      reason:
        '20 of 100 answers failed, of release 1.0.0 5 of 900: it is worse, by more than the 1 % that are tolerated',
    });
    const slow = judge(gateway({ counters: [counters(release, 400, 0, 19), counters(stable, 3600, 0, 0)] }));
    expect(slow).toMatchObject({ kind: 'fail', reason: expect.stringContaining('19 of 400 answers were slow') });
  });

  test('that is as bad as the stable one, within all limits, is sound', () => {
    expect(judge(gateway({ counters: [counters(release, 100, 20), counters(stable, 900, 180)] }))).toEqual({
      kind: 'sound',
    });
  });

  test('that is worse only by what is tolerated is sound', () => {
    const tolerant = { ...gateway().triggers!, comparison: { maxFalseAlarmRate: 0.01, tolerance: 0.3 } };
    const counted = [counters(release, 100, 20), counters(stable, 900, 5)];
    expect(judge(gateway({ counters: counted, triggers: tolerant }))).toEqual({ kind: 'sound' });
  });

  test('fails by the sum over gateways of which none shows it', () => {
    const one = gateway({ counters: [counters(release, 12, 4), counters(stable, 100, 1)] });
    expect(judge(one).kind).toBe('hold');
    expect(judge(one, one, one, one).kind).toBe('fail');
  });

  test('is held while the stable one has too few samples, and never passes without any', () => {
    for (const seen of [[counters(release, 100), counters(stable, 19)], [counters(release, 100)]])
      expect(judge(gateway({ counters: seen }))).toMatchObject({
        kind: 'hold',
        reason: expect.stringMatching(/of 20 samples of release 1\.0\.0 were seen, to compare with/),
      });
  });

  test('in preview is not compared, and its own limits hold', () => {
    const serving = gateway().serving.map((entry, at) => ({ ...entry, weight: at === 0 ? 0 : 100 }));
    const seen = (failures: number) => gateway({ serving, counters: [counters(release, 100, failures)] });
    expect(judge(seen(20))).toEqual({ kind: 'sound' });
    expect(judge(seen(60))).toMatchObject({ kind: 'fail' });
    expect(judge(gateway({ serving, counters: [counters(stable, 900)] })).kind).toBe('hold');
  });

  test('is not compared where the stable one has no callers, or there is none, or nobody asks for it', () => {
    const bad = [counters(release, 100, 20)];
    const triggers = { minimumSamples: 20, maxErrorRate: 0.5, maxLatencyMs: 100 };
    const [own, other] = gateway().serving;
    for (const state of [
      gateway({
        counters: bad,
        serving: [
          { ...own!, weight: 100 },
          { ...other!, weight: 0 },
        ],
      }),
      gateway({ counters: bad, serving: [{ ...own!, weight: 100 }] }),
      gateway({ counters: bad, triggers }),
    ])
      expect(judge(state).kind).toBe('sound');
  });

  test('attack: the counts of another revision or release do not count for it', () => {
    const old = { ...counters(stable, 900), revision: 2 };
    const foreign = counters('c'.repeat(64), 900);
    expect(judge(gateway({ counters: [counters(release, 100, 20), old, foreign] })).kind).toBe('hold');
  });
});

describe('a tally', () => {
  const at = (requests: number, failures = 0): Seen => gateway({ counters: [counters(release, requests, failures)] });
  const over = (...seen: Seen[]) => seen.reduce((tally, state) => tallied(tally, [state], asked), {});

  test('keeps what a gateway counted before it restarted, once', () => {
    const tally = over(at(10, 1), at(30, 3), gateway({ counters: [] }), null, 'unknown', at(2, 2), at(5, 2));
    expect(countedOf(tally, release)).toEqual({ requests: 35, failures: 5, slow: 0 });
  });

  test('counts a gateway once however often it is looked at', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1000), { minLength: 1 }), (steps) => {
        const sorted = [...steps].sort((a, b) => a - b);
        const tally = over(...sorted.flatMap((n) => [at(n), at(n)]));
        expect(countedOf(tally, release).requests).toBe(sorted.at(-1));
      }),
    );
  });

  test('never counts less than before', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(50)), (steps) => {
        let before = 0;
        let tally = {};
        for (const n of steps) {
          tally = tallied(tally, [at(n)], asked);
          const { requests } = countedOf(tally, release);
          expect(requests).toBeGreaterThanOrEqual(before);
          before = requests;
        }
      }),
    );
  });

  test.each([
    null,
    'x',
    { a: null },
    { a: { before: {}, latest: {} } },
    { a: { latest: { requests: -1, failures: 0, slow: 0 } } },
  ])('attack: %j is none', (value) => expect(isTally(value)).toBe(false));
  test('survives as JSON', () => {
    const tally = over(at(10, 1), at(3, 3));
    expect(isTally(JSON.parse(JSON.stringify(tally)))).toBe(true);
    expect(JSON.parse(JSON.stringify(tally))).toEqual(tally);
  });
});

describe('several sources together', () => {
  const sight = fc.oneof(
    fc.constant<Sight>({ kind: 'sound' }),
    fc.constantFrom<Sight>(
      { kind: 'hold', reason: 'h' },
      { kind: 'hold', reason: 'gone', vanished: true },
      { kind: 'fail', reason: 'f' },
      { kind: 'inconclusive', reason: 'i' },
    ),
  );

  test('fail if any fails, are sound only if all are and there is one, and hold otherwise', () => {
    fc.assert(
      fc.property(fc.array(sight), (sights) => {
        const kinds = sights.map(({ kind }) => kind);
        const expected = kinds.includes('fail')
          ? 'fail'
          : kinds.includes('inconclusive')
            ? 'inconclusive'
            : kinds.length === 0 || kinds.includes('hold')
              ? 'hold'
              : 'sound';
        expect(combine(sights).kind).toBe(expected);
        const vanished = expected === 'hold' && sights.some((each) => each.kind === 'hold' && each.vanished);
        expect(Boolean((combine(sights) as { vanished?: true }).vanished)).toBe(vanished);
      }),
    );
  });

  test('say all that they wait for', () => {
    const both: Sight[] = [{ kind: 'hold', reason: 'a' }, { kind: 'sound' }, { kind: 'hold', reason: 'b' }];
    expect(combine(both)).toEqual({ kind: 'hold', reason: 'a; b' });
  });
});
