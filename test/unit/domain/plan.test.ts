import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { planFlaw, planFor, planTooLong, planWeaker } from '../../../domain/plan.js';
import type { PlanStep } from '../../../domain/statements.js';

const step = (weight: number, bakeSeconds: number, pause = false): PlanStep =>
  pause ? { weight, bakeSeconds, pause } : { weight, bakeSeconds };
const LEAST = [step(10, 60, true), step(50, 60), step(100, 60)];
const plans = fc
  .uniqueArray(fc.integer({ min: 1, max: 99 }), { maxLength: 8 })
  .chain((weights) =>
    fc.tuple(
      ...[...weights.sort((a, b) => a - b), 100].map((weight) =>
        fc.tuple(fc.integer({ min: 1, max: 100 }), fc.boolean()).map(([bake, pause]) => ({ weight, bake, pause })),
      ),
    ),
  )
  .map((steps) => steps.map(({ weight, bake, pause }) => step(weight, bake, pause && weight < 100)));

/** The greatest weight that a plan has reached after so many seconds. */
const reached = (plan: readonly PlanStep[], seconds: number): number => {
  let [weight, begins] = [0, 0];
  for (const each of plan) {
    if (begins > seconds) break;
    weight = each.weight;
    begins += each.bakeSeconds;
  }
  return weight;
};

describe('a plan of its own', () => {
  const allowed: [string, readonly PlanStep[]][] = [
    ["that is the policy's", LEAST],
    ['that is slower', [step(10, 600, true), step(50, 60), step(100, 61)]],
    ['with more steps', [step(1, 1), step(10, 60, true), step(25, 1, true), step(50, 60), step(99, 1), step(100, 60)]],
    ['with more pauses', [step(10, 60, true), step(50, 60, true), step(100, 60)]],
  ];
  test.each(allowed)('%s is as strict', (_, plan) => expect(planWeaker(plan, LEAST)).toBeNull());

  const refused: [string, readonly PlanStep[], RegExp][] = [
    ['all at once', [step(100, 600)], /leaves out the step to 10 %/],
    ['without a step', [step(10, 60, true), step(100, 600)], /leaves out the step to 50 %/],
    ['with another weight', [step(10, 60, true), step(51, 60), step(100, 60)], /leaves out the step to 50 %/],
    ['that hurries', [step(10, 59.9, true), step(50, 600), step(100, 600)], /to 10 % for 59.9 s, the policy for 60 s/],
    ['that hurries at its end', [step(10, 60, true), step(50, 60), step(100, 1)], /to 100 % for 1 s/],
    ['without the pause', [step(10, 60), step(50, 60, true), step(100, 60)], /does not pause after the step to 10 %/],
    ['that goes down', [step(10, 60, true), step(50, 60), step(20, 60), step(100, 60)], /weights must rise/],
    ['that stays', [step(10, 60, true), step(10, 60, true), step(50, 60), step(100, 60)], /weights must rise/],
    ['that ends below 100', [step(10, 60, true), step(50, 60), step(99, 60)], /the last must be 100/],
    ['that goes above 100', [step(10, 60, true), step(50, 60), step(100, 60), step(110, 60)], /the last must be 100/],
    ['of nothing', [], /the last must be 100/],
    ['that begins with nobody', [step(0, 60), ...LEAST], /after a preview .* there is one switch/],
    ['that is a preview alone', [step(0, 60)], /the last must be 100/],
    ['that goes below nobody', [step(-1, 60), ...LEAST], /weights must rise/],
    ['that previews, then takes all', [step(0, 600), step(100, 600)], /leaves out the step to 10 %/],
    ['that pauses at its end', [...LEAST.slice(0, 2), step(100, 60, true)], /nothing follows the last step/],
  ];
  test.each(refused)('attack: %s is refused, and it is said why', (_, plan, why) =>
    expect(planWeaker(plan, LEAST)).toMatch(why),
  );

  test('that is as strict brings nobody to the release sooner, is watched no shorter', () => {
    fc.assert(
      fc.property(plans, plans, fc.integer({ min: 0, max: 900 }), (own, least, seconds) => {
        expect(planFlaw(own)).toBeNull();
        expect(planWeaker(own, own)).toBeNull();
        if (planWeaker(own, least) !== null) return;
        expect(reached(own, seconds)).toBeLessThanOrEqual(reached(least, seconds));
        const total = (plan: readonly PlanStep[]) => plan.reduce((sum, { bakeSeconds }) => sum + bakeSeconds, 0);
        expect(total(own)).toBeGreaterThanOrEqual(total(least));
        expect(own.length).toBeGreaterThanOrEqual(least.length);
      }),
      { numRuns: 300 },
    );
    // Few pairs that are drawn at random can be compared: these always can.
    fc.assert(
      fc.property(
        plans,
        fc.integer({ min: 0, max: 900 }),
        fc.integer({ min: 1, max: 99 }),
        (least, seconds, weight) => {
          const slower = least.map((each) => ({ ...each, bakeSeconds: each.bakeSeconds + 1 }));
          const own = least.some((each) => each.weight === weight)
            ? slower
            : [...slower, step(weight, 5)].sort((a, b) => a.weight - b.weight);
          expect(planWeaker(own, least)).toBeNull();
          expect(reached(own, seconds)).toBeLessThanOrEqual(reached(least, seconds));
          expect(planWeaker(least, own)).not.toBeNull();
        },
      ),
      { numRuns: 300 },
    );
  });

  test('of a blue-green policy may preview for longer, or pause, and not leave the preview out', () => {
    const least = [step(0, 60), step(100, 60)];
    expect(planWeaker([step(0, 90, true), step(100, 60)], least)).toBeNull();
    expect(planWeaker([step(0, 30), step(100, 60)], least)).toMatch(/to 0 % for 30 s/);
    expect(planWeaker([step(100, 600)], least)).toMatch(/leaves out the step to 0 %/);
    expect(planWeaker([step(10, 60), step(100, 60)], least)).toMatch(/leaves out the step to 0 %/);
    expect(planWeaker([step(0, 60), step(10, 60), step(100, 60)], least)).toMatch(/there is one switch/);
  });

  test('of a first release is its last step', () => {
    expect(planFor(LEAST, true)).toEqual([step(100, 60)]);
    expect(planFor(LEAST, false)).toEqual(LEAST);
  });

  test('must come to its last step in the time that the policy gives it', () => {
    expect(planTooLong(LEAST, 120)).toBeNull();
    expect(planTooLong(LEAST, 119)).toMatch(/would begin after 120 s, and must within 119 s/);
  });
});
