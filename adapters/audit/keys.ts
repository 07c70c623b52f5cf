import type { AuditRecord } from '../../domain/audit.js';
import { CustodyError } from '../../domain/errors.js';
import { isoTime } from '../../domain/time.js';
import type { SigningKey } from '../../formats/keys.js';
import { sha256 } from '../../formats/sha256.js';
import { encodeVerifierKey, openNote, parseVerifierKeys, signNote } from '../../formats/signed-note.js';
import type { Bucket } from '../object-store/port.js';
import { numbered } from './checkpoints.js';
import { invalidFrom } from './invalid.js';
import { openAuditLog, type AuditLogDeps } from './log.js';

export interface LogKeysDeps extends Omit<AuditLogDeps, 'vkey'> {
  readonly origin: string;
  /** The key that signed until now: the log is handed over by it, once. */
  readonly previous: SigningKey | null;
  /** Who changes the key. */
  readonly by: string;
}

/** Each a signed note by the new key and the one before: what `parseVerifierKeys` reads, from the size in its name on. */
const KEYS = 'keys/';
const WHAT = "the log's keys";

/**
 * Every key that this log was signed by, as `parseVerifierKeys` reads it; `key` signs from now on. Where it has not so far, `previous`
 * hands the log over: it signs a record of it, and that this is the end of what it signs. A crash anywhere is gone on from.
 * LOG_INVALID when another key signs this log. No other process may write the log meanwhile.
 */
export async function logKeys(deps: LogKeysDeps): Promise<string> {
  const { audit, origin, key, previous } = deps;
  const own = encodeVerifierKey(origin, key);
  const before = previous === null ? own : encodeVerifierKey(origin, previous);
  const told = await lastTold(audit);
  const signsNow = told === null ? null : firstLine(told.toString('utf8'));
  if (told !== null && signsNow === own) return openKeys(told, own);
  if (previous === null || before === own) {
    if (signsNow !== null) throw invalidFrom(0, `this log is signed by ${signsNow}, not by ${own}`);
    return own;
  }
  if (signsNow !== null && signsNow !== before)
    throw invalidFrom(0, `this log is signed by ${signsNow}, and neither ${own} nor the key before it is that one`);
  const keys = told === null ? before : openKeys(told, before);
  if (keys.includes(own)) throw new CustodyError('USAGE', `${own} has signed this log before: make a new key`);
  return handOver(deps, previous, own, keys);
}

/** The last hand-over as a signed note, for whoever knows one of the two keys; `null` where this log has had one key only. */
export async function lastTold(audit: Pick<Bucket, 'list' | 'read'>): Promise<Buffer | null> {
  let last: string | null = null;
  for await (const name of audit.list(KEYS)) last = name;
  return last === null ? null : ((await audit.read(last))?.body ?? null);
}

/** The keys of a note that one whom `trusted` names has signed. LOG_INVALID or MALFORMED else. */
export function openKeys(note: Buffer, trusted: string): string {
  try {
    const text = openNote(note, WHAT, parseVerifierKeys(trusted)).body.trimEnd();
    parseVerifierKeys(text);
    return text;
  } catch (cause) {
    if (!(cause instanceof CustodyError) || cause.code !== 'SIGNATURE_INVALID') throw cause;
    throw invalidFrom(0, cause.message, cause);
  }
}

async function handOver(deps: LogKeysDeps, previous: SigningKey, own: string, before: string): Promise<string> {
  const { audit, origin, key, by, lock } = deps;
  const log = await openAuditLog({ ...deps, key: previous, vkey: before });
  await log.append([handedOver(own, firstLine(before), by)]);
  await log.close();
  const { size } = log.checkpoint();
  const [last = '', ...earlier] = before.split('\n');
  const text = [own, `${last} until ${size}`, ...earlier].join('\n');
  await audit.createOnce(numbered(KEYS, size), signNote(`${text}\n`, origin, [key, previous]), await lock());
  return text;
}

function handedOver(after: string, before: string, by: string): AuditRecord {
  return {
    id: sha256(`log.rotated ${after}`),
    time: isoTime(Date.now()),
    actor: { id: by, statement: null },
    change: 'log.rotated',
    subject: { model: '', version: null, release: null },
    before: sha256(before),
    after: sha256(after),
    policy: null,
    workflow: null,
    reason: `the log was signed by ${before}, and from here on by ${after}`,
  };
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}
