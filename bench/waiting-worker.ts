import { lifecycleId } from '../domain/names.js';
import { createWorker, installRuntime } from '../workers/temporal.js';
import { zoneLogger } from '../workers/zone.js';
import { answers } from './waiting-release.js';

/**
 * Control's own worker, for `waiting`, with activities that read and write nothing. It says whose notice it has followed, and
 * how many runs it holds when it is asked. Usage: waiting-worker <address of Temporal> <namespace>
 */
export interface Said {
  /** `ready`, `held`, or the id of a lifecycle. */
  readonly what: string;
  readonly value?: number;
}

const [address = '', namespace = ''] = process.argv.slice(2);
const tell = (what: string, value = 0): void => void process.send?.({ what, value } satisfies Said);

const log = zoneLogger('control');
log.level = 'warn';
installRuntime(log);
const worker = await createWorker(
  { zone: 'control', temporal: { address, namespace } },
  {
    ...answers,
    followNotice: async (...args: Parameters<typeof answers.followNotice>) => {
      const standing = await answers.followNotice(...args);
      tell(lifecycleId(args[0]));
      return standing;
    },
  },
);
const stop = (): void => {
  if (worker.getState() === 'RUNNING') worker.shutdown();
};
process.on('message', () => tell('held', worker.getStatus().numCachedWorkflows));
process.once('SIGTERM', stop);
// Nothing outlives whoever started it.
process.once('disconnect', stop);
const run = worker.run();
tell('ready');
await run;
if (process.connected) process.disconnect();
