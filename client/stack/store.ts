import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { StoreAdmin, type Access } from '../../adapters/object-store/admin.js';
import { EMBEDDED_FOLDERS, embeddedStoreCommand } from '../../adapters/object-store/embedded.js';
import { proveWorm } from '../../adapters/object-store/proof.js';
import { openBucket } from '../../adapters/object-store/s3.js';
import type { S3Config } from '../../adapters/object-store/s3-session.js';
import { CustodyError } from '../../domain/errors.js';
import type { StoreProofPredicate } from '../../domain/statements.js';
import { bucketNames, storeKeys } from '../../domain/store-keys.js';
import { isoTime, plusSeconds } from '../../domain/time.js';
import { parseEnvelope } from '../../formats/dsse.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { readSignedPolicy } from '../../formats/policy.js';
import { sha256 } from '../../formats/sha256.js';
import { signStatement } from '../../formats/statements.js';
import { replaceFile } from '../files.js';
import { readKey } from '../init.js';
import type { Layout } from './layout.js';
import type { ProcessSpec } from './supervisor.js';
import { until } from './until.js';

const REGION = 'us-east-1';
const PROOF_SECONDS = 7 * 86_400;
const DAY_MS = 86_400_000;

/** Who reaches which bucket, and how: nobody but the administrator may delete, and only control reaches the log. */
const ACCOUNTS = ['control', 'audit', 'intake', 'signing', 'serving', 'training', 'watch', 'reader'] as const;
export type Account = (typeof ACCOUNTS)[number];
const CUSTODY_ACCESS: Readonly<Partial<Record<Account, Access>>> = {
  control: 'write',
  intake: 'write',
  // It alone may set the store's legal hold, and take it off.
  signing: 'hold',
  training: 'write',
  serving: 'read',
  watch: 'read',
  reader: 'read',
};

type Secrets = Readonly<Record<Account | 'admin', string>>;

/** The embedded S3 store with its accounts. Secrets lie in one file that only the stack's user reads. */
export class EmbeddedStack {
  readonly endpoint: string;
  readonly #layout: Layout;
  readonly #environment: string;
  readonly #port: number;
  readonly #secrets: Secrets;

  constructor(layout: Layout, environment: string, port: number) {
    this.#layout = layout;
    this.#environment = environment;
    this.#port = port;
    this.#secrets = readSecrets(layout.path('store-secrets.json'));
    this.endpoint = `http://127.0.0.1:${port}`;
  }

  get proofFile(): string {
    return this.#layout.path('store-proof.json');
  }

  credential(account: Account | 'admin'): S3Config {
    return { endpoint: this.endpoint, region: REGION, accessKey: account, secretKey: this.#secrets[account] };
  }

  process(executable: string): ProcessSpec {
    const folder = this.#layout.folder('store');
    for (const name of EMBEDDED_FOLDERS) mkdirSync(join(folder, name), { recursive: true });
    const { accessKey, secretKey } = this.credential('admin');
    const { command, args, env } = embeddedStoreCommand({
      executable,
      folder,
      port: this.#port,
      region: REGION,
      accessKey,
      secretKey,
    });
    return {
      name: 'store',
      command: [command, ...args],
      env: { PATH: process.env['PATH'] ?? '', ...env },
      logFile: this.#layout.log('store'),
      ready: (signal) => until('the store', 30, () => this.#answers(), signal),
    };
  }

  async #answers(): Promise<void> {
    const answer = await fetch(`${this.endpoint}/health`);
    if (!answer.ok) throw new CustodyError('STORE_UNAVAILABLE', `the store answers ${answer.status}`);
  }

  /** Buckets, accounts and grants; all of it can be done again. */
  async prepare(): Promise<void> {
    const admin = new StoreAdmin(this.credential('admin'));
    const { custody, audit, log, intake } = bucketNames(this.#environment);
    const locked = { objectLock: true, versioning: true };
    const plain = { objectLock: false, versioning: false };
    await admin.ensureBucket(custody, locked);
    await admin.ensureBucket(audit, locked);
    await admin.ensureBucket(log, plain);
    await admin.ensureBucket(intake, plain);
    for (const account of ACCOUNTS) await admin.ensureAccount(account, this.#secrets[account]);
    const everyone = Object.entries(CUSTODY_ACCESS).map(([account, access]) => ({ account, access }));
    await admin.grant(custody, everyone);
    await admin.grant(audit, [{ account: 'audit', access: 'write' }]);
    await admin.grant(log, [{ account: 'audit', access: 'write' }]);
    await admin.grant(intake, [{ account: 'intake', access: 'write' }]);
  }

  /** Proves the store WORM with the administrator's rights, and keeps the signed result for the workers. */
  async prove(): Promise<StoreProofPredicate> {
    const scratch = `${this.#environment}-proof`;
    const admin = this.credential('admin');
    await new StoreAdmin(admin).ensureBucket(scratch, { objectLock: true, versioning: true });
    const checks = await proveWorm(admin, scratch);
    const issuedAt = isoTime(Date.now());
    const proof: StoreProofPredicate = {
      endpoint: this.endpoint,
      checks,
      holds: checks.every(({ refused }) => refused),
      issuedAt,
      expiresAt: plusSeconds(issuedAt, PROOF_SECONDS),
    };
    const failed = checks.filter(({ refused }) => !refused).map(({ check, answer }) => `${check} (${answer})`);
    if (failed.length > 0)
      throw new CustodyError('STORE_NOT_WORM', `the store ${this.endpoint} allows: ${failed.join(', ')}`);
    const subject = { name: this.endpoint, sha256: sha256(canonicalBytes(proof)) };
    const envelope = signStatement('storeProof', subject, proof, [readKey(this.#layout.key('control'))]);
    replaceFile(this.proofFile, JSON.stringify(envelope));
    return proof;
  }

  /** Puts the first policy and what it names into WORM, where every process reads them. */
  async publish(documents: readonly string[]): Promise<void> {
    const bucket = openBucket(this.credential('control'), bucketNames(this.#environment).custody);
    const policy = parseEnvelope(JSON.parse(readFileSync(this.#layout.policy(1), 'utf8')));
    const { retention } = readSignedPolicy(policy);
    const lock = { retainUntil: isoTime(Date.now() + retention.releasesDays * DAY_MS) };
    await bucket.createOnce(storeKeys.policy(1), canonicalBytes(policy), lock);
    for (const file of documents) {
      const bytes = readFileSync(file);
      await bucket.createOnce(storeKeys.statement(sha256(bytes)), bytes, lock);
    }
  }
}

function readSecrets(file: string): Secrets {
  if (!existsSync(file)) {
    const secrets = [...ACCOUNTS, 'admin'].map((account) => [account, randomBytes(24).toString('base64url')] as const);
    replaceFile(file, JSON.stringify(Object.fromEntries(secrets)), { mode: 0o600 });
  }
  return JSON.parse(readFileSync(file, 'utf8')) as Secrets;
}
