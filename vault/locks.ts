/**
 * Lets one holder at a time act on a name. All names are queued for at once, so holders of several names never wait for
 * each other in a circle.
 */
export class NamedLocks {
  readonly #last = new Map<string, Promise<void>>();

  async hold<T>(names: readonly string[], act: () => Promise<T>): Promise<T> {
    const wanted = [...new Set(names)];
    const before = wanted.map((name) => this.#last.get(name) ?? Promise.resolve());
    let release = (): void => undefined;
    const mine = new Promise<void>((resolve) => {
      release = resolve;
    });
    for (const name of wanted) this.#last.set(name, mine);
    try {
      await Promise.all(before);
      return await act();
    } finally {
      for (const name of wanted) if (this.#last.get(name) === mine) this.#last.delete(name);
      release();
    }
  }
}
