import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Client } from '@temporalio/client';
import { freePort } from '../client/stack/layout.js';
import { executable } from '../client/stack/stack.js';
import { Supervisor, type ProcessSpec } from '../client/stack/supervisor.js';
import { temporalProcess } from '../client/stack/temporal.js';
import { until } from '../client/stack/until.js';
import { connectClient } from '../workers/temporal.js';

type Database = 'memory' | 'file';

/** A server of its own, with the workers of one way to do things. */
export interface Side {
  readonly client: Client;
  /** Resolves once some worker has said it; rejects if one ends before that. */
  readonly told: (what: string) => Promise<void>;
  readonly stop: () => Promise<void>;
}

const NAMESPACE = 'default';
const ZONES = ['control', 'intake', 'signing', 'serving', 'watch'] as const;

/** As `custody dev` has it. */
export async function custodySide(folder: string, database: Database): Promise<Side> {
  const server = await serverAt(folder, `custody-${database}`);
  const spec = temporalProcess(server);
  const [program, ...all] = spec.command;
  const args = database === 'file' ? all : all.filter((arg) => arg !== '--db-filename' && arg !== server.database);
  const workers = ZONES.map((zone) => [join(import.meta.dirname, 'orchestration-worker.js'), zone]);
  return startSide({ ...spec, command: [program, ...args] }, server.port, workers);
}

/** As the server and the SDK have it by default. */
export async function naiveSide(folder: string, database: Database): Promise<Side> {
  const { executable: temporal, port, uiPort, database: file, logFile } = await serverAt(folder, `naive-${database}`);
  const address = `127.0.0.1:${port}`;
  mkdirSync(dirname(file), { recursive: true });
  const spec: ProcessSpec = {
    ...{ name: 'temporal', logFile, env: { PATH: process.env['PATH'] ?? '', HOME: dirname(file) } },
    command: [
      temporal,
      ...['server', 'start-dev', '--ip', '127.0.0.1', '--port', `${port}`, '--ui-port', `${uiPort}`],
      ...['--namespace', NAMESPACE, '--log-level', 'error'],
      ...(database === 'file' ? ['--db-filename', file] : []),
    ],
    ready: (signal) =>
      until(
        'Temporal',
        60,
        async () => {
          const { connection } = await connectClient({ temporal: { address, namespace: NAMESPACE } });
          try {
            await connection.workflowService.describeNamespace({ namespace: NAMESPACE });
          } finally {
            await connection.close();
          }
        },
        signal,
      ),
  };
  return startSide(spec, port, [[join(import.meta.dirname, '../../bench/peers/naive.mjs')]]);
}

async function serverAt(folder: string, name: string) {
  const [port, uiPort] = [await freePort(), await freePort()];
  const database = join(folder, name, 'temporal.db');
  const logFile = join(folder, `${name}.log`);
  return {
    executable: executable('CUSTODY_TEMPORAL', 'temporal'),
    database,
    port,
    uiPort,
    namespace: NAMESPACE,
    logFile,
  };
}

async function startSide(spec: ProcessSpec, port: number, workers: readonly (readonly string[])[]): Promise<Side> {
  const server = new Supervisor();
  const children: ChildProcess[] = [];
  const awaited = new Map<string, () => void>();
  const deaths: Promise<never>[] = [];
  const told = (what: string): Promise<void> =>
    Promise.race([new Promise<void>((done) => awaited.set(what, done)), ...deaths]);
  const stop = async (): Promise<void> => {
    await Promise.all(children.map(ended));
    await server.stop();
  };
  try {
    await server.start(spec);
    const address = `127.0.0.1:${port}`;
    for (const [path = '', ...args] of workers) {
      const child = fork(path, [...args, address, NAMESPACE]);
      children.push(child);
      const death = died(child);
      death.catch(() => undefined);
      deaths.push(death);
      child.on('message', (what) => {
        if (typeof what !== 'string') return;
        awaited.get(what)?.();
        awaited.delete(what);
      });
      await told('ready');
    }
    const client = await connectClient({ temporal: { address, namespace: NAMESPACE } });
    return {
      ...{ client, told },
      stop: async () => {
        await client.connection.close();
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function died(child: ChildProcess): Promise<never> {
  await once(child, 'exit');
  throw new Error(`${child.spawnfile} has ended`);
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}
