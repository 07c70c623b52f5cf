import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { Client } from '@temporalio/client';
import type { MetricMeter } from '@temporalio/common';
import {
  DefaultLogger,
  NativeConnection,
  Runtime,
  Worker,
  type ActivityInterceptorsFactory,
  type LogLevel,
  type TelemetryOptions,
  type WorkerDeploymentOptions,
} from '@temporalio/worker';
import type { Logger } from 'pino';
import { connectTemporal } from '../adapters/temporal.js';
import { tracedCalls, tracesWanted } from '../adapters/tracing/traces.js';
import { CustodyError } from '../domain/errors.js';
import { SEARCH_ATTRIBUTES } from '../workflows/messages.js';
import { KILL_BUCKETS, KILL_SECONDS } from '../activities/kill-metrics.js';
import { bundlePath } from './bundle.js';
import type { ConfigOf, ZoneConfig } from './config.js';

const GRACE = '10 seconds';
/** An endpoint in service is one activity that lasts, and they share what is asked of the gateways; a rollout waits for a place. */
const WATCHES = 2_000;
/** Of control's workers of whichever build. */
const DEPLOYMENT = 'custody';
const CORE_LOG = { core: 'WARN', other: 'ERROR' } as const;
/**
 * A flood of signals is one activation, however many there are, and the SDK spends half a millisecond on each. Its own
 * limit of 5 s, which its types leave out, would end the whole process.
 */
const ISOLATION = { isolateExecutionTimeout: '30 seconds' } as const;
/**
 * The SDK takes a stack trace at every promise of a workflow, which at V8's ten frames is half of what a flood costs. Of
 * the threads that are started after this, where workflows run, traces have one frame.
 */
const SHORT_TRACES = '--stack-trace-limit=1';

/** Logs there, and lets Prometheus read at the address, if there is one, what the SDK and `meter` measure. */
export function installRuntime(log: Logger, at?: Pick<ZoneConfig, 'zone' | 'metrics'>): MetricMeter {
  const level: Record<LogLevel, (meta: object, message: string) => void> = {
    TRACE: (meta, message) => log.trace(meta, message),
    DEBUG: (meta, message) => log.debug(meta, message),
    INFO: (meta, message) => log.info(meta, message),
    WARN: (meta, message) => log.warn(meta, message),
    ERROR: (meta, message) => log.error(meta, message),
  };
  const logger = new DefaultLogger('INFO', ({ level: at, meta = {}, message }) => level[at](named(meta), message));
  const measured = at?.metrics === undefined ? {} : exporting(at.zone, at.metrics);
  // What the SDK's core says is a line as any other.
  const telemetryOptions = { ...measured, logging: { filter: CORE_LOG, forward: {} } };
  try {
    return Runtime.install({ logger, shutdownSignals: [], telemetryOptions }).metricMeter;
  } catch (cause) {
    const isBusy = cause instanceof Error && cause.message.includes('Address already in use');
    if (!isBusy) throw cause;
    throw new CustodyError('PORT_IN_USE', `port ${at?.metrics?.port} for metrics is in use`, { cause });
  }
}

/** A run by the name that it has in our own lines. Whoever has the token of a task could end it. */
function named(meta: Readonly<Record<string, unknown>>): object {
  const said = Object.entries(meta).filter(([name]) => name !== 'taskToken');
  return Object.fromEntries(said.map(([name, value]) => [name === 'workflowRunId' ? 'runId' : name, value]));
}

function exporting(zone: string, { host, port }: NonNullable<ZoneConfig['metrics']>): TelemetryOptions {
  return {
    metrics: {
      globalTags: { zone },
      attachServiceName: false,
      prometheus: {
        bindAddress: host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
        countersTotalSuffix: true,
        unitSuffix: true,
        useSecondsForDurations: true,
        histogramBucketOverrides: { [KILL_SECONDS]: [...KILL_BUCKETS] },
      },
    },
  };
}

export async function connectClient({ temporal }: Pick<ZoneConfig, 'temporal'>): Promise<Client> {
  const connection = await connectTemporal(temporal.address);
  return new Client({ connection, namespace: temporal.namespace, interceptors: await tracedCalls() });
}

/** Without them every workflow task would fail, for ever and in silence. */
export async function checkSearchAttributes(client: Client): Promise<void> {
  const { customAttributes } = await client.connection.operatorService.listSearchAttributes({
    namespace: client.options.namespace,
  });
  const missing = Object.values(SEARCH_ATTRIBUTES)
    .map(({ name }) => name)
    .filter((name) => customAttributes[name] === undefined);
  if (missing.length > 0)
    throw new CustodyError(
      'CONFIG_INVALID',
      `the namespace lacks the search attributes ${missing.join(', ')}: ` +
        '`temporal operator search-attribute create --type Keyword --name <name>`',
    );
}

/** The zone's worker on the zone's own queue; control alone also runs the workflows. */
export async function createWorker(
  config: Pick<ZoneConfig, 'zone' | 'temporal'> & Partial<Pick<ConfigOf<'control'>, 'build'>>,
  activities: object,
  activity: ActivityInterceptorsFactory[] = [],
): Promise<Worker> {
  const { zone, temporal, build } = config;
  const connection = await NativeConnection.connect({ address: temporal.address });
  const runsWorkflows = zone === 'control';
  if (runsWorkflows) setFlagsFromString(SHORT_TRACES);
  return Worker.create({
    connection,
    namespace: temporal.namespace,
    taskQueue: zone,
    identity: `${zone}@${process.pid}`,
    activities,
    interceptors: { activity },
    shutdownGraceTime: GRACE,
    // Heartbeats are held back to save calls; too long, and a worker that is alive looks dead. A kill and a watch must be told
    // within a second.
    maxHeartbeatThrottleInterval: zone === 'watch' || runsWorkflows ? '1s' : '5s',
    ...(zone === 'watch' ? { maxConcurrentActivityTaskExecutions: WATCHES } : {}),
    ...(runsWorkflows
      ? {
          workflowBundle: { code: readFileSync(bundlePath(tracesWanted() ? 'traced' : 'plain'), 'utf8') },
          // After a crash the next worker is asked within a second: a kill cannot wait for ten.
          stickyQueueScheduleToStartTimeout: '1s',
          ...ISOLATION,
        }
      : {}),
    ...(build === undefined ? {} : { workerDeploymentOptions: versioned(build) }),
  });
}

/**
 * A lifecycle lasts for years and an endpoint for ever, and each obeys the rules of today: all go on with the build that is
 * current, none with the one that began it. What must differ between builds is decided by `patched`.
 */
function versioned(buildId: string): WorkerDeploymentOptions {
  return {
    useWorkerVersioning: true,
    version: { deploymentName: DEPLOYMENT, buildId },
    defaultVersioningBehavior: 'AUTO_UPGRADE',
  };
}
