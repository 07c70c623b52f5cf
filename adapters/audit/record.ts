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
  const entry = encodeCanonical(value) ?? canonicalBytes(checkShape(record, value, 'the audit record'));
  if (entry.length <= MAX_ENTRY_BYTES) return entry;
  throw new CustodyError(
    'MALFORMED',
    `the audit record has ${entry.length} bytes, at most ${MAX_ENTRY_BYTES} are kept`,
    {
      details: { id: value.id, size: entry.length },
    },
  );
}

/** `null` where it takes a closer look. Everybody who appends at once waits for this. */
function encodeCanonical(value: AuditRecord): Buffer | null {
  const { id, time, actor, change, subject, before, after, policy, workflow, reason } = value;
  const isWhole =
    hasKeys(value, 10) && hasKeys(actor, 2) && hasKeys(subject, 3) && (workflow === null || hasKeys(workflow, 2));
  if (!isWhole) return null;
  const text = JSON.stringify({
    actor: { id: actor.id, statement: actor.statement },
    ...{ after, before, change, id, policy, reason },
    subject: { model: subject.model, release: subject.release, version: subject.version },
    time,
    workflow: workflow === null ? null : { id: workflow.id, runId: workflow.runId },
  });
  return isCanonicalText(text) ? Buffer.from(text) : null;
}

function hasKeys(value: unknown, count: number): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === count;
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
    `"time":"(?:\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z)",` +
    `"workflow":(?:null|\\{"id":${STRING},"runId":${STRING}\\})\\}$`,
);

/** LOG_INVALID as `decodeRecord`, without making the record: of a million, most are looked at by nobody. */
export function assertRecord(entry: Buffer, index: number): void {
  if (canonicalText(entry) === null) decodeAny(entry, index);
}

function decodeCanonical(entry: Buffer): AuditRecord | null {
  const text = canonicalText(entry);
  if (text === null) return null;
  const { id, time, actor, change, subject, before, after, policy, workflow, reason } = JSON.parse(text) as AuditRecord;
  return { id, time, actor, change, subject, before, after, policy, workflow, reason };
}

/** `null` where it takes a closer look. */
function canonicalText(entry: Buffer): string | null {
  const text = isUtf8(entry) ? entry.toString('utf8') : '';
  return isCanonicalText(text) ? text : null;
}

const TIME = '"time":"';
const TIME_LENGTH = '2026-01-31T12:00:00.000Z'.length;

function isCanonicalText(text: string): boolean {
  if (!CANONICAL.test(text)) return false;
  // Nothing but the fields that come last can hold this text unescaped: of what strings hold, quotes are escaped.
  const at = text.lastIndexOf(TIME) + TIME.length;
  const time = text.slice(at, at + TIME_LENGTH);
  return EVERY_MONTH_HAS.test(time) || isIsoTime(time);
}

/** Days up to the 28th, and no leap second: a time without asking a calendar. */
const EVERY_MONTH_HAS = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z$/;

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
