import { isUtf8 } from 'node:buffer';
import { z } from 'zod';
import { CHANGES, type AuditRecord } from '../../domain/audit.js';
import { isDigest } from '../../domain/digest.js';
import { CustodyError } from '../../domain/errors.js';
import { isIsoTime } from '../../domain/time.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { checkShape, parseJson } from '../../formats/json.js';
import { invalidFrom } from './invalid.js';

/** 256 entries of this size fit in one small object, so a full bundle always does. */
export const MAX_ENTRY_BYTES = 32_000;

const digest = z.string().refine(isDigest, 'not a SHA-256 in lower-case hex');
const record: z.ZodType<AuditRecord> = z.strictObject({
  id: z.string().min(1),
  time: z.string().refine(isIsoTime, 'not a time like 2026-01-31T12:00:00.000Z'),
  actor: z.strictObject({ id: z.string(), statement: digest.nullable() }),
  change: z.enum(CHANGES),
  subject: z.strictObject({ model: z.string(), version: z.string().nullable(), release: digest.nullable() }),
  before: digest.nullable(),
  after: digest.nullable(),
  policy: digest.nullable(),
  workflow: z.strictObject({ id: z.string(), runId: z.string() }).nullable(),
  reason: z.string(),
});

/** The entry of a record: its canonical JSON. MALFORMED when it is not a record, or too large to be an entry. */
export function encodeRecord(value: AuditRecord): Buffer {
  const entry = canonicalBytes(checkShape(record, value, 'the audit record'));
  if (entry.length <= MAX_ENTRY_BYTES) return entry;
  throw new CustodyError(
    'MALFORMED',
    `the audit record has ${entry.length} bytes, at most ${MAX_ENTRY_BYTES} are kept`,
    {
      details: { id: value.id, size: entry.length },
    },
  );
}

/** LOG_INVALID with its index when the entry is not the canonical form of a record. */
export function decodeRecord(entry: Buffer, index: number): AuditRecord {
  return decodeCanonical(entry) ?? decodeAny(entry, index);
}

const TEXT = String.raw`[^"\\\x00-\x1f]*(?:\\(?:["\\bfnrt]|u00(?:0[0-7bef]|1[0-9a-f]))[^"\\\x00-\x1f]*)*`;
const STRING = `"${TEXT}"`;
const DIGEST = '(?:null|"[0-9a-f]{64}")';
/** What `canonicalBytes` makes of records, and of nothing else; only whether the time is one, it cannot tell. */
const CANONICAL = new RegExp(
  `^\\{"actor":\\{"id":${STRING},"statement":${DIGEST}\\},"after":${DIGEST},"before":${DIGEST},` +
    `"change":"(?:${CHANGES.map((change) => change.replace('.', '\\.')).join('|')})","id":"(?!")${TEXT}",` +
    `"policy":${DIGEST},"reason":${STRING},` +
    `"subject":\\{"model":${STRING},"release":${DIGEST},"version":(?:null|${STRING})\\},` +
    `"time":"(?<time>\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z)",` +
    `"workflow":(?:null|\\{"id":${STRING},"runId":${STRING}\\})\\}$`,
);

/** `null` where it takes a closer look. Of a million records, each has to be decoded before any counts. */
function decodeCanonical(entry: Buffer): AuditRecord | null {
  const text = isUtf8(entry) ? entry.toString('utf8') : '';
  const time = CANONICAL.exec(text)?.groups?.['time'];
  if (time === undefined || !isIsoTime(time)) return null;
  const { id, actor, change, subject, before, after, policy, workflow, reason } = JSON.parse(text) as AuditRecord;
  return { id, time, actor, change, subject, before, after, policy, workflow, reason };
}

/** Says what is wrong with an entry. */
function decodeAny(entry: Buffer, index: number): AuditRecord {
  try {
    const value = checkShape(record, parseJson(entry, `entry ${index}`), `entry ${index}`);
    if (canonicalBytes(value).equals(entry)) return value;
  } catch (cause) {
    throw invalidFrom(index, 'its entry is not an audit record', cause);
  }
  throw invalidFrom(index, 'its entry is not in canonical form');
}

/** The id of an entry that is known to be a record. */
export function recordId(entry: Buffer): string {
  return (JSON.parse(entry.toString('utf8')) as { id: string }).id;
}
