import { admit, CLOSED, opened, settle, tripOf, type BreakerLimits, type BreakerState } from '../domain/breaker.js';
import { RollingWindow } from './rolling-window.js';

/** The breaker of one release: for as long as the endpoint knows it, under whichever revision. Times: `performance.now()`. */
export class Breaker {
  /** Rises whenever the breaker opens, tries or closes: what began before says nothing about what is now. */
  epoch = 0;
  #state: BreakerState = CLOSED;
  #limits: BreakerLimits | null = null;
  #window: RollingWindow | null = null;

  get state(): BreakerState {
    return this.#state;
  }

  /** Judges by these limits from now on. */
  use(limits: BreakerLimits | null): void {
    if (limits === this.#limits) return;
    const isOther = limits?.windowSeconds !== this.#limits?.windowSeconds;
    if (isOther) this.#window = limits === null ? null : new RollingWindow(limits.windowSeconds * 1000);
    this.#limits = limits;
    if (limits === null) this.#become(CLOSED);
  }

  /** Milliseconds until it is worth asking again; 0: this caller is let through. */
  waitMs(): number {
    if (this.#state.kind === 'closed' || this.#limits === null) return 0;
    const now = performance.now();
    const next = admit(this.#state, now, this.#limits);
    if (next === null) return Math.max(1, this.#state.until - now);
    // One that begins to try is another beginning; one more that tries is not.
    if (next.kind === 'half-open' && next.admitted === 1) this.#become(next);
    else this.#state = next;
    return 0;
  }

  /** One request's outcome, and the epoch in which it was let through: why the release gets no more; `null` as a rule. */
  count(epoch: number, at: number, ms: number, failed: boolean): string | null {
    const limits = this.#limits;
    if (limits === null || this.#window === null || epoch !== this.epoch) return null;
    const slow = ms > limits.maxLatencyMs;
    if (this.#state.kind !== 'closed') return this.#tried(!failed && !slow, at, limits);
    this.#window.add(at, failed, slow);
    return tripOf(this.#window, limits);
  }

  /** As `count`, of an answer that had begun well, was counted, and broke off. */
  brokeOff(epoch: number, at: number): string | null {
    const limits = this.#limits;
    if (limits === null || this.#window === null || epoch !== this.epoch) return null;
    if (this.#state.kind !== 'closed') return this.#tried(false, at, limits);
    this.#window.addFailure(at);
    return tripOf(this.#window, limits);
  }

  open(reason: string, at: number): void {
    if (this.#limits !== null) this.#become(opened(this.#state, reason, at, this.#limits));
  }

  #tried(good: boolean, at: number, limits: BreakerLimits): string | null {
    const next = settle(this.#state, good, at, limits);
    if (next.kind === 'half-open') this.#state = next;
    else if (next.kind === 'closed') this.#become(next);
    return next.kind === 'open' ? next.reason : null;
  }

  #become(state: BreakerState): void {
    this.#state = state;
    this.epoch += 1;
    this.#window?.clear();
  }
}
