import type { Logger } from 'pino';

const WINDOW_MS = 10_000;
const LINES_PER_WINDOW = 100;

/** Lines of a log that callers cause: no more than a hundred in ten seconds, then how many were left out. */
export class BoundedLog {
  readonly #log: Logger;
  readonly #now: () => number;
  #since = 0;
  #written = 0;

  constructor(log: Logger, now: () => number = Date.now) {
    this.#log = log;
    this.#now = now;
  }

  write(level: 'info' | 'warn', facts: object, message: string): void {
    const now = this.#now();
    if (now - this.#since >= WINDOW_MS) {
      const left = this.#written - LINES_PER_WINDOW;
      if (left > 0) this.#log.warn({ lines: left }, 'lines were left out');
      this.#since = now;
      this.#written = 0;
    }
    this.#written += 1;
    if (this.#written <= LINES_PER_WINDOW) this.#log[level](facts, message);
  }
}
