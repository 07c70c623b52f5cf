import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { StoreAdmin } from '../../adapters/object-store/admin.js';
import { EMBEDDED_FOLDERS, embeddedStoreCommand } from '../../adapters/object-store/embedded.js';
import type { S3Config } from '../../adapters/object-store/s3-session.js';
import { freePort } from '../../client/stack/layout.js';

const REGION = 'us-east-1';
const START_MS = 20_000;

/** A real versitygw of a test's own. */
export interface TestStore {
  /** The administrator, who may do everything but break a lock. */
  readonly config: S3Config;
  readonly admin: StoreAdmin;
  /** A new account that has been granted nothing. */
  account(accessKey: string): Promise<S3Config>;
  /** SIGKILL, at once. */
  kill(): Promise<void>;
  /** Starts it again on the same port and files, after `kill`. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

async function answers(endpoint: string): Promise<boolean> {
  try {
    return (await fetch(`${endpoint}/health`)).ok;
  } catch {
    return false;
  }
}

export async function startStore(): Promise<TestStore> {
  const executable = process.env.CUSTODY_VERSITYGW;
  if (executable === undefined || executable === '')
    throw new Error('CUSTODY_VERSITYGW names no versitygw: run the tests with npm test');
  const folder = mkdtempSync(join(tmpdir(), 'custody-store-'));
  for (const name of EMBEDDED_FOLDERS) mkdirSync(join(folder, name));
  const port = await freePort();
  const config = {
    endpoint: `http://127.0.0.1:${port}`,
    accessKey: 'administrator',
    secretKey: randomBytes(20).toString('hex'),
    region: REGION,
  };
  const { command, args, env } = embeddedStoreCommand({ executable, folder, port, ...config });
  let child: ChildProcess;

  const start = async (): Promise<void> => {
    let output = '';
    const started = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    child = started;
    for (const stream of [started.stdout, started.stderr])
      stream.on('data', (chunk: Buffer) => {
        output = (output + chunk.toString('utf8')).slice(-4000);
      });
    const deadline = Date.now() + START_MS;
    while (!(await answers(config.endpoint))) {
      if (started.exitCode !== null || Date.now() > deadline) throw new Error(`versitygw did not start: ${output}`);
      await delay(20);
    }
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  };

  await start();
  const admin = new StoreAdmin(config);
  return {
    config,
    admin,
    account: async (accessKey) => {
      const secretKey = randomBytes(20).toString('hex');
      await admin.ensureAccount(accessKey, secretKey);
      return { ...config, accessKey, secretKey };
    },
    kill: () => end('SIGKILL'),
    restart: start,
    stop: async () => {
      await end('SIGTERM');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
