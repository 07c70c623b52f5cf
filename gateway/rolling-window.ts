const SLICES = 10;

/** What was counted in the last so many milliseconds, to a tenth of them, in constant memory. Time only goes forward. */
export class RollingWindow {
  requests = 0;
  failures = 0;
  slow = 0;
  /** Failures since the last answer that was none. */
  consecutive = 0;
  readonly #sliceMs: number;
  readonly #requests = new Uint32Array(SLICES);
  readonly #failures = new Uint32Array(SLICES);
  readonly #slow = new Uint32Array(SLICES);
  /** Number of the newest slice since the clock began. */
  #newest = 0;

  constructor(ms: number) {
    this.#sliceMs = ms / SLICES;
  }

  add(at: number, failed: boolean, slow: boolean): void {
    const slice = this.#sliceAt(at);
    this.requests += 1;
    bump(this.#requests, slice);
    if (slow) {
      this.slow += 1;
      bump(this.#slow, slice);
    }
    if (failed) this.#fail(slice);
    else this.consecutive = 0;
  }

  /** A request that was added before has failed after all. */
  addFailure(at: number): void {
    this.#fail(this.#sliceAt(at));
  }

  clear(): void {
    this.requests = this.failures = this.slow = this.consecutive = 0;
    for (const counts of [this.#requests, this.#failures, this.#slow]) counts.fill(0);
  }

  #fail(slice: number): void {
    this.failures += 1;
    this.consecutive += 1;
    bump(this.#failures, slice);
  }

  #sliceAt(at: number): number {
    const number = Math.floor(at / this.#sliceMs);
    // What is older than the window leaves it.
    for (let left = Math.min(number - this.#newest, SLICES); left > 0; left -= 1) {
      const slice = (number - left + 1) % SLICES;
      this.requests -= this.#requests[slice] ?? 0;
      this.failures -= this.#failures[slice] ?? 0;
      this.slow -= this.#slow[slice] ?? 0;
      this.#requests[slice] = this.#failures[slice] = this.#slow[slice] = 0;
    }
    if (number > this.#newest) this.#newest = number;
    return number % SLICES;
  }
}

function bump(counts: Uint32Array, at: number): void {
  counts[at] = (counts[at] ?? 0) + 1;
}
