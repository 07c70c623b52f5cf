import { Context } from '@temporalio/activity';

const EVERY_MS = 5000;

/**
 * Runs long work with a heartbeat every few seconds, with what `progress` says at that moment. The signal is aborted when the
 * activity is cancelled or its worker shuts down.
 */
export async function withHeartbeat<T>(progress: () => unknown, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const context = Context.current();
  const beat = (): void => context.heartbeat(progress());
  // Several within the time after which the worker is taken for dead, one of which may be late. That time begins with the act
  // itself, so that a short one need not say anything.
  const timer = setInterval(beat, Math.min(EVERY_MS, (context.info.heartbeatTimeoutMs ?? Infinity) / 4));
  try {
    return await work(context.cancellationSignal);
  } finally {
    clearInterval(timer);
  }
}

/** Activities that tell nothing of their progress, but that their worker is alive: one that died is noticed by its silence. */
export function beating<T extends object>(activities: T): T {
  const wrapped = Object.entries(activities as Record<string, (...args: unknown[]) => Promise<unknown>>).map(
    ([name, act]) => [
      name,
      (...args: unknown[]): Promise<unknown> =>
        withHeartbeat(
          () => null,
          () => act(...args),
        ),
    ],
  );
  return Object.fromEntries(wrapped) as T;
}
