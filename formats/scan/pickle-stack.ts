/** What a value is, as far as it matters. Numbers from 0 are strings that an allowed import is made of. */
export const VALUE = {
  /** Data that nothing can be called on. */
  inert: -1,
  /** What an allowed call answered, or the loader put in for a persistent id. */
  object: -2,
  /** An import that is not allowed: it has been told. */
  unsafe: -3,
  /** An allowed import. */
  allowed: -4,
  /** A string that no allowed import is made of, and of which nothing more is known. */
  text: -5,
} as const;
/** Strings of which the text may still be at hand: `recent - value` is how many strings there were before. */
const RECENT = -16;

export function recentValue(sequence: number): number {
  return RECENT - (sequence & 0x3fff_ffff);
}
export function sequenceOf(value: number): number {
  return value <= RECENT ? RECENT - value : -1;
}

const FIRST_CAPACITY = 1024;

/** A pickle machine's stack and memo, whose values are numbers. `size`: how many values it holds if all are written out. */
export class PickleStack {
  values = new Int32Array(FIRST_CAPACITY);
  sizes = new Float32Array(FIRST_CAPACITY);
  /** One more than the place in the memo under which the value was kept last; 0: none. */
  private kept = new Int32Array(FIRST_CAPACITY);
  depth = 0;
  /** Where the values of each open mark begin. */
  marks: number[] = [];
  /** Nothing below may be taken. */
  fence = 0;
  private memoValues = new Int32Array(FIRST_CAPACITY).fill(0);
  private memoSizes = new Float32Array(FIRST_CAPACITY);
  private memoSet = new Uint8Array(FIRST_CAPACITY);
  memoCount = 0;

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

  keep(index: number): void {
    if (index >= this.memoValues.length) this.growMemo(index);
    const top = this.depth - 1;
    if (this.memoSet[index] === 0) this.memoCount += 1;
    this.memoSet[index] = 1;
    this.memoValues[index] = this.values[top] as number;
    this.memoSizes[index] = this.sizes[top] as number;
    this.kept[top] = index + 1;
  }

  /** Pushes what is kept there; `false`: nothing is. */
  recall(index: number): boolean {
    if (index >= this.memoSet.length || this.memoSet[index] === 0) return false;
    this.push(this.memoValues[index] as number, this.memoSizes[index] as number);
    this.kept[this.depth - 1] = index + 1;
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
