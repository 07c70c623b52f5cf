import { execFile, spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { openAuditLog, type AuditLog } from '../adapters/audit/log.js';
import type { Bucket } from '../adapters/object-store/port.js';
import { StoreAdmin } from '../adapters/object-store/admin.js';
import { EMBEDDED_FOLDERS, embeddedStoreCommand } from '../adapters/object-store/embedded.js';
import { openBucket } from '../adapters/object-store/s3.js';
import type { AuditRecord } from '../domain/audit.js';
import { isoTime } from '../domain/time.js';
import { freePort } from '../client/stack/layout.js';
import { executable } from '../client/stack/stack.js';
import { encodeVerifierKey } from '../formats/signed-note.js';
import { generateKey, importPrivateKey } from '../formats/keys.js';
import { sha256 } from '../formats/sha256.js';

const ORIGIN = 'custody.example/bench';
const key = importPrivateKey(generateKey('ed25519').privatePem);
export const vkey = encodeVerifierKey(ORIGIN, key);

export interface BenchLog {
  readonly audit: Bucket;
  readonly log: Bucket;
  readonly appender: AuditLog;
}

export interface BenchStore {
  newLog(): Promise<BenchLog>;
  /** Versioned and with Object Lock, as the bucket of the records. */
  newBucket(): Promise<Bucket>;
  stop(): Promise<void>;
}

/** The embedded store, as `custody dev` runs it. */
export async function startBenchStore(folder: string): Promise<BenchStore> {
  for (const name of EMBEDDED_FOLDERS) mkdirSync(join(folder, name), { recursive: true });
  const port = await freePort();
  const config = {
    endpoint: `http://127.0.0.1:${port}`,
    accessKey: 'administrator',
    secretKey: randomBytes(20).toString('hex'),
    region: 'us-east-1',
  };
  const { command, args, env } = embeddedStoreCommand({
    executable: executable('CUSTODY_VERSITYGW', 'versitygw'),
    ...{ folder, port, ...config },
  });
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: 'ignore' });
  const isUp = (): Promise<boolean> =>
    fetch(`${config.endpoint}/health`).then(
      ({ ok }) => ok,
      () => false,
    );
  while (!(await isUp())) await setTimeout(20);
  const admin = new StoreAdmin(config);
  const retainUntil = isoTime(Date.now() + 3_600_000);
  const bucket = async (kind: string, isLocked: boolean): Promise<Bucket> => {
    const name = `${kind}-${randomUUID()}`;
    await admin.createBucket(name, { objectLock: isLocked, versioning: isLocked });
    return openBucket(config, name);
  };
  return {
    newBucket: () => bucket('custody', true),
    newLog: async () => {
      const buckets = { audit: await bucket('audit', true), log: await bucket('log', false) };
      const appender = await openAuditLog({ ...buckets, key, vkey, lock: async () => ({ retainUntil }) });
      return { ...buckets, appender };
    },
    stop: async () => {
      const ended = once(child, 'exit');
      child.kill();
      await ended;
    },
  };
}

/** Builds a peer from a Go module of this repository. */
export async function goBuild(module: string, program: string, to: string): Promise<string> {
  const cwd = join(import.meta.dirname, '../..', module);
  await promisify(execFile)('go', ['build', '-buildvcs=false', '-o', to, program], { cwd });
  return to;
}

let made = 0;

/** A record whose entry has about 400 bytes. */
export function newRecord(): AuditRecord {
  made += 1;
  return {
    id: `bench-${made}`,
    time: isoTime(Date.now()),
    actor: { id: 'alice', statement: sha256(String(made)) },
    change: 'decision.accepted',
    subject: { model: 'digits', version: '1.0.0', release: null },
    before: null,
    after: null,
    policy: sha256('policy'),
    workflow: null,
    reason: 'as agreed',
  };
}

export function newRecords(count: number): AuditRecord[] {
  return Array.from({ length: count }, newRecord);
}
