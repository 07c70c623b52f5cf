import { describe, expect, it } from 'vitest';
import { accuracy, createMlp, forward, train, type Examples } from '../../../examples/digits/training/mlp.mjs';
import { seededRandom, shuffledIndices } from '../../../examples/digits/training/random.mjs';

const XOR: Examples = {
  count: 4,
  features: Float32Array.of(0, 0, 0, 1, 1, 0, 1, 1),
  labels: Uint8Array.of(0, 1, 1, 0),
};
const PARAMETERS = { seed: 3, hidden: 8, epochs: 400, batchSize: 4, learningRate: 0.02 };

describe('the network', () => {
  it('learns what no linear model can', () => {
    const losses: number[] = [];
    const mlp = train(XOR, 2, PARAMETERS, ({ loss }) => losses.push(loss));
    expect(accuracy(mlp, XOR)).toBe(1);
    expect(losses.at(-1)).toBeLessThan((losses[0] as number) / 10);
  });

  it('has the same bytes for the same seed and others for another', () => {
    const first = train(XOR, 2, PARAMETERS);
    expect(train(XOR, 2, PARAMETERS)).toEqual(first);
    expect(train(XOR, 2, { ...PARAMETERS, seed: 4 })).not.toEqual(first);
  });

  it('answers probabilities, also for features far from any it saw', () => {
    const scores = forward(createMlp(2, 8, 3, seededRandom(1)), Float32Array.of(1e6, -1e6));
    expect(scores.every((score) => score >= 0 && score <= 1)).toBe(true);
    expect(scores.reduce((sum, score) => sum + score, 0)).toBeCloseTo(1, 5);
  });

  it('takes one step down the gradient that finite differences give', () => {
    // Adam's first step moves every weight by the learning rate against the sign of its gradient.
    const step = { seed: 5, hidden: 4, epochs: 1, batchSize: 4, learningRate: 1e-6 };
    const before = createMlp(2, 4, 2, seededRandom(step.seed));
    const after = train(XOR, 2, step);
    const loss = (): number => {
      let sum = 0;
      XOR.labels.forEach((label, row) => {
        sum -= Math.log(forward(before, XOR.features.subarray(row * 2, row * 2 + 2))[label] as number);
      });
      return sum / XOR.count;
    };
    let compared = 0;
    for (const name of ['hiddenWeight', 'outputWeight'] as const) {
      before[name].forEach((value, at) => {
        before[name][at] = value + 1e-2;
        const above = loss();
        before[name][at] = value - 1e-2;
        const slope = (above - loss()) / 2e-2;
        before[name][at] = value;
        if (Math.abs(slope) < 1e-3) return;
        compared += 1;
        expect(Math.sign((after[name][at] as number) - value)).toBe(-Math.sign(slope));
      });
    }
    expect(compared).toBeGreaterThan(6);
  });

  it('shuffles every index into place once', () => {
    expect([...shuffledIndices(100, seededRandom(1))].sort((a, b) => a - b)).toEqual([...Array(100).keys()]);
  });
});
