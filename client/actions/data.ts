import { writeFileSync } from 'node:fs';
import { filesOf, type DataSource } from '../../adapters/data-sources.js';
import { demandData } from '../../adapters/source/data.js';
import { CustodyError } from '../../domain/errors.js';
import { assertModelName } from '../../domain/names.js';
import {
  findData,
  handOver,
  judged,
  readHandover,
  registerData,
  registeredUnder,
  sourceNamed,
  vouchFor,
} from '../data.js';
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
  const found = await sourceNamed(records, given);
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
  const rows = await Promise.all((await registeredUnder(records, source)).map((digest) => judged(records, digest)));
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

/** Through whose hands they came, in lines. */
function handsOf({ statement: { predicate, signers }, links }: DataSource): readonly string[] {
  return [
    `${predicate.publisher} publishes them: ${predicate.origin}`,
    ...links.map(({ predicate: { from, to, reason, issuedAt } }) => `${issuedAt}  ${from} → ${to}: ${reason}`),
    `${predicate.issuedAt}  ${signers.join(' and ')} vouches for them`,
  ];
}
