import { LATIN1_PART } from './pickle-imports.js';

/** What a value is, as far as it matters. Numbers from 0 are strings that an allowed import is made of. */
export const VALUE = {
  /** Data that nothing can be called on. */
  inert: -1,
  /** What an allowed call answered, or the loader put in for a persistent id. */
  object: -2,
  /** An import that is not allowed: it has been told. */
  unsafe: -3,
  /** A NumPy type of plain numbers or texts: what its elements are, arrays of it take on trust. */
  type: -4,
  /** A string that no allowed import is made of, and of which nothing more is known. */
  text: -5,
  /** A text and `latin1`, in a tuple. */
  latin: -6,
  /** What NumPy makes such a type of, and the state that it gives it then. */
  typeName: -7,
  typeState: -24,
  /** Data that holds more: a large number, what can still be changed, what a call answered, or a shape of many dimensions. */
  telling: -9,
} as const;

/** What else may be known of data. */
export const HOLDS = { telling: 1, object: 2, pair: 4, several: 8 } as const;
const FIRST_DATA = -8;
const FIRST_ALLOWED = -32;

/** What data holds, as a sum of `HOLDS`. A call's answer, taken for arguments, may hold anything. */
export function held(value: number): number {
  if (value === VALUE.object) return HOLDS.telling | HOLDS.object;
  if (value === VALUE.type) return HOLDS.telling;
  if (value === VALUE.typeName || value === VALUE.typeState) return HOLDS.telling | HOLDS.several;
  return value < FIRST_DATA && value > FIRST_ALLOWED ? FIRST_DATA - value : 0;
}

/** What data holds that this is a member of. */
function heldWithin(value: number): number {
  if (value === VALUE.object) return HOLDS.telling | HOLDS.object;
  return (held(value) & (HOLDS.telling | HOLDS.several)) === 0 ? 0 : HOLDS.telling;
}

function isText(value: number): boolean {
  return value >= 0 || value === VALUE.text || offsetOf(value) >= 0;
}

/** An allowed import, of this kind. */
export function allowedValue(kind: number): number {
  return FIRST_ALLOWED - kind;
}
/** The kind of an allowed import; -1: it is none. */
export function kindOf(value: number): number {
  return value <= FIRST_ALLOWED && value > STANDS_AT ? FIRST_ALLOWED - value : -1;
}

/** From here downwards strings of which the text may still be at hand: `first - value` is where their opcode stands. */
const STANDS_AT = -64;
const LAST_OFFSET = 2 ** 31 + STANDS_AT;

/** A string whose opcode stands at this offset; beyond what 32 bits hold, one of which nothing is known. */
export function stringValue(offset: number): number {
  return offset <= LAST_OFFSET ? STANDS_AT - offset : VALUE.text;
}
export function offsetOf(value: number): number {
  return value <= STANDS_AT ? STANDS_AT - value : -1;
}

export const MAX_DEPTH = 2_000_000;
/** A structure that would have so many values if each were written out may be a bomb. */
export const MAX_EXPANDED = 1e9;
const FIRST_CAPACITY = 1024;
/** What a memo that is used as picklers use it has places for, and how many places far beyond them are followed. */
const MAX_MEMO = 8_000_000;
const MAX_FAR = 100_000;

/** A pickle machine's stack and memo, whose values are numbers. `size`: how many values it holds if all are written out. */
export class PickleStack {
  values = new Int32Array(FIRST_CAPACITY);
  sizes = new Float32Array(FIRST_CAPACITY);
  /** One more than the place in the memo under which the value was kept last; 0: none. */
  kept = new Int32Array(FIRST_CAPACITY);
  depth = 0;
  /** How many opcodes went by at once. */
  passed = 0;
  /** Where the values of each open mark begin. */
  marks: number[] = [];
  /** Nothing below may be taken. */
  fence = 0;
  memoValues = new Int32Array(FIRST_CAPACITY);
  memoSizes = new Float32Array(FIRST_CAPACITY);
  memoSet = new Uint8Array(FIRST_CAPACITY);
  memoCount = 0;
  /** Above all places that were used: a pickle of few opcodes is not to cost what a large one before it did. */
  memoEnd = 0;
  /** Places far beyond all others, which pickle.py keeps as it does any. */
  far: Map<number | bigint, number> | null = null;

  /** For the next pickle, whose loader has a stack and a memo of its own. */
  clear(): void {
    this.depth = 0;
    this.marks = [];
    this.fence = 0;
    this.memoSet.fill(0, 0, this.memoEnd);
    this.memoEnd = 0;
    this.memoCount = 0;
    this.far = null;
  }

