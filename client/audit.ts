import type { Answer } from '../adapters/audit/desk.js';
import { decodeRecord } from '../adapters/audit/record.js';
import { exchange } from '../adapters/exchange.js';
import type { AuditRecord } from '../domain/audit.js';
import { CustodyError } from '../domain/errors.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { openCheckpoint, parseVerifierKey } from '../formats/checkpoint.js';
import { bundlePath, decodeBundle, TILE_WIDTH } from '../formats/tlog-tiles.js';
import { leafHash, rootOver } from '../formats/tlog.js';
import type { Custody } from './connect.js';

/** Puts a signed question to the audit desk. NOT_AUTHORISED unless an auditor asks; the attempt is in the log either way. */
export async function ask({ description }: Custody, question: SignedEnvelope): Promise<Answer> {
  return (await exchange({ url: description.desk }, 'POST', '/questions', question, 'STORE_UNAVAILABLE')) as Answer;
}

export interface VerifiedLog {
  readonly size: number;
  readonly root: string;
  /** In log order; an id that comes again is the same record. */
  readonly records: readonly AuditRecord[];
}

/**
 * Reads the whole log and computes its root again, here: against the checkpoint that the pinned log key has signed.
 * LOG_INVALID when they differ.
 */
export async function verifyWholeLog({ description }: Custody, answer: Answer): Promise<VerifiedLog> {
  if (answer.question !== 'log') throw new CustodyError('INTERNAL', 'the desk answered another question');
  const read = async (path: string): Promise<Buffer> => {
    const response = await fetch(new URL(`${answer.path}${path}`, description.desk));
    if (!response.ok) throw new CustodyError('LOG_INVALID', `the log has no ${path} (${response.status})`);
    return Buffer.from(await response.arrayBuffer());
  };
  const checkpoint = openCheckpoint(await read('checkpoint'), parseVerifierKey(description.audit.vkey));
  const leaves: Buffer[] = [];
  const records: AuditRecord[] = [];
  for (let index = 0; leaves.length < checkpoint.size; index += 1) {
    const width = Math.min(TILE_WIDTH, checkpoint.size - leaves.length);
    const path = bundlePath(index, width);
    const entries = decodeBundle(await read(path), path);
    if (entries.length !== width) throw new CustodyError('LOG_INVALID', `${path} holds ${entries.length} entries`);
    leaves.push(...entries.map((entry) => leafHash(entry)));
    records.push(...entries.map((entry, at) => decodeRecord(entry, leaves.length - width + at)));
  }
  const found = rootOver(leaves).toString('hex');
  if (found !== checkpoint.root)
    throw new CustodyError('LOG_INVALID', `the log's entries do not give the root that was signed`);
  if (checkpoint.size < answer.size) throw new CustodyError('LOG_INVALID', 'the log is shorter than the desk says');
  return { size: checkpoint.size, root: found, records };
}
