import { CustodyError } from '../domain/errors.js';

/**
 * Aborts at Ctrl-C, at the end of the terminal or of this process's owner, with INTERRUPTED as its reason. A second one
 * changes nothing: everything ends in order anyway.
 */
export function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(name, () => controller.abort(new CustodyError('INTERRUPTED', `stopped by ${name}; nothing is lost`)));
  return controller.signal;
}

export function whenAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

/** What the work answers, unless it is interrupted before: then it is left alone and the reason thrown. */
export async function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const done = await Promise.race([work.then((value) => ({ value })), whenAborted(signal)]);
  if (done === undefined) throw signal.reason;
  return done.value;
}
