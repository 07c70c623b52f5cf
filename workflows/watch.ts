import type { WatchActivities } from '../activities/contract.js';
import { zone } from './zone.js';

/** Never two watches at once: the old one has ended before the next begins. */
export const watch = zone<WatchActivities>(
  {
    taskQueue: 'watch',
    startToCloseTimeout: '7 hours',
    heartbeatTimeout: '10 seconds',
    cancellationType: 'WAIT_CANCELLATION_COMPLETED',
    retry: { initialInterval: '200ms', maximumInterval: '2 seconds' },
  },
  {
    // Where no watch answers at all, the step fails like one without evidence.
    watchStep: (model, revision, _release, bake, timeout) => ({
      summary: `watches revision ${revision} of ${model} for ${Math.round(bake)} s`,
      scheduleToCloseTimeout: (Math.max(bake, timeout) + 120) * 1000,
    }),
    watchService: (model, revision) => `watches what revision ${revision} of ${model} serves`,
  },
);
