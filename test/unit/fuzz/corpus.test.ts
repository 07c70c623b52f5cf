import { describe, expect, it } from 'vitest';
import { keptFor, targetsKept } from '../../../tools/fuzz/corpus.js';
import { faultOf, TARGETS } from '../../../tools/fuzz/targets.js';

describe('what was found by fuzzing', () => {
  it('is kept for every reader of bytes from outside, and for no other', () => {
    expect([...targetsKept()].sort()).toEqual(Object.keys(TARGETS).sort());
  });

  it.each(Object.entries(TARGETS))('%s: no input brings out anything but a refusal', async (name, target) => {
    const inputs = keptFor(name);
    expect(inputs.length).toBeGreaterThan(0);
    const faults = [];
    for (const bytes of inputs) {
      const fault = await faultOf(target, bytes);
      if (fault !== null) faults.push({ input: bytes.toString('base64'), fault: fault.message });
    }
    expect(faults).toEqual([]);
  });

  it('would tell of a fault', async () => {
    const broken = await faultOf(() => Buffer.alloc(1).readUInt32LE(0), Buffer.alloc(0));
    expect(broken).toBeInstanceOf(RangeError);
  });
});
