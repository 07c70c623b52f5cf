import { createHash } from 'node:crypto';
import { isoTime } from '../../domain/time.js';
import type { Lock, ObjectHead } from './port.js';
import { retentionTime } from './rules.js';
import { failure, type S3Session } from './s3-session.js';
import { textOf } from './xml.js';

/** How S3 is told of locks. */

const XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"';

export function lockHeaders(lock: Lock | undefined): Record<string, string> {
  if (lock === undefined) return {};
  return {
    'x-amz-object-lock-mode': 'COMPLIANCE',
    'x-amz-object-lock-retain-until-date': retentionTime(lock),
  };
}

export function retentionXml(mode: 'COMPLIANCE' | 'GOVERNANCE', until: string): string {
  return `<Retention ${XMLNS}><Mode>${mode}</Mode><RetainUntilDate>${until}</RetainUntilDate></Retention>`;
}

export function legalHoldXml(on: boolean): string {
  return `<LegalHold ${XMLNS}><Status>${on ? 'ON' : 'OFF'}</Status></LegalHold>`;
}

export function versioningXml(status: 'Enabled' | 'Suspended'): string {
  return `<VersioningConfiguration ${XMLNS}><Status>${status}</Status></VersioningConfiguration>`;
}

export function locationXml(region: string): string {
  return (
    `<CreateBucketConfiguration ${XMLNS}><LocationConstraint>${region}</LocationConstraint>` +
    `</CreateBucketConfiguration>`
  );
}

/**
 * S3 demands a checksum with every change of a lock. versitygw, started with `--data-integrity-etag`, builds the ETag
 * from it too: of SHA-256 then, where it would be a CRC, so that `If-Match` stands for the bytes.
 */
export function checksum(body: Buffer | string): Record<string, string> {
  return { 'x-amz-checksum-sha256': createHash('sha256').update(body).digest('base64') };
}

type LockState = Pick<ObjectHead, 'lock' | 'legalHold'>;

export function lockStateOf(mode: string | null, until: string | null, hold: string | null): LockState {
  const locked = (mode === 'COMPLIANCE' || mode === 'GOVERNANCE') && until !== null;
  return { lock: locked ? { mode, retainUntil: isoTime(Date.parse(until)) } : null, legalHold: hold === 'ON' };
}

/**
 * Asks for lock and hold by themselves: versitygw leaves them out of the HEAD of a version that is not the latest.
 * (Parsed here, since its root element is not the one that the client expects.)
 */
export async function askLockState(
  session: S3Session,
  bucket: string,
  key: string,
  version: Readonly<Record<string, string>>,
): Promise<LockState> {
  const ask = async (what: string): Promise<string> => {
    const answer = await session.text({ method: 'GET', bucket, key, query: { [what]: '', ...version } });
    if (answer.status === 200) return answer.text;
    // 404: neither was ever set. 400: the bucket has no Object Lock.
    if (answer.status === 404 || answer.status === 400) return '';
    throw failure(`read the ${what} of ${key}`, answer);
  };
  const [retention, hold] = await Promise.all([ask('retention'), ask('legal-hold')]);
  return lockStateOf(textOf(retention, 'Mode'), textOf(retention, 'RetainUntilDate'), textOf(hold, 'Status'));
}
