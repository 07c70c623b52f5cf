import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { assertFollows, PublishedLog, type TileSource } from '../adapters/audit/published.js';
import type { Answer } from '../adapters/audit/questions.js';
import { decodeRecord } from '../adapters/audit/record.js';
import { absent } from '../adapters/durable.js';
import { exchange } from '../adapters/exchange.js';
import type { AuditRecord } from '../domain/audit.js';
import { CustodyError } from '../domain/errors.js';
import type { Logged } from '../domain/state.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { decodeBase64 } from '../formats/base64.js';
import { openCheckpoint, type Checkpoint } from '../formats/checkpoint.js';
import { parseVerifierKeys } from '../formats/signed-note.js';
import { checkShape } from '../formats/json.js';
import { decodeProof, verifyProof } from '../formats/tlog-proof.js';
import type { Reading } from './connect.js';
import { replaceFile } from './files.js';
import { readDescription, type Layout } from './stack/layout.js';
import { askAuditor, type RecordsQuestion, type Signer } from './requests.js';

/** Puts a signed question to the audit desk. NOT_AUTHORISED unless an auditor asks; the attempt is in the log either way. */
export async function ask({ description }: Reading, question: SignedEnvelope): Promise<Answer> {
  return (await exchange({ url: description.desk }, 'POST', '/questions', question, 'STORE_UNAVAILABLE')) as Answer;
}

/**
 * The log as the desk publishes it to an auditor, for ten minutes. LOG_INVALID when it is shorter than the desk says, or does
 * not go on from the newest checkpoint that was seen here: that one is kept, and the other beside it.
 */
export async function auditLog(custody: Reading, auditor: Signer): Promise<PublishedLog> {
  const { desk, audit } = custody.description;
  // Before the log is: what another command sees meanwhile may be newer than what this one is shown.
  const seen = lastSeen(custody.layout.seenCheckpoint, audit.vkey);
  const answer = await ask(custody, askAuditor(auditor, { question: 'log' }));
  if (answer.question !== 'log') throw new CustodyError('INTERNAL', 'the desk answered another question');
  const log = await PublishedLog.open(overHttp(new URL(answer.path, desk)), audit.vkey);
  if (log.checkpoint.size < answer.size)
    throw new CustodyError('LOG_INVALID', 'the log is shorter than the desk says', {
      details: { index: log.checkpoint.size },
    });
  await remember(custody.layout.seenCheckpoint, log, audit.vkey, seen);
  return log;
}

/** A log while somebody goes on reading it: where the desk's leave has ended it is asked again, which is in the log as well. */
export class LongReading {
  readonly #ask: () => Promise<PublishedLog>;
  #log: PublishedLog;

  private constructor(ask: () => Promise<PublishedLog>, log: PublishedLog) {
    this.#ask = ask;
    this.#log = log;
  }

  static async begin(ask: () => Promise<PublishedLog>): Promise<LongReading> {
    return new LongReading(ask, await ask());
  }

  get log(): PublishedLog {
    return this.#log;
  }

