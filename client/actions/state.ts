import { resolve } from 'node:path';
import { folderTiles } from '../../adapters/audit/exported.js';
import { PublishedLog } from '../../adapters/audit/published.js';
import { CustodyError } from '../../domain/errors.js';
import { assertModelName } from '../../domain/names.js';
import { exitCodeFor, failuresOf } from '../../domain/record.js';
import { StateIndex, type StateAt } from '../../domain/state.js';
import { isIsoTime, isoTime } from '../../domain/time.js';
import { askProved, logKeyOf, readWhole } from '../audit.js';
import { openReading } from '../connect.js';
import { answer, bad, counted, faint, good, heading, plain } from '../output.js';
import type { Session } from '../session.js';
import { recoverAll } from '../recovery.js';
import { signerOf } from '../signer.js';
import { servedBy, type Served, type ServedRelease } from '../state.js';

export interface StateOptions {
  readonly at?: string;
  readonly key?: string;
  readonly from?: string;
  readonly logKey?: string;
  readonly materialise?: string;
}

export async function stateAt(session: Session, model: string, options: StateOptions): Promise<void> {
  assertModelName(model);
  const at = options.at ?? isoTime(Date.now());
  if (!isIsoTime(at)) throw new CustodyError('USAGE', `${at} is not a time like 2026-01-31T12:00:00.000Z`);
  if ((options.key === undefined) === (options.from === undefined))
    throw new CustodyError('USAGE', 'name one of --key and --from');
  if (options.materialise !== undefined && options.key === undefined)
    throw new CustodyError('USAGE', 'an export has no bytes of releases: --materialise goes with --key');
  return options.from === undefined
    ? asked(session, model, at, options.key ?? '', options.materialise)
    : fromExport(session, model, at, options.from, options.logKey);
}

/** By the records that the desk proves, and what they name, from WORM. */
async function asked(
  session: Session,
  model: string,
  at: string,
  key: string,
  folder: string | undefined,
): Promise<void> {
  const reading = openReading(session.layout);
  const signer = await signerOf({ ...session, custody: reading }, key);
  const { records, checkpoint, proofs } = await askProved(reading, signer, { question: 'state', model, at });
  const state = StateIndex.of(records).at(model, at);
  const served = await servedBy(reading.records, state);
  const restored =
    folder === undefined ? [] : await recoverAll(reading, signer, model, served.releases, resolve(folder));
  answer(session, { state, ...served, restored, log: { size: checkpoint.size, root: checkpoint.root }, proofs }, [
    ...summary(state, served.policy),
    ...described(served),
    ...restored.map(({ version, folder: copy, files }) =>
      good(`${version}: ${counted(files, 'file')}, verified, in ${copy}`),
    ),
    good(`${counted(records.length, 'record')} say so, proved by root ${checkpoint.root} of ${checkpoint.size}`),
  ]);
  process.exitCode = exitCodeFor(failuresOf({ lines: served.releases.flatMap(({ approved }) => approved) }));
}

/** By every record that there is: then nothing was left out. What the digests stand for is not in the log. */
async function fromExport(
  session: Session,
  model: string,
  at: string,
  folder: string,
  logKey: string | undefined,
): Promise<void> {
  const log = await PublishedLog.open(folderTiles(folder), logKeyOf(session, logKey));
  const { size, root, records } = await readWhole(log);
  const state = StateIndex.of(records.map((record, index) => ({ index, record }))).at(model, at);
  answer(session, { state, log: { size, root } }, [
    ...summary(state, null),
    faint(`route ${state.route?.digest ?? 'none'}, policy ${state.policy?.digest ?? 'none'}`),
    good(`all ${size} records say so, root ${root}`),
  ]);
}

function summary({ model, at, killedBy, releases }: StateAt, policy: number | null): string[] {
  const killed =
    killedBy.length === 0 ? '' : bad(`: killed by ${killedBy.map(({ digest }) => digest.slice(0, 12)).join(', ')}`);
  return [
    heading(`${model} at ${at}`) + killed,
    ...(policy === null ? [] : [`under policy ${policy}`]),
    ...releases.map(({ version, release, lastChange }) =>
      plain(`${version.padEnd(10)} ${lastChange.padEnd(20)} ${release?.digest ?? ''}`),
    ),
  ];
}

function described({ route, releases }: Served): string[] {
  if (route === null) return ['it had no route: nobody was served'];
  return [`route: revision ${route.revision}, ${route.change}, of ${route.issuedAt}`, ...releases.flatMap(release)];
}

function release({ version, weight, command, files, config, dependencies, approved }: ServedRelease): string[] {
  return [
    heading(`${String(weight).padStart(3)} %  ${version}`),
    plain(`  served by ${command.join(' ')}`),
    ...files.map(({ component, version: of, path, sha256 }) => plain(`  ${sha256}  ${path}  (${component} ${of})`)),
    ...Object.entries(config).map(([path, value]) => plain(`  config ${path} = ${value}`)),
    ...Object.entries(dependencies).map(([name, of]) => plain(`  package ${name} ${of}`)),
    ...approved.map(({ state, part, says }) => `  ${state === 'holds' ? good('✔') : bad('✘')} ${part} ${plain(says)}`),
  ];
}
