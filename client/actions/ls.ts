import { progressOf } from '../../adapters/dossier.js';
import { createGatewayClient } from '../../adapters/gateway/client.js';
import { releaseNames } from '../../adapters/inventory.js';
import type { Digest } from '../../domain/digest.js';
import type { GatewayState } from '../../domain/gateway.js';
import { assertModelName, parseReleaseName, type ReleaseName } from '../../domain/names.js';
import { exitCodeFor, failuresOf, type RecordLine } from '../../domain/record.js';
import { openReading, type Reading } from '../connect.js';
import { answer, bad, faint, good, plain, talk } from '../output.js';
import { examine } from '../record/record.js';
import type { Session } from '../session.js';

/** A release: where it is deployed, and where everything in it comes from, as its record says, checked just now. */
interface Listed extends ReleaseName {
  readonly release: Digest | null;
  /** Percent of the callers, of each gateway that has it in its route; 0 while it is kept warm. */
  readonly weights: readonly number[];
  readonly origin: readonly RecordLine[];
  readonly artifacts: readonly Artifact[];
  /** What of its whole record does not hold. */
  readonly failing: ReturnType<typeof failuresOf>;
}

interface Artifact {
  readonly component: string;
  readonly kind: string;
  readonly version: string;
  readonly path: string;
  readonly sha256: Digest;
}

const ORIGIN: ReadonlySet<string> = new Set(['producer', 'provenance', 'created', 'base', 'training-data', 'approval']);

/** What gateways route to, or with `all` every one that was ever admitted. The exit code is that of `custody show`. */
export async function listReleases(
  session: Session,
  model: string | undefined,
  { all = false }: { readonly all?: boolean },
): Promise<void> {
  if (model !== undefined) assertModelName(model);
  const reading = openReading(session.layout);
  const { admin, others } = reading.description.gateway;
  const states = await Promise.all([admin, ...others].map((address) => createGatewayClient(address).state()));
  const names = all ? await releaseNames(reading.records) : routedBy(states);
  const listed: Listed[] = [];
  for (const name of names.filter((each) => model === undefined || each.model === model))
    if (!all || (await isAdmitted(reading, name))) listed.push(await look(reading, name, states));
  answer(session, listed, listed.length === 0 ? ['nothing is deployed'] : listed.flatMap(printed));
  for (const { failing, ...name } of listed)
    for (const { part, failure } of failing)
      talk(`${bad(failure.code)} ${plain(`${name.model}@${name.version}: ${part}: ${failure.reason}`)}`);
  process.exitCode = exitCodeFor(listed.flatMap(({ failing }) => failing));
}

/** A name that nobody was admitted to claim is an object that somebody put there. */
async function isAdmitted({ records }: Reading, name: ReleaseName): Promise<boolean> {
  return (await progressOf(records, name)).admission !== undefined;
}

function routedBy(states: readonly GatewayState[]): readonly ReleaseName[] {
  const routed = states.flatMap(({ models }) =>
    models.flatMap(({ model, serving }) => serving.map(({ version }) => `${model}@${version}`)),
  );
  return [...new Set(routed)].sort().map(parseReleaseName);
}

async function look({ records }: Reading, name: ReleaseName, states: readonly GatewayState[]): Promise<Listed> {
  const exam = await examine(records, name);
  const manifest = exam.shown.manifest?.manifest;
  const sums = new Map(manifest?.files.map(({ path, sha256 }) => [path, sha256]));
  return {
    ...name,
    release: exam.progress.ingested?.release ?? null,
    weights: states.flatMap(({ models }) =>
      models
        .filter(({ model }) => model === name.model)
        .flatMap(({ serving }) =>
          serving.filter(({ version }) => version === name.version).map(({ weight }) => weight),
        ),
    ),
    origin: exam.lines.filter(({ part }) => ORIGIN.has(part)),
    artifacts: (manifest?.components ?? []).flatMap(({ name: component, kind, version, files }) =>
      files.map((path) => ({ component, kind, version, path, sha256: sums.get(path) ?? '' })),
    ),
    failing: failuresOf(exam),
  };
}

function printed({ model, version, release, weights, origin, artifacts, failing }: Listed): string[] {
  const where = weights.length === 0 ? 'not deployed' : weights.map((weight) => `${weight} %`).join(', ');
  const title = `${model}@${version}  ${where}  ${release?.slice(0, 12) ?? ''}`;
  return [
    failing.length === 0 ? good(title) : bad(title),
    ...origin.map(({ part, says }) => `   ${part.padEnd(14)} ${plain(says)}`),
    ...artifacts.map(({ kind, version: of, path, sha256 }) =>
      faint(`   ${plain(kind).padEnd(14)} ${of}  ${plain(path)}  sha256 ${sha256}`),
    ),
  ];
}
