import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { squaredDistance, type TensorMeasure } from '../../../domain/release-facts.js';
import { readSafetensorsHeader, type Dtype } from '../../../formats/safetensors.js';
import { TensorSketch } from '../../../formats/tensor-sketch.js';
import { f32 } from '../../support/facts.js';

const sketch = new TensorSketch();
function measured(dtype: Dtype, bytes: Buffer, places = 64, pieces = 1 << 20): TensorMeasure | null {
  sketch.begin(dtype);
  for (let at = 0; at < bytes.length; at += pieces) sketch.add(bytes.subarray(at, at + pieces));
  return sketch.measure(places);
}

/** Deterministic, and normally distributed. */
function noise(count: number, seed: number): number[] {
  let state = seed;
  const uniform = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state + 1) / 2 ** 32;
  };
  return Array.from({ length: count }, () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()));
}

const length = (values: readonly number[]): number => Math.hypot(...values);
const estimate = (a: TensorMeasure | null, b: TensorMeasure | null): number => {
  const found = squaredDistance(a, b);
  if (found === null) throw new Error('not measured');
  return Math.sqrt(found.distance / found.norm);
};

describe('the estimate of a change', () => {
  it.each([0.001, 0.05, 0.3, 1.4])('of %d times the length is near it, for most of many tensors', (size) => {
    const errors = Array.from({ length: 60 }, (_, run) => {
      const count = 500 + 311 * run;
      const before = noise(count, run);
      const step = noise(count, 1000 + run).map((value) => value * size);
      const after = before.map((value, at) => value + (step[at] ?? 0));
      const truth = length(step) / length(before);
      return Math.abs(estimate(measured('F32', f32(...before)), measured('F32', f32(...after))) / truth - 1);
    }).sort((a, b) => a - b);
    expect(errors[30]).toBeLessThan(0.09);
    expect(errors[57]).toBeLessThan(0.25);
  });

  it('of real weights, retrained, is near what the weights themselves say', () => {
    const output = (version: string): Buffer => {
      const file = readFileSync(`examples/digits/trained/${version}/weights.safetensors`);
      const { tensors } = readSafetensorsHeader(file, file.length);
      const first = 8 + Number(file.readBigUInt64LE());
      return Buffer.concat(
        tensors
          .filter(({ name }) => name.startsWith('hidden.weight'))
          .map(({ begin }) => file.subarray(first + begin, first + begin + 4 * 8 * 64)),
      );
    };
    const [a, b] = [output('1.0.0'), output('1.1.0')];
    const values = (bytes: Buffer): number[] =>
      Array.from({ length: bytes.length / 4 }, (_, at) => bytes.readFloatLE(4 * at));
    const [before, after] = [values(a), values(b)];
    const truth = length(before.map((value, at) => value - (after[at] ?? 0))) / length(before);
    expect(Math.abs(estimate(measured('F32', a), measured('F32', b)) / truth - 1)).toBeLessThan(0.15);
    expect(measured('F32', a)?.norm).toBeCloseTo(length(before), 4);
  });

  it('works between a long sketch and a short one', () => {
    const [before, after] = [noise(4000, 1), noise(4000, 2)];
    const short = estimate(measured('F32', f32(...before), 16), measured('F32', f32(...after), 64));
    expect(short).toBeCloseTo(estimate(measured('F32', f32(...before), 16), measured('F32', f32(...after), 16)), 4);
    expect(short).toBeGreaterThan(0.7 * Math.SQRT2);
    expect(short).toBeLessThan(1.3 * Math.SQRT2);
  });

  it('is zero for the same tensor, however its bytes are cut', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20_000 }), fc.integer({ min: 1, max: 5000 }), (count, pieces) => {
        const bytes = f32(...noise(count, count));
        expect(measured('F32', bytes, 64, pieces)).toEqual(measured('F32', bytes));
        expect(estimate(measured('F32', bytes, 64, pieces), measured('F32', bytes))).toBe(0);
      }),
      { numRuns: 30 },
    );
  });
});

describe('the norm', () => {
  const bits = (hex: string): Buffer => Buffer.from(hex, 'hex');
  it.each<[Dtype, string, number]>([
    ['F64', '0000000000000840000000000000f0bf', Math.hypot(3, -1)],
    ['F32', '00004040000080bf', Math.hypot(3, -1)],
    ['F16', '004200bc', Math.hypot(3, -1)],
    ['F16', '0100', 2 ** -24],
    ['BF16', '404080bf', Math.hypot(3, -1)],
    ['F8_E5M2', '42bc', Math.hypot(3, -1)],
    ['F8_E4M3', '44b8', Math.hypot(3, -1)],
    ['I8', '03ff', Math.hypot(3, -1)],
    ['U8', '03ff', Math.hypot(3, 255)],
    ['BOOL', '0100', 1],
    ['I16', '0300ffff', Math.hypot(3, -1)],
    ['U16', '0300ffff', Math.hypot(3, 65_535)],
    ['I32', '03000000ffffffff', Math.hypot(3, -1)],
    ['U32', '03000000ffffffff', 2 ** 32],
    ['I64', '0300000000000000ffffffffffffffff', Math.hypot(3, -1)],
    ['U64', 'ffffffffffffffff', 2 ** 64],
    ['C64', '00004040000080bf', Math.hypot(3, -1)],
  ])('of %s %s is %d', (dtype, hex, norm) => {
    const found = measured(dtype, bits(hex));
    expect(found?.norm).toBe(Number(norm.toPrecision(6)));
    expect(found?.nonFinite).toBe(0);
  });

  it('counts what is NaN or infinite, and leaves it out', () => {
    expect(measured('F32', f32(3, NaN, 4, -Infinity))).toMatchObject({ norm: 5, nonFinite: 2 });
    expect(measured('F16', bits('007c017e0042'))).toMatchObject({ norm: 3, nonFinite: 2 });
    expect(squaredDistance(measured('F32', f32(3, NaN)), measured('F32', f32(3, 4)))).toBeNull();
  });

  it('of numbers whose squares no double holds is none, as of dtypes that are not measured', () => {
    const huge = Buffer.alloc(16);
    huge.writeDoubleLE(1e300);
    expect(measured('F64', huge)).toBeNull();
    expect(measured('F4', bits('12'))).toBeNull();
  });

  it('of nothing is zero', () => {
    expect(measured('F32', Buffer.alloc(0))).toMatchObject({ norm: 0, nonFinite: 0 });
  });
});
