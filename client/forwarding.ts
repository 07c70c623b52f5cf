import { decodeRecord } from '../adapters/audit/record.js';
import { post, type Webhook } from '../adapters/webhook.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import { recordEvent } from '../formats/cloud-event.js';
import type { LongReading } from './audit.js';
import type { Cursor } from './cursor.js';

/** How often and when it is tried again. */
export interface Patience {
  /** Of one record: after so many it is given up. */
  readonly attempts: number;
  /** Ends it between two records, and is what is thrown then. */
  readonly signal: AbortSignal;
  readonly wait: (ms: number) => Promise<unknown>;
  /** Called once for as long as the receiver takes nothing. */
  readonly say: (line: string) => void;
}

const FIRST_WAIT_MS = 1_000;
const LAST_WAIT_MS = 60_000;
/** Whoever asks to be left alone for longer than this is asked again all the same. */
const LONGEST_WAIT_MS = 600_000;

/**
 * Delivers the records from the cursor up to before `end`, in log order, each at least once: the cursor moves on only after the
 * receiver has taken a record. What goes wrong names the index of the record that was not delivered.
 */
export async function forwardUpTo(
  end: number,
  reading: LongReading,
  cursor: Cursor,
  hook: Webhook,
  patience: Patience,
): Promise<void> {
  while (cursor.size < end) {
    patience.signal.throwIfAborted();
    const index = cursor.size;
    const { entry } = await reading.read((log) => log.prove(index));
    const event = recordEvent(decodeRecord(entry, index), index, reading.log.checkpoint.origin);
    await deliver(() => post(hook, event), index, patience);
    await reading.read((log) => cursor.move(log, index + 1));
  }
}

async function deliver(attempt: () => Promise<void>, index: number, patience: Patience): Promise<void> {
  for (let failed = 1, waitMs = FIRST_WAIT_MS; ; failed += 1, waitMs = Math.min(LAST_WAIT_MS, waitMs * 2)) {
    try {
      return await attempt();
    } catch (cause) {
      if (!(cause instanceof CustodyError)) throw cause;
      const problem = `record ${index} is not delivered: ${cause.message}`;
      if (isPermanent(cause.code) || failed >= patience.attempts)
        throw new CustodyError(cause.code, problem, { details: { ...cause.details, index }, cause });
      if (failed === 1) patience.say(`${problem}; trying again …`);
      const asked = cause.details['afterMs'];
      await patience.wait(Math.max(waitMs, typeof asked === 'number' ? Math.min(LONGEST_WAIT_MS, asked) : 0));
    }
  }
}
