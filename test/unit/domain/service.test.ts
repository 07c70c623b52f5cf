import { describe, expect, test } from 'vitest';
import type { BreakerSeen, Counted, ModelState } from '../../../domain/gateway.js';
import { breachIn, judgeService, shutOut, type ServiceWindow } from '../../../domain/service.js';
import { seededRandom } from '../../../examples/digits/training/random.mjs';

const triggers = { minimumSamples: 20, maxErrorRate: 0.05, maxLatencyMs: 100 };
const counted = (requests: number, failures = 0, slow = 0): Counted => ({ requests, failures, slow });
const begun: ServiceWindow = { since: 0, base: counted(0) };
const judge = (total: Counted, now: number, window = begun) => judgeService(window, total, triggers, now);

/** One answer after another: at which of them it says that the limits are broken; `null`: never. */
function breachAt(answers: Iterable<boolean>, everyMs: number): number | null {
  let window = begun;
  let [requests, failures] = [0, 0];
  for (const failed of answers) {
    requests += 1;
    if (failed) failures += 1;
    const judged = judge(counted(requests, failures), requests * everyMs, window);
    if (judged.breach !== null) return requests;
    window = judged.window;
  }
  return null;
}

function* drawn(rate: number, count: number, seed: number): Generator<boolean> {
  const random = seededRandom(seed);
  for (let at = 0; at < count; at += 1) yield random() < rate;
}

describe('a release in service', () => {
  test('that answers only errors at one request a minute is found at its twentieth', () => {
    expect(breachAt(Array<boolean>(30).fill(true), 60_000)).toBe(20);
  });

  test('that begins to fail after a long good time is found soon, and not by its average', () => {
    const good = Array<boolean>(200_000).fill(false);
    const at = breachAt([...good, ...Array<boolean>(2000).fill(true)], 10);
    expect(at).not.toBeNull();
    expect(at! - good.length).toBeLessThan(500);
  });

  test('that fails a little more than it may is found in the end, however slowly callers come', () => {
    expect(breachAt(drawn(0.12, 3000, 1), 30_000)).not.toBeNull();
  });

  test('that keeps its limits is left alone for months: 100,000 answers in each of 50 runs', () => {
    const found = Array.from({ length: 50 }, (_, run) => breachAt(drawn(0.02, 100_000, run), 1_000));
    expect(found.filter((at) => at !== null)).toEqual([]);
  });

  test('attack: two bad answers among the first twenty prove nothing', () => {
    expect(judge(counted(20, 2), 1_000)).toEqual({ window: begun, breach: null });
    expect(judge(counted(19, 19), 1_000).breach).toBeNull();
  });

  test('that is slow breaks its limits as one that fails does', () => {
    expect(judge(counted(100, 0, 30), 1_000).breach).toContain('30 of 100 answers took longer than 100 ms');
  });

  test('is judged anew from a window that was good, and on from one that was not', () => {
    const over = judge(counted(50, 0), 61_000);
    expect(over.window).toEqual({ since: 61_000, base: counted(50, 0) });
    expect(judge(counted(50, 4), 61_000).window).toEqual(begun);
    expect(judge(counted(19, 0), 61_000).window).toEqual(begun);
  });
});

describe('a release that a gateway sends nobody any more', () => {
  const release = 'a'.repeat(64);
  const watched = { model: 'digits', revision: 3, release };
  const state = (breaker: Partial<BreakerSeen> | null, revision = 3): ModelState => ({
    ...{ model: 'digits', revision, document: 'd'.repeat(64), plan: null, triggers, killedBy: [], breach: null },
    serving: [{ release, version: '1.0.0', weight: 100 }],
    counters: [],
    replicas: [],
    breakers:
      breaker === null
        ? []
        : [
            {
              release,
              version: '1.0.0',
              state: 'open',
              reason: '20 answers in a row failed',
              failedTries: 1,
              ...breaker,
            },
          ],
  });

  test('and that was tried in vain is broken, however few answers are counted', () => {
    expect(shutOut([state({ failedTries: 2 })], watched)).toBe(
      '1 of 1 gateways have stopped sending callers to it: 20 answers in a row failed, and so it was when it was tried again, 2 times',
    );
    expect(shutOut([state({ state: 'half-open' })], watched)).not.toBeNull();
    expect(shutOut([state({}), state(null)], watched)).not.toBeNull();
  });

  test.each([
    ['nobody has tried again yet', [state({ failedTries: 0 })]],
    ['most gateways serve it', [state({}), state(null), state(null)]],
    ['it is another release', [state({ release: 'b'.repeat(64) })]],
    ['it was under another revision', [state({}, 2)]],
    ['no gateway answers', [null, 'unknown' as const]],
  ])('is not yet: %s', (_, seen) => {
    expect(shutOut(seen, watched)).toBeNull();
  });
});

test('of several sights only one that fails is a breach', () => {
  expect(
    breachIn([{ kind: 'sound' }, { kind: 'hold', reason: 'NaN' }, { kind: 'inconclusive', reason: 'x' }]),
  ).toBeNull();
  expect(
    breachIn([
      { kind: 'hold', reason: 'NaN' },
      { kind: 'fail', reason: 'alert' },
    ]),
  ).toBe('alert');
});
