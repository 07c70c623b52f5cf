const WINDOW_MS = 60_000;

/** So many a minute of each kind, and so many of all together. */
export class Pace {
  readonly #each: number;
  readonly #all: number;
  readonly #now: () => number;
  #since = 0;
  #total = 0;
  #counts = new Map<string, number>();

  constructor(each: number, all: number, now: () => number = Date.now) {
    this.#each = each;
    this.#all = all;
    this.#now = now;
  }

  /** Whether one more is let through, which then counts. */
  take(kind: string): boolean {
    const now = this.#now();
    if (now - this.#since >= WINDOW_MS) {
      this.#since = now;
      this.#total = 0;
      this.#counts = new Map();
    }
    const count = this.#counts.get(kind) ?? 0;
    if (count >= this.#each || this.#total >= this.#all) return false;
    this.#counts.set(kind, count + 1);
    this.#total += 1;
    return true;
  }
}
