import { setTimeout as pause } from 'node:timers/promises';

const FIRST_POLL_MS = 10;
const LAST_POLL_MS = 150;
/** Each question costs the stack as much as a caller's: what is long in coming is asked for less often. */
const SLOWER = 1.3;

/** Waits for something that can only be asked for; whoever does not answer is asked again, in the end every `lastPollMs`. */
export async function until<T>(
  what: string,
  seconds: number,
  ask: () => Promise<T | null>,
  lastPollMs = LAST_POLL_MS,
): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  let last = 'it has not come to pass';
  for (let wait = FIRST_POLL_MS; ; wait = Math.min(lastPollMs, wait * SLOWER)) {
    try {
      const answer = await ask();
      if (answer !== null) return answer;
    } catch (error) {
      last = error instanceof Error ? error.message : String(error);
    }
    if (Date.now() > deadline) throw new Error(`${what}, within ${seconds} s: ${last}`);
    await pause(wait);
  }
}
