const AHEAD = 16;

/** Reads of `keys` in their order, begun some ahead of being asked for. */
export function readAhead<T>(read: (key: string) => Promise<T>, keys: readonly string[]): (key: string) => Promise<T> {
  const begun = new Map<string, Promise<T>>();
  let next = 0;
  const beginMore = (): void => {
    for (; begun.size < AHEAD && next < keys.length; next += 1) {
      const key = keys[next] ?? '';
      const reading = read(key);
      // Whoever asks for it gets the error; nobody may.
      reading.catch(() => undefined);
      begun.set(key, reading);
    }
  };
  return (key) => {
    beginMore();
    const reading = begun.get(key) ?? read(key);
    begun.delete(key);
    return reading;
  };
}
