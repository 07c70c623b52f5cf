import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { evidenceAbove, evidenceOfWorse, isProved, type Share } from '../../../domain/sequential.js';
import { seededRandom } from '../../../examples/digits/training/random.mjs';

const share = (bad: number, of: number): Share => ({ bad, of });
const shares = fc.tuple(fc.nat(5000), fc.nat(5000)).map(([a, b]) => share(Math.min(a, b), Math.max(a, b)));
const tolerances = fc.double({ min: 0, max: 0.5, noNaN: true });

interface Traffic {
  readonly candidate: number;
  readonly reference: number;
  readonly tolerance: number;
  /** Share of callers that the candidate gets. */
  readonly weight: number;
}

/** After how many answers of the candidate the test stops a rollout of so many answers in all; `null`: never. */
function stopsAfter(traffic: Traffic, answers: number, alpha: number, seed: number): number | null {
  const random = seededRandom(seed);
  const seen = { candidate: { of: 0, bad: 0 }, reference: { of: 0, bad: 0 } };
  for (let at = 0; at < answers; at += 1) {
    const who = random() < traffic.weight ? 'candidate' : 'reference';
    seen[who].of += 1;
    if (random() < traffic[who]) seen[who].bad += 1;
    // Somebody who wants it to fail looks after every single answer.
    if (isProved(evidenceOfWorse(seen.candidate, seen.reference, traffic.tolerance), alpha)) return seen.candidate.of;
  }
  return null;
}

function stops(traffic: Traffic, runs: number, answers: number, alpha: number): readonly (number | null)[] {
  return Array.from({ length: runs }, (_, run) => stopsAfter(traffic, answers, alpha, 1 + run));
}

describe('a candidate that is not worse', () => {
  test.each<Traffic>([
    { candidate: 0.01, reference: 0.01, tolerance: 0, weight: 0.1 },
    { candidate: 0.2, reference: 0.2, tolerance: 0, weight: 0.5 },
    { candidate: 0.03, reference: 0.02, tolerance: 0.01, weight: 0.5 },
    { candidate: 0.01, reference: 0.05, tolerance: 0, weight: 0.3 },
  ])('is stopped in at most the agreed share of 4,000 rollouts, looked at after every answer: %o', (traffic) => {
    const stopped = stops(traffic, 4000, 400, 0.05).filter((after) => after !== null).length;
    expect(stopped / 4000).toBeLessThanOrEqual(0.05);
  });

  test('is stopped with a probability of at most alpha, counted over every order of 80 answers', () => {
    for (const p of [0.02, 0.1, 0.3, 0.5, 0.9])
      for (const [tolerance, alpha] of [
        [0, 0.05],
        [0.05, 0.2],
      ] as const) {
        const chance = chanceOfStopping(Math.min(1, p + tolerance), p, tolerance, alpha, 40);
        expect(chance).toBeLessThanOrEqual(alpha);
        expect(chance).toBeGreaterThanOrEqual(0);
      }
    // The one that is far worse is stopped nearly always: the count is of something.
    expect(chanceOfStopping(0.9, 0.1, 0, 0.05, 40)).toBeGreaterThan(0.999);
  });

  test('is never proved worse by counts in which it is not', () => {
    fc.assert(
      fc.property(shares, shares, tolerances, (candidate, reference, tolerance) => {
        const rate = ({ bad, of }: Share): number => (of === 0 ? 0 : bad / of);
        fc.pre(rate(candidate) <= rate(reference) + tolerance);
        expect(evidenceOfWorse(candidate, reference, tolerance)).toBeLessThanOrEqual(1e-6);
      }),
    );
  });
});

/** Exactly, over all orders of answers that come in turn from both: the probability that it ever says "worse". */
function chanceOfStopping(
  candidate: number,
  reference: number,
  tolerance: number,
  alpha: number,
  each: number,
): number {
  let going = new Map<number, number>([[0, 1]]);
  let stopped = 0;
  const key = (bad: number, badReference: number): number => bad * (each + 1) + badReference;
  for (let n = 1; n <= each; n += 1)
    for (const who of ['candidate', 'reference'] as const) {
      const next = new Map<number, number>();
      for (const [at, chance] of going) {
        const [bad, badReference] = [Math.floor(at / (each + 1)), at % (each + 1)];
        const p = who === 'candidate' ? candidate : reference;
        for (const [more, chanceOf] of [
          [1, p],
          [0, 1 - p],
        ] as const) {
          const to =
            who === 'candidate' ? ([bad + more, badReference] as const) : ([bad, badReference + more] as const);
          const seen = share(to[0], n);
          const beside = share(to[1], who === 'candidate' ? n - 1 : n);
          if (isProved(evidenceOfWorse(seen, beside, tolerance), alpha)) stopped += chance * chanceOf;
          else next.set(key(...to), (next.get(key(...to)) ?? 0) + chance * chanceOf);
        }
      }
      going = next;
    }
  return stopped;
}

