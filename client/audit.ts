import { existsSync, readFileSync } from 'node:fs';
import type { Answer } from '../adapters/audit/desk.js';
import { PublishedLog, type TileSource } from '../adapters/audit/published.js';
import { exchange } from '../adapters/exchange.js';
import type { AuditRecord } from '../domain/audit.js';
import { CustodyError } from '../domain/errors.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { openCheckpoint, parseVerifierKey, type Checkpoint } from '../formats/checkpoint.js';
import type { Reading } from './connect.js';
import { replaceFile } from './files.js';
import { askAuditor, type Signer } from './requests.js';
import { readDescription, type Layout } from './stack/layout.js';

/** Puts a signed question to the audit desk. NOT_AUTHORISED unless an auditor asks; the attempt is in the log either way. */
export async function ask({ description }: Reading, question: SignedEnvelope): Promise<Answer> {
  return (await exchange({ url: description.desk }, 'POST', '/questions', question, 'STORE_UNAVAILABLE')) as Answer;
}

/**
 * The log as the desk publishes it to an auditor, for ten minutes. LOG_INVALID when it is shorter than the desk says, or does
 * not go on from the newest checkpoint that was seen here: that one is kept, and the other beside it.
 */
export async function auditLog(custody: Reading, auditor: Signer): Promise<PublishedLog> {
  const answer = await ask(custody, askAuditor(auditor, { question: 'log' }));
  if (answer.question !== 'log') throw new CustodyError('INTERNAL', 'the desk answered another question');
  const { desk, audit } = custody.description;
  const log = await PublishedLog.open(overHttp(new URL(answer.path, desk)), audit.vkey);
  if (log.checkpoint.size < answer.size)
    throw new CustodyError('LOG_INVALID', 'the log is shorter than the desk says', {
      details: { index: log.checkpoint.size },
    });
  await remember(custody.layout.seenCheckpoint, log, audit.vkey);
  return log;
}

function overHttp(base: URL): TileSource {
  return async (path) => {
    const response = await fetch(new URL(path, base));
    if (response.status === 404) return null;
    if (response.status === 403) throw new CustodyError('NOT_AUTHORISED', "the desk's leave to read the log has ended");
    if (!response.ok) throw new CustodyError('STORE_UNAVAILABLE', `the desk answers ${response.status} to ${path}`);
    return Buffer.from(await response.arrayBuffer());
  };
}

/** Keeps the newest checkpoint in a file. LOG_INVALID when this log is not that one, grown: both checkpoints stay as evidence. */
export async function remember(file: string, log: PublishedLog, vkey: string): Promise<void> {
  const seen = lastSeen(file, vkey);
  if (seen !== null) {
    try {
      await log.follows(seen);
    } catch (cause) {
      if (!(cause instanceof CustodyError) || cause.code !== 'LOG_INVALID') throw cause;
      const { size, root } = log.checkpoint;
      const other = `${file}.${size}-${root.slice(0, 16)}`;
      replaceFile(other, log.note);
      throw new CustodyError('LOG_INVALID', `${cause.message}. Both checkpoints are kept: ${file} and ${other}`, {
        details: { ...cause.details, seen: file, other },
        cause,
      });
    }
  }
  if ((lastSeen(file, vkey)?.size ?? -1) < log.checkpoint.size) replaceFile(file, log.note);
}

function lastSeen(file: string, vkey: string): Checkpoint | null {
  return existsSync(file) ? openCheckpoint(readFileSync(file), parseVerifierKey(vkey)) : null;
}

export interface VerifiedLog {
  readonly size: number;
  readonly root: string;
  /** In log order; an id that comes again is the same record. */
  readonly records: readonly AuditRecord[];
}

/** Everything in it, computed again here from the entries on: `PublishedLog.records`. */
export async function readWhole(log: PublishedLog): Promise<VerifiedLog> {
  const records: AuditRecord[] = [];
  for await (const { record } of log.records()) records.push(record);
  return { size: log.checkpoint.size, root: log.checkpoint.root, records };
}

/** What the caller brings, as text or in a file; else that of the stack here. */
export function logKeyOf({ layout }: { readonly layout: Layout }, given: string | undefined): string {
  if (given === undefined) return readDescription(layout).audit.vkey;
  return (existsSync(given) ? readFileSync(given, 'utf8') : given).trim();
}
