import { setTimeout as wait } from 'node:timers/promises';
import { CustodyError } from '../../domain/errors.js';

const POLL_MS = 50;

/** Tries until it answers something; the last failure is the reason when time is up, or nobody waits any more. */
export async function until<T>(
  what: string,
  seconds: number,
  attempt: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    try {
      return await attempt();
    } catch (cause) {
      if (Date.now() > deadline || signal?.aborted === true)
        throw new CustodyError(
          'INTERNAL',
          `${what} did not come up in ${seconds} s: ${cause instanceof Error ? cause.message : String(cause)}`,
          { cause },
        );
    }
    await wait(POLL_MS);
  }
}
