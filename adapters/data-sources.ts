import { authoriseData, type DataSourcePredicate, type HandoverPredicate } from '../domain/data-source.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { Verified } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { demand } from '../formats/evidence.js';
import { encodeFileList, MAX_LIST_BYTES, parseFileList, type ListedFile } from '../formats/file-list.js';
import { sha256 } from '../formats/sha256.js';
import type { Records } from './records.js';

/** Data that somebody may be trained on, as the records have them. */
export interface DataSource {
  readonly statement: Verified<DataSourcePredicate>;
  readonly links: readonly Verified<HandoverPredicate>[];
}

/** A statement that is kept, and the chain behind it, by the rules of now. NOT_AUTHORISED, CUSTODY_BROKEN, REPLAYED. */
export async function keptSource(records: Records, digest: Digest): Promise<DataSource> {
  const policies = await records.policies();
  const found = await records.find('dataSource', storeKeys.statement(digest), policies);
  if (found?.verified.digest !== digest) throw new CustodyError('INPUT_MISSING', `nothing is known of data ${digest}`);
  const statement = found.verified;
  const links: Verified<HandoverPredicate>[] = [];
  for (const link of statement.predicate.chain) {
    const handover = await records.find('handover', storeKeys.statement(link), policies);
    if (handover !== null) links.push(handover.verified);
  }
  demand(
    authoriseData(
      { source: statement, links },
      { environment: records.environment, newest: policies.newest, now: records.now() },
    ),
  );
  return { statement, links };
}

/** The same of data that were registered: their bytes were compared, and it is in the log. INPUT_MISSING: they were not. */
export async function registeredSource(records: Records, digest: Digest): Promise<DataSource> {
  const source = await keptSource(records, digest);
  const key = storeKeys.data(source.statement.predicate.source, digest);
  if ((await records.record(key)) === null)
    throw new CustodyError('INPUT_MISSING', `the data ${digest.slice(0, 12)} were never registered`);
  return source;
}

/** The list of their files. WORM_VIOLATED or DIGEST_MISMATCH where the store has another, or none. */
export async function filesOf(records: Records, { statement }: DataSource): Promise<readonly ListedFile[]> {
  const key = storeKeys.fileList(statement.subject);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of await records.bucket.readStream(key, null)) {
    const bytes = chunk as Buffer;
    size += bytes.length;
    if (size > MAX_LIST_BYTES) throw new CustodyError('MALFORMED', `${key} is larger than ${MAX_LIST_BYTES} bytes`);
    chunks.push(bytes);
  }
  const bytes = Buffer.concat(chunks);
  const found = sha256(bytes);
  if (found !== statement.subject)
    throw new CustodyError('DIGEST_MISMATCH', `${key}: expected sha256 ${statement.subject}, found ${found}`);
  return parseFileList(bytes, key);
}

/** Keeps a list of files, once. */
export async function keepFiles(records: Records, files: readonly ListedFile[], signal?: AbortSignal): Promise<Digest> {
  const bytes = encodeFileList(files);
  const digest = sha256(bytes);
  const key = storeKeys.fileList(digest);
  if ((await records.bucket.head(key, null)) === null)
    await records.bucket.upload(key, inParts(bytes), {
      lock: await records.lock(),
      ...(signal === undefined ? {} : { signal }),
    });
  return digest;
}

const PART_BYTES = 1024 * 1024;

async function* inParts(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += PART_BYTES) yield bytes.subarray(at, at + PART_BYTES);
}
