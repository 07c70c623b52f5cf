import { writeFileSync } from 'node:fs';
import { filesOf, registeredSource, type DataSource } from '../../adapters/data-sources.js';
import type { Records } from '../../adapters/records.js';
import { demandData } from '../../adapters/source/data.js';
import { isDigest, type Digest } from '../../domain/digest.js';
import { CustodyError, isPermanent } from '../../domain/errors.js';
import { assertModelName } from '../../domain/names.js';
import { storeKeys } from '../../domain/store-keys.js';
import { findData, handOver, readHandover, registerData, vouchFor } from '../data.js';
import { openReading } from '../connect.js';
import { answer, counted, good, heading, plain } from '../output.js';
import type { ConnectedSession, Session } from '../session.js';
import { signerOf } from '../signer.js';

interface GiveOptions {
  readonly source: string;
  readonly to: string;
  readonly reason: string;
  readonly after?: string;
  readonly out: string;
  readonly key: string;
}

export async function give(session: ConnectedSession, folder: string, options: GiveOptions): Promise<void> {
  const { to, reason, after, out } = options;
  const data = await findData(folder, options.source);
  const signer = await signerOf(session, options.key);
  const handover = handOver(signer, data, { to, reason, after: after === undefined ? null : readHandover(after) });
  writeFileSync(out, `${JSON.stringify(handover)}\n`, { flag: 'wx' });
  answer(session, { ...data, from: signer.id, to, handover: out }, [
    good(plain(`${signer.id} gives ${data.source} to ${to}: ${counted(data.files, 'file')}, ${data.list}`)),
    plain(`it is signed in ${out}: send it along with the data`),
  ]);
}

interface RegisterOptions {
  readonly source: string;
  readonly publisher: string;
  readonly licence: string;
  readonly origin: string;
  readonly handover?: readonly string[];
  readonly key: string;
}

export async function register(session: ConnectedSession, folder: string, options: RegisterOptions): Promise<void> {
  const { publisher, licence, origin } = options;
  const data = await findData(folder, options.source);
  const handovers = (options.handover ?? []).map(readHandover);
  const signer = await signerOf(session, options.key);
  const statement = vouchFor(signer, data, { publisher, licence, origin }, handovers);
  const registered = await registerData(session.custody, statement, handovers, data);
  answer(session, { ...data, ...registered }, [
    good(plain(`${data.source} is registered, by ${registered.by}: ${counted(registered.files, 'file')}`)),
    plain(`statement ${registered.statement}: requests to train name it`),
  ]);
}

export async function verify(session: Session, given: string, folder?: string): Promise<void> {
  const { records } = openReading(session.layout);
  const found = await sourceOf(records, given);
  const files = await filesOf(records, found);
  const bytes = folder === undefined ? null : await demandData(folder, files);
  const { digest, predicate, signers } = found.statement;
  const compared = bytes === null ? 'no folder was compared' : `${bytes} bytes in ${folder} are those`;
  answer(session, { statement: digest, ...predicate, by: signers, files: files.length, bytes }, [
    good(plain(`${predicate.source} may be used: ${counted(files.length, 'file')}, ${predicate.licence}, ${compared}`)),
    ...handsOf(found).map(plain),
  ]);
}

export async function chain(session: Session, source: string): Promise<void> {
  assertModelName(source);
  const { records } = openReading(session.layout);
  const rows = await Promise.all((await registered(records, source)).map((digest) => judged(records, digest)));
  if (rows.length === 0) throw new CustodyError('INPUT_MISSING', `no data ${source} are registered`);
  const told = rows.map(({ statement, source, refused }) => ({
    ...{ statement, refused },
    hands: source === null ? [] : handsOf(source),
  }));
  answer(
    session,
    told,
    told.flatMap(({ statement, refused, hands }) => [
      heading(`${source}, statement ${statement.slice(0, 12)}${refused === null ? '' : ', which counts no more'}`),
      ...(refused === null ? [] : [plain(refused)]),
      ...hands.map(plain),
    ]),
  );
}

interface Judged {
  readonly statement: Digest;
  /** `null`: it counts no more. */
  readonly source: DataSource | null;
  readonly refused: string | null;
}

async function judged(records: Records, statement: Digest): Promise<Judged> {
  try {
    return { statement, source: await registeredSource(records, statement), refused: null };
  } catch (error) {
    if (!(error instanceof CustodyError) || !isPermanent(error.code)) throw error;
    return { statement, source: null, refused: `${error.code}: ${error.message}` };
  }
}

/** Through whose hands they came, in lines. */
function handsOf({ statement: { predicate, signers }, links }: DataSource): readonly string[] {
  return [
    `${predicate.publisher} publishes them: ${predicate.origin}`,
    ...links.map(({ predicate: { from, to, reason, issuedAt } }) => `${issuedAt}  ${from} → ${to}: ${reason}`),
    `${predicate.issuedAt}  ${signers.join(' and ')} vouches for them`,
  ];
}

/** A source by its name, of which the newest statement that counts is taken, or one by the digest of its statement. */
async function sourceOf(records: Records, given: string): Promise<DataSource> {
  if (isDigest(given)) return registeredSource(records, given);
  assertModelName(given);
  const rows = await Promise.all((await registered(records, given)).map((digest) => judged(records, digest)));
  const newest = rows
    .flatMap(({ source }) => source ?? [])
    .sort((a, b) => (a.statement.predicate.issuedAt < b.statement.predicate.issuedAt ? -1 : 1))
    .at(-1);
  if (newest !== undefined) return newest;
  throw new CustodyError('INPUT_MISSING', rows[0]?.refused ?? 'no data of that name are registered');
}

async function registered(records: Records, source: string): Promise<readonly Digest[]> {
  const found: Digest[] = [];
  for await (const key of records.bucket.list(storeKeys.dataOf(source))) {
    const digest = key.slice(storeKeys.dataOf(source).length);
    if (isDigest(digest)) found.push(digest);
  }
  return found;
}
