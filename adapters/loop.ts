/** Runs `act` now and then again `everyMs` after it has ended; answers how to end it, which waits for the last run. */
export function loop(
  everyMs: number,
  act: () => Promise<unknown>,
  onError: (error: unknown) => void,
): () => Promise<void> {
  let timer: NodeJS.Timeout | null = null;
  let isStopped = false;
  const turn = async (): Promise<void> => {
    await act().catch(onError);
    if (!isStopped) timer = setTimeout(next, everyMs);
  };
  const next = (): void => {
    running = turn();
  };
  let running = turn();
  return async () => {
    isStopped = true;
    if (timer !== null) clearTimeout(timer);
    await running;
  };
}
