const MAX_BYTES = 32 * 1024 * 1024;

/**
 * The same reads, each made once for as long as its bytes are kept: the newest 32 MiB. What is not there, or could not be read, is
 * asked for again. Only for what does not change.
 */
export function readOnce(
  read: (key: string) => Promise<Buffer | null>,
  maxBytes = MAX_BYTES,
): (key: string) => Promise<Buffer | null> {
  const begun = new Map<string, Promise<Buffer | null>>();
  const kept = new Map<string, number>();
  let total = 0;
  const keep = (key: string, size: number): void => {
    kept.set(key, size);
    total += size;
    for (const [oldest, bytes] of kept) {
      if (total <= maxBytes) return;
      kept.delete(oldest);
      begun.delete(oldest);
      total -= bytes;
    }
  };
  return (key) => {
    const known = begun.get(key);
    if (known !== undefined) return known;
    const reading = read(key);
    begun.set(key, reading);
    reading.then(
      (bytes) => (bytes === null ? begun.delete(key) : keep(key, bytes.length)),
      () => begun.delete(key),
    );
    return reading;
  };
}
