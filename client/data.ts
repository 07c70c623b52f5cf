import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { registeredSource, type DataSource } from '../adapters/data-sources.js';
import type { Records } from '../adapters/records.js';
import { listData } from '../adapters/source/data.js';
import type { DataSourcePredicate, HandoverPredicate } from '../domain/data-source.js';
import { isDigest, type Digest } from '../domain/digest.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import { assertModelName } from '../domain/names.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime } from '../domain/time.js';
import { CROISSANT_FILE } from '../formats/croissant.js';
import { envelopeDigest, parseEnvelope } from '../formats/dsse.js';
import { fileListDigest } from '../formats/file-list.js';
import { signStatement } from '../formats/statements.js';
import type { DataInput, DataOutcome } from '../workflows/data.js';
import { startData } from '../workflows/messages.js';
import type { Custody } from './connect.js';
import { runToEnd } from './messages.js';
import type { Signer } from './requests.js';

/** Data as they lie in a folder. */
export interface FoundData {
  readonly folder: string;
  readonly source: string;
  /** What the list of their files hashes to. */
  readonly list: Digest;
  readonly files: number;
  readonly bytes: number;
  readonly croissant: Digest | null;
}

export async function findData(folder: string, source: string): Promise<FoundData> {
  assertModelName(source);
  const { files, bytes } = await listData(folder);
  const croissant = files.find(({ path }) => path === CROISSANT_FILE)?.sha256 ?? null;
  return { folder, source, list: fileListDigest(files), files: files.length, bytes, croissant };
}

/** A signed handover from a file. INPUT_MISSING, MALFORMED. */
export function readHandover(file: string): SignedEnvelope {
  try {
    return parseEnvelope(readFileSync(file));
  } catch (cause) {
    if (cause instanceof CustodyError) throw cause;
    throw new CustodyError('INPUT_MISSING', `cannot read ${file}: ${(cause as NodeJS.ErrnoException).code ?? ''}`, {
      cause,
    });
  }
}

/** The signer gives the data to another, after the handover by which they came. */
export function handOver(
  { key, id, environment }: Signer,
  { source, list }: Pick<FoundData, 'source' | 'list'>,
  { to, reason, after }: { readonly to: string; readonly reason: string; readonly after: SignedEnvelope | null },
): SignedEnvelope {
  const said: HandoverPredicate = {
    ...{ environment, source, from: id, to, reason },
    previous: after === null ? null : envelopeDigest(after),
    issuedAt: isoTime(Date.now()),
  };
  return signStatement('handover', { name: `data/${source}`, sha256: list }, said, [key]);
}

/** The signer has the data, by these handovers, and vouches for them. */
export function vouchFor(
  { key, environment }: Signer,
  { source, list, files, croissant }: FoundData,
  said: Pick<DataSourcePredicate, 'publisher' | 'licence' | 'origin'>,
  handovers: readonly SignedEnvelope[],
): SignedEnvelope {
  const predicate: DataSourcePredicate = {
    ...{ environment, source, ...said, files, croissant },
    chain: handovers.map(envelopeDigest),
    issuedAt: isoTime(Date.now()),
  };
  return signStatement('dataSource', { name: `data/${source}`, sha256: list }, predicate, [key]);
}

/** Hands a statement about data in, and waits until their bytes were compared with it. */
export async function registerData(
  custody: Custody,
  statement: SignedEnvelope,
  handovers: readonly SignedEnvelope[],
  { source, folder }: Pick<FoundData, 'source' | 'folder'>,
): Promise<Extract<DataOutcome, { kind: 'registered' }>> {
  const input: DataInput = { statement, handovers, folder: pathToFileURL(resolve(folder)).href };
  return runToEnd(custody, 'data', startData(source, envelopeDigest(statement)), input);
}

export interface Judged {
  readonly statement: Digest;
  /** `null`: it counts no more. */
  readonly source: DataSource | null;
  readonly refused: string | null;
}

/** One of them, by the rules of now. */
export async function judged(records: Records, statement: Digest): Promise<Judged> {
  try {
    return { statement, source: await registeredSource(records, statement), refused: null };
  } catch (error) {
    if (!(error instanceof CustodyError) || !isPermanent(error.code)) throw error;
    return { statement, source: null, refused: `${error.code}: ${error.message}` };
  }
}

/** A source by its name, of which the newest statement that counts is taken, or one by the digest of its statement. */
export async function sourceNamed(records: Records, given: string): Promise<DataSource> {
  if (isDigest(given)) return registeredSource(records, given);
  assertModelName(given);
  const rows = await Promise.all((await registeredUnder(records, given)).map((digest) => judged(records, digest)));
  const newest = rows
    .flatMap(({ source }) => source ?? [])
    .sort((a, b) => (a.statement.predicate.issuedAt < b.statement.predicate.issuedAt ? -1 : 1))
    .at(-1);
  if (newest !== undefined) return newest;
  throw new CustodyError('INPUT_MISSING', rows[0]?.refused ?? 'no data of that name are registered');
}

export async function registeredUnder(records: Records, source: string): Promise<readonly Digest[]> {
  const found: Digest[] = [];
  for await (const key of records.bucket.list(storeKeys.dataOf(source))) {
    const digest = key.slice(storeKeys.dataOf(source).length);
    if (isDigest(digest)) found.push(digest);
  }
  return found;
}
