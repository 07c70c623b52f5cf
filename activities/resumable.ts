import { Context } from '@temporalio/activity';
import { AT_THE_START, type Cursor } from '../adapters/lock-keeper.js';
import { CustodyError } from '../domain/errors.js';
import { PERIOD_MS } from '../domain/retention.js';
import { isoTime } from '../domain/time.js';
import { withHeartbeat } from './heartbeat.js';

/** Runs a pass that begins where the attempt before it was cut off. */
export function resumable<T>(
  pass: (from: Cursor, signal: AbortSignal, reached: (cursor: Cursor) => void) => Promise<T>,
): Promise<T> {
  const { info } = Context.current();
  demandClock(info.currentAttemptScheduledTimestampMs);
  let cursor = (info.heartbeatDetails as Cursor | undefined) ?? AT_THE_START;
  return withHeartbeat(
    () => cursor,
    (signal) => pass(cursor, signal, (reached) => (cursor = reached)),
  );
}

/** A lock that a clock has set years ahead can never be taken back: so what Temporal's clock does not bear out is refused. */
function demandClock(scheduledAt: number): void {
  const now = Date.now();
  if (now - scheduledAt > PERIOD_MS)
    throw new CustodyError(
      'INTERNAL',
      `it is ${isoTime(now)} by the clock of this host, and was asked for at ${isoTime(scheduledAt)} by that of Temporal: no lock is moved`,
    );
}
