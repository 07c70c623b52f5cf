import colors from 'picocolors';

/** Tells what happens, as it happens: on stderr, so that stdout stays free for data. */
export class Narrator {
  readonly #startedAt = performance.now();
  #step = 0;
  #ended = false;

  step(title: string): void {
    this.#step += 1;
    this.write(`\n${colors.bold(`${this.#step}. ${title}`)}  ${colors.dim(`${this.seconds()} s`)}`);
  }

  say(line: string): void {
    this.write(`   ${line}`);
  }

  /** The last line: what still happens after it is not told any more. */
  last(line: string): void {
    this.say(line);
    this.#ended = true;
  }

  /** Somebody's decision. */
  decided(who: string, what: string): void {
    this.write(`   ${colors.cyan(who)} ${what}`);
  }

  watch(address: string): void {
    this.write(`   ${colors.dim(address)}`);
  }

  /** Milliseconds that an act took. */
  async timed<T>(what: string, act: () => Promise<T>): Promise<T> {
    const startedAt = performance.now();
    const result = await act();
    this.say(`${what} ${colors.dim(`(${Math.round(performance.now() - startedAt)} ms)`)}`);
    return result;
  }

  seconds(): string {
    return ((performance.now() - this.#startedAt) / 1000).toFixed(1);
  }

  /** Where a line goes. */
  protected write(line: string): void {
    if (!this.#ended) process.stderr.write(`${line}\n`);
  }
}