  async read<T>(how: (log: PublishedLog) => Promise<T>): Promise<T> {
    try {
      return await how(this.#log);
    } catch (error) {
      if (!(error instanceof CustodyError) || error.code !== 'NOT_AUTHORISED') throw error;
    }
    const log = await this.#ask();
    await log.follows(this.#log.checkpoint);
    this.#log = log;
    return how(log);
  }

  /** Goes on to the log as it is published now. */
  async renew(): Promise<void> {
    this.#log = await this.read((log) => log.newer());
  }
}

function overHttp(base: URL): TileSource {
  return async (path) => {
    const response = await fetch(new URL(path, base)).catch(deskIsDown);
    if (response.status === 404) return null;
    if (response.status === 403) throw new CustodyError('NOT_AUTHORISED', "the desk's leave to read the log has ended");
    if (!response.ok) throw new CustodyError('STORE_UNAVAILABLE', `the desk answers ${response.status} to ${path}`);
    return Buffer.from(await response.arrayBuffer().catch(deskIsDown));
  };
}

function deskIsDown(cause: unknown): never {
  throw new CustodyError('STORE_UNAVAILABLE', 'the desk does not answer', { cause });
}

/** Records that the desk has proved, in log order, and by which checkpoint. */
export interface ProvedRecords {
  readonly records: readonly Logged[];
  readonly checkpoint: Checkpoint;
  readonly proofs: readonly string[];
  /** As it was asked, and as the log has it. */
  readonly question: SignedEnvelope;
}

const provedSchema = z.object({
  checkpoint: z.string(),
  proofs: z.array(z.string()).max(100_000),
  since: z.array(z.string()).max(128),
});

/** Puts a question whose answer is records. LOG_INVALID as for `auditLog`, and where what the desk says is not proved. */
export async function askProved(custody: Reading, auditor: Signer, question: RecordsQuestion): Promise<ProvedRecords> {
  const { vkey } = custody.description.audit;
  const file = custody.layout.seenCheckpoint;
  const seen = lastSeen(file, vkey);
  const asked = askAuditor(auditor, { ...question, seen: seen?.size ?? 0 });
  const answer: unknown = await ask(custody, asked);
  const { checkpoint: text, proofs, since } = checkShape(provedSchema, answer, "the desk's answer");
  const note = Buffer.from(text);
  const verifier = parseVerifierKeys(vkey);
  const checkpoint = openCheckpoint(note, verifier);
  const path = since.map((hash) => decodeBase64(hash, 'a hash of the answer'));
  const follows = async (earlier: Checkpoint): Promise<void> => assertFollows(checkpoint, earlier, path);
  await remember(file, { checkpoint, note, follows }, vkey, seen);
  const records = proofs.map((proof): Logged => {
    const { index, entry, ...rest } = decodeProof(Buffer.from(proof));
    verifyProof({ index, entry, ...rest, checkpoint: note }, verifier);
    return { index, record: decodeRecord(entry, index) };
  });
  return { records: records.sort((a, b) => a.index - b.index), checkpoint, proofs, question: asked };
}

/**
 * Keeps the newest checkpoint in a file, unless another command has kept one since `seen` was read. LOG_INVALID when this log is
 * not that one, grown: both checkpoints stay as evidence.
 */
export async function remember(
  file: string,
  log: Pick<PublishedLog, 'checkpoint' | 'note' | 'follows'>,
  vkey: string,
  seen = lastSeen(file, vkey),
): Promise<void> {
  if (seen !== null) {
    try {
      await log.follows(seen);
    } catch (cause) {
      if (!(cause instanceof CustodyError) || cause.code !== 'LOG_INVALID') throw cause;
      const other = keepBeside(file, log);
      throw new CustodyError('LOG_INVALID', `${cause.message}. ${other.says}`, {
        details: { ...cause.details, seen: file, other: other.file, checkpoint: log.note.toString('utf8') },
        cause,
      });
    }
  }
  const isStillThere = lastSeen(file, vkey)?.size === seen?.size;
  if (isStillThere && (seen?.size ?? -1) < log.checkpoint.size) replaceFile(file, log.note);
}

/** That a log was taken back is said also where there is no room for the evidence: whoever hears it has it then. */
function keepBeside(
  file: string,
  { checkpoint: { size, root }, note }: Pick<PublishedLog, 'checkpoint' | 'note'>,
): { readonly file: string | null; readonly says: string } {
  const other = `${file}.${size}-${root.slice(0, 16)}`;
  try {
    replaceFile(other, note);
    return { file: other, says: `Both checkpoints are kept: ${file} and ${other}` };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return {
      file: null,
      says: `Keep both checkpoints: ${file}, and this one, which could not be (${why}):\n${note.toString('utf8')}`,
    };
  }
}

/** `null` only where there is none: one that cannot be read, or is damaged, is not passed over. */
function lastSeen(file: string, vkey: string): Checkpoint | null {
  const note = seenAt(file);
  if (note === null) return null;
  try {
    return openCheckpoint(note, parseVerifierKeys(vkey));
  } catch (cause) {
    if (!(cause instanceof CustodyError)) throw cause;
    const what = `${file}, the newest checkpoint that was seen here, is none: put a copy of it back, or begin anew without it`;
    throw new CustodyError(cause.code, `${what} (${cause.message})`, { details: { seen: file }, cause });
  }
}

function seenAt(file: string): Buffer | null {
  try {
    return readFileSync(file);
  } catch (error) {
    return absent(error);
  }
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

/** The log's key that the caller brings, as text or in a file; else that of the stack here. */
export function logKeyOf({ layout }: { readonly layout: Layout }, given: string | undefined): string {
  if (given === undefined) return readDescription(layout).audit.vkey;
  return (existsSync(given) ? readFileSync(given, 'utf8') : given).trim();
}
