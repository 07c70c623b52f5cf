import { randomUUID } from 'node:crypto';
import { CustodyError } from '../../domain/errors.js';
import { isoTime } from '../../domain/time.js';
import { StoreAdmin } from './admin.js';
import type { Bucket } from './port.js';
import { retentionTime } from './rules.js';
import { checksum, retentionXml, versioningXml } from './s3-lock.js';
import { S3Session, failure, type S3Config, type S3Request, type S3Text } from './s3-session.js';
import { openBucket } from './s3.js';

export interface ProofCheck {
  readonly check: string;
  readonly refused: boolean;
  /** What the store said. */
  readonly answer: string;
}

const MINUTE_MS = 60_000;
const BYPASS = { 'x-amz-bypass-governance-retention': 'true' };

interface Target {
  readonly bucket: string;
  readonly key: string;
  readonly versionId: string;
}

const inMinutes = (minutes: number): string =>
  retentionTime({ retainUntil: isoTime(Date.now() + minutes * MINUTE_MS) });

function deletion({ bucket, key, versionId }: Target, headers: Record<string, string> = {}): S3Request {
  return { method: 'DELETE', bucket, key, query: { versionId }, headers };
}

function retention(
  { bucket, key, versionId }: Target,
  mode: 'COMPLIANCE' | 'GOVERNANCE',
  minutes: number,
  headers: Record<string, string> = {},
): S3Request {
  const body = retentionXml(mode, inMinutes(minutes));
  const query = { retention: '', versionId };
  return { method: 'PUT', bucket, key, query, headers: { ...headers, ...checksum(body) }, body };
}

function suspension(bucket: string): S3Request {
  const body = versioningXml('Suspended');
  return { method: 'PUT', bucket, query: { versioning: '' }, headers: checksum(body), body };
}

function said({ status, code }: S3Text): string {
  return code === '' ? String(status) : `${status} ${code}`;
}

/**
 * Tries, on a scratch bucket and with an administrator's credential, everything that would undo a lock. The store
 * holds when every check was refused. `STORE_NOT_WORM` when the bucket has no Object Lock; `NOT_AUTHORISED` when the
 * credential could not have done these things anyway, so that its refusals prove nothing.
 */
export async function proveWorm(admin: S3Config, scratchBucket: string): Promise<ProofCheck[]> {
  const { objectLock, versioning } = await new StoreAdmin(admin).settings(scratchBucket);
  if (!objectLock || !versioning)
    throw new CustodyError(
      'STORE_NOT_WORM',
      `the bucket ${scratchBucket} has no ${objectLock ? 'versioning' : 'Object Lock'}: what it stores can be removed`,
      { details: { bucket: scratchBucket } },
    );
  const session = new S3Session(admin);
  const bucket = openBucket(admin, scratchBucket);
  await assertPowerful(session, bucket);

  const body = Buffer.from(randomUUID());
  const lock = { retainUntil: inMinutes(15) };
  const target = await put(bucket, body, lock);
  const accepted = await session.text(retention(target, 'COMPLIANCE', 20));
  if (accepted.status !== 200) throw failure('extend a lock', accepted);

  const attempts: readonly (readonly [string, S3Request])[] = [
    ['delete a locked version', deletion(target)],
    ['delete a locked version with the bypass header', deletion(target, BYPASS)],
    ['shorten a lock', retention(target, 'COMPLIANCE', 5)],
    ['shorten a lock with the bypass header', retention(target, 'COMPLIANCE', 5, BYPASS)],
    ['downgrade a lock to GOVERNANCE', retention(target, 'GOVERNANCE', 30)],
    ['downgrade a lock with the bypass header', retention(target, 'GOVERNANCE', 30, BYPASS)],
    ['suspend versioning', suspension(scratchBucket)],
  ];
  const checks: ProofCheck[] = [];
  for (const [check, request] of attempts) {
    const answer = await session.text(request);
    checks.push({ check, refused: answer.status >= 400, answer: said(answer) });
  }
  checks.push(await unchanged(bucket, target, body, lock.retainUntil));
  return checks;
}

/** With these rights the refusals mean that the lock held, not that the account was weak. */
async function assertPowerful(session: S3Session, bucket: Bucket): Promise<void> {
  const plain = await put(bucket, Buffer.from(randomUUID()));
  const governed = await put(bucket, Buffer.from(randomUUID()));
  const steps: readonly (readonly [string, S3Request])[] = [
    ['delete an unlocked version', deletion(plain)],
    ['lock an object in GOVERNANCE mode', retention(governed, 'GOVERNANCE', 15)],
    ['bypass a lock in GOVERNANCE mode', deletion(governed, BYPASS)],
  ];
  for (const [what, request] of steps) {
    const answer = await session.text(request);
    if (answer.status >= 400)
      throw new CustodyError(
        'NOT_AUTHORISED',
        `this credential may not ${what} (${said(answer)}): prove the store with an administrator's`,
      );
  }
}

async function put(bucket: Bucket, body: Buffer, lock?: { readonly retainUntil: string }): Promise<Target> {
  const key = `proof/${randomUUID()}`;
  const { versionId } = await bucket.createOnce(key, body, lock);
  if (versionId === null) throw new CustodyError('STORE_NOT_WORM', `the bucket ${bucket.name} keeps no versions`);
  return { bucket: bucket.name, key, versionId };
}

/** What the store did counts, not what it answered. */
async function unchanged(bucket: Bucket, { key, versionId }: Target, body: Buffer, until: string): Promise<ProofCheck> {
  const check = 'change a locked version in any of these ways';
  const head = await bucket.head(key, versionId);
  if (head === null) return { check, refused: false, answer: 'the version is gone' };
  const record = await bucket.read(key);
  if (record === null || !record.body.equals(body)) return { check, refused: false, answer: 'other bytes are read' };
  const held = head.lock?.mode === 'COMPLIANCE' && Date.parse(head.lock.retainUntil) >= Date.parse(until);
  const answer = head.lock === null ? 'no lock is left' : `${head.lock.mode} until ${head.lock.retainUntil}`;
  return { check, refused: held, answer };
}

/**
 * What a writer can see for itself: it locks one object, reads the lock back, and is refused its deletion.
 * `STORE_NOT_WORM` otherwise.
 */
export async function checkOwnLock(config: S3Config, bucketName: string, key: string, body: Buffer): Promise<void> {
  const bucket = openBucket(config, bucketName);
  const { versionId } = await bucket.createOnce(key, body, { retainUntil: inMinutes(5) });
  if (versionId === null) throw new CustodyError('STORE_NOT_WORM', `the bucket ${bucketName} keeps no versions`);
  const answer = await new S3Session(config).text(deletion({ bucket: bucketName, key, versionId }, BYPASS));
  if (answer.status < 400 || (await bucket.head(key, versionId)) === null)
    throw new CustodyError('STORE_NOT_WORM', `the store let a locked version of ${key} be deleted (${said(answer)})`, {
      details: { bucket: bucketName, key },
    });
}
