import { startTraces } from '../adapters/tracing/traces.js';
import { CustodyError, exitCodeOf } from '../domain/errors.js';
import { asActivities } from '../activities/failures.js';
import { knowsRequest } from './about-activity.js';
import { measureActivities } from './activity-metrics.js';
import { loadConfig } from './config.js';
import { createWorker, installRuntime } from './temporal.js';
import { zoneLogger } from './zone.js';
import { wire } from './wire.js';

const log = zoneLogger('worker');

try {
  const config = loadConfig(process.argv[2]);
  const zoneLog = zoneLogger(config.zone);
  const meter = installRuntime(zoneLog, config);
  const traces = await startTraces(`custody-${config.zone}`);
  const zone = await wire(config, zoneLog, meter);
  try {
    const worker = await createWorker(config, asActivities(zone.activities), [
      ...traces.activities,
      measureActivities(meter),
      knowsRequest,
    ]);
    const stop = (): void => {
      if (worker.getState() === 'RUNNING') worker.shutdown();
    };
    process.once('SIGTERM', stop);
    process.once('SIGINT', stop);
    // Whoever supervises us holds our stdin open: nothing outlives a killed supervisor.
    process.stdin.on('end', stop).resume();
    const run = worker.run();
    process.stdout.write(`${JSON.stringify({ ready: true, zone: config.zone })}\n`);
    await run;
  } finally {
    await zone.stop();
    const undelivered = await traces.stop();
    if (undelivered !== null) zoneLog.warn({ reason: undelivered }, 'traces were not delivered');
  }
} catch (error) {
  const code = error instanceof CustodyError ? error.code : 'INTERNAL';
  log.fatal({ code, err: error }, error instanceof Error ? error.message : String(error));
  process.exitCode = exitCodeOf(code);
}
// What the SDK's core still holds, as a line that it has not logged, keeps no process alive.
process.exit();
