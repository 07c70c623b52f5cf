const PATIENCE_MS = 120_000;
const LOOK_MS = 50;

/** Waits for what comes by itself. */
export async function until<T>(what: string, look: () => Promise<T | null> | T | null): Promise<T> {
  for (const end = Date.now() + PATIENCE_MS; ;) {
    const found = await look();
    if (found !== null) return found;
    if (Date.now() > end) throw new Error(`it has not come in ${PATIENCE_MS / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
