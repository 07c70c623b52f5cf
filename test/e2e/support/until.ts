import { setTimeout as pause } from 'node:timers/promises';

const POLL_MS = 10;

/** Waits for something that can only be asked for; whoever does not answer is asked again. */
export async function until<T>(what: string, seconds: number, ask: () => Promise<T | null>): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  let last = 'it has not come to pass';
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== null) return answer;
    } catch (error) {
      last = error instanceof Error ? error.message : String(error);
    }
    if (Date.now() > deadline) throw new Error(`${what}, within ${seconds} s: ${last}`);
    await pause(POLL_MS);
  }
}
