import { partAt } from './pickle-imports.js';
import { MAX_NAMED_BYTES } from './pickle-names.js';
import { DATA_OF, EFFECT, EFFECT_OF, OP, SHAPE, SHAPE_OF, uint } from './pickle-ops.js';
import { MAX_DEPTH, MAX_EXPANDED, type PickleStack, stringValue, VALUE } from './pickle-stack.js';

/**
 * Goes over opcodes that only push data, or keep it in the memo and fetch it from there: nearly all of a large pickle. Does as
 * the machine does, on the same stack, but in one loop whose state the engine holds in registers. Whatever is not plainly one
 * of these, has no room yet, or does not lie before `end` as a whole is left to the machine, which judges: this never reports.
 *
 * Answers where the first opcode stands that was left, and adds to the stack's `passed` how many were not. `base`: the offset
 * of the first byte in the file.
 */
export function passData(stack: PickleStack, bytes: Uint8Array, from: number, end: number, base: number): number {
  const { values, sizes, kept, memoValues, memoSizes, memoSet, fence } = stack;
  const room = Math.min(values.length, MAX_DEPTH);
  let { depth, memoCount } = stack;
  let passed = 0;
  let at = from;
  while (at < end && depth < room) {
    const op = bytes[at] as number;
    const effect = EFFECT_OF[op];
    const shape = SHAPE_OF[op] as number;
    let next = at + 1 + shape;
    if (shape > SHAPE.counted) {
      const begin = next - SHAPE.counted;
      if (begin > end) break;
      const length = shape === SHAPE.counted + 1 ? (bytes[at + 1] as number) : uint(bytes, at + 1, begin - at - 1);
      next = begin + length;
      if (next > end) break;
      let value = DATA_OF[op] as number;
      if (effect === EFFECT.text) {
        const part = length > MAX_NAMED_BYTES ? VALUE.text : partAt(bytes, begin, next);
        value = part === -1 ? stringValue(base + at) : part;
      }
      values[depth] = value;
      sizes[depth] = 1;
      kept[depth] = 0;
      depth += 1;
    } else if (next > end) break;
    else if (effect === EFFECT.data) {
      values[depth] = DATA_OF[op] as number;
      sizes[depth] = 1;
      kept[depth] = 0;
      depth += 1;
    } else if (effect === EFFECT.memoize || effect === EFFECT.put) {
      const index =
        op === OP.MEMOIZE ? memoCount : op === OP.BINPUT ? (bytes[at + 1] as number) : uint(bytes, at + 1, 4);
      const top = depth - 1;
      if (top < fence || index >= memoSet.length || memoSet[index] === 1 || stack.far !== null) break;
      memoSet[index] = 1;
      memoValues[index] = values[top] as number;
      memoSizes[index] = sizes[top] as number;
      kept[top] = index + 1;
      memoCount += 1;
      if (index >= stack.memoEnd) stack.memoEnd = index + 1;
    } else if (effect === EFFECT.get) {
      const index = op === OP.BINGET ? (bytes[at + 1] as number) : uint(bytes, at + 1, 4);
      if (index >= memoSet.length || memoSet[index] === 0) break;
      const size = memoSizes[index] as number;
      if (size >= MAX_EXPANDED) break;
      values[depth] = memoValues[index] as number;
      sizes[depth] = size;
      kept[depth] = index + 1;
      depth += 1;
    } else break;
    at = next;
    passed += 1;
  }
  stack.depth = depth;
  stack.memoCount = memoCount;
  stack.passed = passed;
  return at;
}
