import { lifecycleId, type Zone } from '../domain/names.js';
import { connectClient, createWorker, installRuntime } from '../workers/temporal.js';
import { zoneLogger } from '../workers/zone.js';
import { noOps } from './no-op.js';

/**
 * The worker of one zone, as it is in life but for its activities, which do nothing. Control's says whose rollout is recorded.
 * Usage: orchestration-worker <zone> <address of Temporal> <namespace>
 */
const [zone = '', address = '', namespace = ''] = process.argv.slice(2);
const tell = (what: string): void => void process.send?.(what);

const log = zoneLogger(zone);
log.level = 'warn';
installRuntime(log);
const temporal = { address, namespace };
const lost = (why: string): never => {
  process.stderr.write(`${why}\n`);
  process.exit(1);
};
const activities = noOps(await connectClient({ temporal }), (name) => tell(lifecycleId(name)), lost);
if (!isAsked(zone)) throw new Error(`no zone of a rollout is called ${zone}`);
const worker = await createWorker({ zone, temporal }, activities[zone]);
const stop = (): void => {
  if (worker.getState() === 'RUNNING') worker.shutdown();
};
process.once('SIGTERM', stop);
// Nothing outlives whoever started it.
process.once('disconnect', stop);
const run = worker.run();
tell('ready');
await run;
process.exit();

function isAsked(name: string): name is Zone & keyof typeof activities {
  return name in activities;
}