  push(value: number, size: number): void {
    const at = this.depth;
    if (at === this.values.length) this.grow();
    this.values[at] = value;
    this.sizes[at] = size;
    this.kept[at] = 0;
    this.depth = at + 1;
  }

  /** Whether so many values are there above the last mark. */
  has(count: number): boolean {
    return this.depth - count >= this.fence;
  }

  valueAt(below: number): number {
    return this.values[this.depth - 1 - below] as number;
  }

  /** What the last `count` values are as one. */
  together(count: number): number {
    const from = this.depth - count;
    let holds = count < 2 ? 0 : count === 2 ? HOLDS.pair | HOLDS.several : HOLDS.several;
    for (let at = from; at < this.depth; at += 1) {
      const value = this.values[at] as number;
      // Nearly every value is a string or plain data.
      if (value < VALUE.inert && value > FIRST_ALLOWED) holds |= heldWithin(value);
    }
    if (count === 2 && this.values[from + 1] === LATIN1_PART && isText(this.values[from] as number)) return VALUE.latin;
    return holds === 0 ? VALUE.inert : FIRST_DATA - holds;
  }

  /** Replaces the last `count` values by one that holds them. */
  gather(count: number, value: number): number {
    let size = 1;
    const from = this.depth - count;
    for (let at = from; at < this.depth; at += 1) size += this.sizes[at] as number;
    this.depth = from;
    this.push(value, size);
    return size;
  }

  /** Puts the values above `from` into the one below them, and tells it where it is kept too. */
  putInto(from: number): number {
    const holder = from - 1;
    let size = this.sizes[holder] as number;
    for (let at = from; at < this.depth; at += 1) size += this.sizes[at] as number;
    this.sizes[holder] = size;
    const kept = this.kept[holder] as number;
    if (kept > 0) this.memoSizes[kept - 1] = size;
    this.depth = from;
    return size;
  }

  mark(): void {
    this.marks.push(this.depth);
    this.fence = this.depth;
  }

  /** Takes the last mark away and answers where its values begin; -1: there is none. */
  unmark(): number {
    const from = this.marks.pop() ?? -1;
    this.fence = this.marks.length === 0 ? 0 : (this.marks[this.marks.length - 1] as number);
    return from;
  }

  /** Keeps the last value in a place of the memo that is among the others. `false`: there are too many. */
  keep(index: number): boolean {
    if (index >= MAX_MEMO) return false;
    if (index >= this.memoSet.length) this.growMemo(index);
    const top = this.depth - 1;
    if (this.memoSet[index] === 0 && this.far?.delete(index) !== true) this.memoCount += 1;
    this.memoSet[index] = 1;
    if (index >= this.memoEnd) this.memoEnd = index + 1;
    this.memoValues[index] = this.values[top] as number;
    this.memoSizes[index] = this.sizes[top] as number;
    this.kept[top] = index + 1;
    return true;
  }

  /** Keeps it in a place far beyond. */
  keepFar(index: number | bigint): boolean {
    if (typeof index === 'number' && index < this.memoSet.length) return this.keep(index);
    this.far ??= new Map();
    if (!this.far.has(index)) this.memoCount += 1;
    this.far.set(index, this.values[this.depth - 1] as number);
    return this.far.size <= MAX_FAR;
  }

  /** Pushes what is kept there; `false`: nothing is. */
  recall(index: number | bigint): boolean {
    if (typeof index === 'number' && index < this.memoSet.length && this.memoSet[index] === 1) {
      this.push(this.memoValues[index] as number, this.memoSizes[index] as number);
      this.kept[this.depth - 1] = index + 1;
      return true;
    }
    const value = this.far?.get(index);
    if (value === undefined) return false;
    this.push(value, 1);
    return true;
  }

  private grow(): void {
    const length = this.values.length * 2;
    this.values = enlarged(this.values, new Int32Array(length));
    this.sizes = enlarged(this.sizes, new Float32Array(length));
    this.kept = enlarged(this.kept, new Int32Array(length));
  }

  private growMemo(index: number): void {
    const length = Math.max(this.memoValues.length * 2, index + 1);
    this.memoValues = enlarged(this.memoValues, new Int32Array(length));
    this.memoSizes = enlarged(this.memoSizes, new Float32Array(length));
    this.memoSet = enlarged(this.memoSet, new Uint8Array(length));
  }
}

function enlarged<T extends Int32Array | Float32Array | Uint8Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
