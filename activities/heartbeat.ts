import { Context } from '@temporalio/activity';

const EVERY_MS = 5000;

/**
 * Runs long work with a heartbeat every few seconds, with what `progress` says at that moment. The signal is aborted when the
 * activity is cancelled or its worker shuts down.
 */
export async function withHeartbeat<T>(progress: () => unknown, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const context = Context.current();
  const beat = (): void => context.heartbeat(progress());
  beat();
  const timer = setInterval(beat, EVERY_MS);
  try {
    return await work(context.cancellationSignal);
  } finally {
    clearInterval(timer);
  }
}
