import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { execa } from 'execa';
import { connectTemporal } from '../../adapters/temporal.js';
import { CustodyError } from '../../domain/errors.js';
import { SEARCH_ATTRIBUTES } from '../../workflows/messages.js';
import type { ProcessSpec } from './supervisor.js';
import { until } from './until.js';

/** Histories are kept a year: what the proof rests on is in WORM, but people look here first. */
const RETENTION = '8760h';

export interface TemporalOptions {
  readonly executable: string;
  readonly database: string;
  readonly port: number;
  readonly uiPort: number;
  readonly namespace: string;
  readonly logFile: string;
}

/** The Temporal development server, on a SQLite file, so that it can be killed and started again. */
export function temporalProcess({
  executable,
  database,
  port,
  uiPort,
  namespace,
  logFile,
}: TemporalOptions): ProcessSpec {
  mkdirSync(dirname(database), { recursive: true });
  const address = `127.0.0.1:${port}`;
  return {
    name: 'temporal',
    logFile,
    env: { PATH: process.env['PATH'] ?? '', HOME: dirname(database) },
    command: [
      executable,
      ...['server', 'start-dev', '--ip', '127.0.0.1', '--port', `${port}`, '--ui-port', `${uiPort}`],
      ...['--db-filename', database, '--namespace', namespace, '--log-level', 'error'],
      // By default a lone workflow waits 50 ms at every hop, and a timer is up to a second late.
      ...['--dynamic-config-value', 'history.transferProcessorMaxPollRPS=200'],
      ...['--dynamic-config-value', 'history.timerProcessorMaxPollRPS=200'],
      ...['--dynamic-config-value', 'history.timerProcessorMaxTimeShift="1ms"'],
      // The worker that asked for an activity begins it at once where it has room: a queue looks for work only so often.
      ...['--dynamic-config-value', 'system.enableActivityEagerExecution=true'],
      ...Object.values(SEARCH_ATTRIBUTES).flatMap(({ name }) => ['--search-attribute', `${name}=Keyword`]),
    ],
    ready: (signal) => until('Temporal', 60, () => answers(address, namespace), signal),
  };
}

async function answers(address: string, namespace: string): Promise<void> {
  const connection = await connectTemporal(address, 1_000);
  try {
    await connection.workflowService.describeNamespace({ namespace });
    const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
    if (Object.values(SEARCH_ATTRIBUTES).some(({ name }) => customAttributes[name] === undefined))
      throw new CustodyError('TEMPORAL_UNAVAILABLE', 'the search attributes are not registered yet');
  } finally {
    await connection.close();
  }
}

export async function keepHistories(
  { executable, port, namespace }: TemporalOptions,
  signal: AbortSignal,
): Promise<void> {
  const address = `127.0.0.1:${port}`;
  const command = ['operator', 'namespace', 'update', '--namespace', namespace];
  await execa(executable, [...command, '--retention', RETENTION, '--address', address], { cancelSignal: signal });
}
