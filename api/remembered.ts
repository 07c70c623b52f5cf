const MAX_AGE_MS = 24 * 3_600_000;
const MAX_KEPT = 10_000;

interface Kept {
  readonly done: Promise<void>;
  readonly at: number;
}

/** What has been done is not done again while it is asked for at least once a day; what failed may be tried again. */
export class Remembered {
  readonly #kept = new Map<string, Kept>();
  readonly #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** Waits for what is under way or done, or does it. `null`: `mayBegin` does not let it. */
  async once(id: string, act: () => Promise<void>, mayBegin: () => boolean): Promise<'done' | 'known' | null> {
    const before = this.#kept.get(id);
    if (before !== undefined && this.#now() - before.at < MAX_AGE_MS) {
      this.#put(id, { ...before, at: this.#now() });
      await before.done;
      return 'known';
    }
    if (!mayBegin()) return null;
    const done = act();
    this.#put(id, { done, at: this.#now() });
    try {
      await done;
      return 'done';
    } catch (error) {
      this.#kept.delete(id);
      throw error;
    }
  }

  /** The one that was asked for longest ago is the first to be forgotten. */
  #put(id: string, kept: Kept): void {
    this.#kept.delete(id);
    this.#kept.set(id, kept);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > MAX_KEPT && oldest !== undefined) this.#kept.delete(oldest);
  }
}
