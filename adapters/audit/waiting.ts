import type { AuditLog } from './log.js';

/** The log, and how long the record has waited that has waited longest for a checkpoint that covers it; 0: none waits. */
export function timed(log: AuditLog): AuditLog & { waitingSeconds(): number } {
  // In the order in which they came.
  const waiting = new Set<{ readonly since: number }>();
  return {
    append: async (records) => {
      const one = { since: performance.now() };
      waiting.add(one);
      try {
        return await log.append(records);
      } finally {
        waiting.delete(one);
      }
    },
    checkpoint: () => log.checkpoint(),
    close: () => log.close(),
    waitingSeconds: () => {
      const [oldest] = waiting;
      return oldest === undefined ? 0 : (performance.now() - oldest.since) / 1000;
    },
  };
}