describe('a candidate that is worse', () => {
  test.each<[Traffic, number]>([
    [{ candidate: 1, reference: 0.005, tolerance: 0.01, weight: 0.1 }, 15],
    [{ candidate: 0.3, reference: 0.01, tolerance: 0.01, weight: 0.1 }, 60],
    [{ candidate: 0.1, reference: 0.01, tolerance: 0.01, weight: 0.1 }, 350],
    [{ candidate: 0.04, reference: 0.005, tolerance: 0.005, weight: 0.1 }, 1300],
  ])('%o is stopped in 95 of 100 rollouts before it has answered %i times', (traffic, answers) => {
    const after = stops(traffic, 200, (2 * answers) / traffic.weight, 0.01);
    const soon = after.filter((count) => count !== null && count <= answers).length;
    expect(soon).toBeGreaterThanOrEqual(190);
  });
});

describe('the evidence', () => {
  test('stays a proof when one more of the same answers of the candidate is bad, or one fewer of the reference', () => {
    const proved = fc
      .tuple(shares, shares, tolerances)
      .filter(([candidate, reference, tolerance]) => isProved(evidenceOfWorse(candidate, reference, tolerance), 0.05));
    fc.assert(
      fc.property(proved, ([candidate, reference, tolerance]) => {
        const worse = { ...candidate, bad: Math.min(candidate.bad + 1, candidate.of) };
        const better = { ...reference, bad: Math.max(reference.bad - 1, 0) };
        expect(isProved(evidenceOfWorse(worse, reference, tolerance), 0.05)).toBe(true);
        expect(isProved(evidenceOfWorse(candidate, better, tolerance), 0.05)).toBe(true);
      }),
    );
  });

  test('falls as more is tolerated', () => {
    fc.assert(
      fc.property(shares, shares, tolerances, tolerances, (candidate, reference, a, b) => {
        const [less, more] = [Math.min(a, b), Math.max(a, b)];
        const evidence = (tolerance: number): number => evidenceOfWorse(candidate, reference, tolerance);
        expect(evidence(more)).toBeLessThanOrEqual(evidence(less) + 1e-6);
      }),
    );
  });

  test('is none without counts, and a number whatever the counts', () => {
    expect(evidenceOfWorse(share(0, 0), share(0, 0), 0)).toBeCloseTo(0, 12);
    for (const counts of [share(0, 0), share(5, 5), share(0, 5)]) {
      expect(evidenceOfWorse(counts, share(0, 0), 0)).toBeLessThanOrEqual(1e-12);
      expect(evidenceAbove(share(0, 0), 0.05)).toBeCloseTo(0, 12);
    }
    fc.assert(
      fc.property(shares, shares, tolerances, (candidate, reference, tolerance) => {
        expect(Number.isFinite(evidenceOfWorse(candidate, reference, tolerance))).toBe(true);
        expect(Number.isFinite(evidenceAbove(candidate, Math.max(tolerance, 0.01)))).toBe(true);
      }),
    );
    const million = share(1_000_000, 1_000_000_000);
    expect(isProved(evidenceOfWorse(million, million, 0), 0.01)).toBe(false);
    expect(isProved(evidenceOfWorse(share(1_100_000, 1_000_000_000), million, 0), 0.01)).toBe(true);
  });

  test.each([share(-1, 5), share(6, 5), share(NaN, 5), share(1, Infinity), share(0.5, 5)])(
    'attack: counts that cannot be, %o, prove nothing',
    (counts) => {
      expect(evidenceOfWorse(counts, share(0, 1000), 0)).toBe(0);
      expect(evidenceOfWorse(share(50, 50), counts, 0)).toBe(0);
      expect(evidenceAbove(counts, 0.05)).toBe(0);
    },
  );

  test('comes from a mixture that is a probability: over all counts it sums up to one', () => {
    const logLikelihood = (bad: number, of: number, p: number): number =>
      (bad === 0 ? 0 : bad * Math.log(p)) + (bad === of ? 0 : (of - bad) * Math.log1p(-p));
    for (const of of [1, 2, 7, 50]) {
      let sum = 0;
      let ways = 1;
      for (let bad = 0; bad <= of; bad += 1) {
        const mixed = evidenceAbove(share(bad, of), 0.3) + logLikelihood(bad, of, Math.min(bad / of, 0.3));
        sum += ways * Math.exp(mixed);
        ways = (ways * (of - bad)) / (bad + 1);
      }
      expect(sum).toBeCloseTo(1, 10);
    }
  });
});

describe('a share that keeps a limit', () => {
  test('is said to be above it in at most the agreed share of 4,000 runs of 500 answers', () => {
    let stopped = 0;
    for (let run = 0; run < 4000; run += 1) {
      const random = seededRandom(run);
      for (let of = 1, bad = 0; of <= 500; of += 1) {
        if (random() < 0.05) bad += 1;
        if (!isProved(evidenceAbove(share(bad, of), 0.05), 0.05)) continue;
        stopped += 1;
        break;
      }
    }
    expect(stopped / 4000).toBeLessThanOrEqual(0.05);
  });

  test('and one that does not is found', () => {
    expect(isProved(evidenceAbove(share(20, 20), 0.05), 0.001)).toBe(true);
    expect(isProved(evidenceAbove(share(2, 20), 0.05), 0.001)).toBe(false);
    expect(isProved(evidenceAbove(share(160, 2000), 0.05), 0.001)).toBe(true);
  });
});
