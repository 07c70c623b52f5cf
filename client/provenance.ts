import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import type { OpenBase } from '../adapters/base.js';
import { checksumOf } from '../adapters/source/checksum.js';
import type { PackedRelease } from '../adapters/source/pack.js';
import { baseDependency } from '../domain/base.js';
import { CustodyError } from '../domain/errors.js';
import { MANIFEST_FILE } from '../domain/manifest.js';
import { COMPRESSIONS, parentDependency, type Parent } from '../domain/parent.js';
import { promptsDependency, type PromptSource } from '../domain/prompts.js';
import { dependency, flawInBuild, type DependencyKind } from '../domain/provenance.js';
import type { BuildDependency, ProvenancePredicate } from '../domain/statements.js';
import { isoTime } from '../domain/time.js';
import { quote } from '../formats/json.js';
import type { SigningKey } from '../formats/keys.js';
import { parseManifest } from '../formats/manifest.js';
import { locksOf, readProvenance } from '../formats/provenance.js';
import { sha256 } from '../formats/sha256.js';
import { signStatement } from '../formats/statements.js';
import { replaceFile } from './files.js';

/** Where the provenance of a release lies when nobody says otherwise: beside the signature of its producer. */
export function provenanceBeside(bundle: string): string {
  return `${bundle.replace(/(\.sig)?\.json$/, '')}.provenance.json`;
}

export interface Origin {
  /** Files and folders, hashed now. */
  readonly data: readonly string[];
  readonly code: readonly string[];
  /** The release that this one is a smaller form of. */
  readonly parent: Parent | null;
  /** The release in custody that this one is built on. */
  readonly base: OpenBase | null;
  /** The commit that its prompts were taken from. */
  readonly prompts: PromptSource | null;
  /** What the builder itself has said, if it did. */
  readonly statement: string | null;
}

/**
 * How a release came to be: as its builder says, or else as whoever packs it declares, with the training data, code and locks
 * of dependencies hashed now. PROVENANCE_INVALID unless intake would take it.
 */
export async function describeOrigin(packed: PackedRelease, origin: Origin): Promise<ProvenancePredicate> {
  const startedOn = isoTime(Date.now());
  const hashed = [...(await hash('training-data', origin.data)), ...(await hash('training-code', origin.code))];
  const said =
    origin.statement === null
      ? declared(packed, startedOn)
      : readProvenance(readFileSync(origin.statement), origin.statement, packed.release);
  const { buildDefinition } = said;
  const parent = origin.parent === null ? [] : [parentDependency(origin.parent)];
  const prompts = origin.prompts === null ? [] : [promptsDependency(origin.prompts)];
  const own = [...buildDefinition.resolvedDependencies, ...hashed, ...parent, ...prompts];
  const resolvedDependencies = [...own, ...(origin.base === null ? [] : inherited(origin.base, origin))];
  const predicate = { ...said, buildDefinition: { ...buildDefinition, resolvedDependencies } };
  const flaw = flawInBuild(predicate, isoTime(Date.now()));
  if (flaw !== null) throw new CustodyError(flaw.code, flaw.reason);
  return predicate;
}

/** What went into the base went into this one, too; unless another parent is declared, it is a smaller form of the same. */
function inherited({ release }: OpenBase, { parent, prompts }: Origin): readonly BuildDependency[] {
  const kinds: readonly DependencyKind[] = [
    ...(['training-data', 'training-code', 'hyperparameters'] as const),
    ...(parent === null ? (['parent-release'] as const) : []),
    ...(prompts === null ? (['prompts'] as const) : []),
  ];
  const { resolvedDependencies } = release.provenance.predicate.buildDefinition;
  const kept = resolvedDependencies.filter(({ annotations }) => kinds.some((kind) => kind === annotations?.['kind']));
  return [...kept, baseDependency(release)];
}

/** The release in a folder, by its manifest, as what another one was made smaller from. */
export function parentIn(folder: string, how: string): Parent {
  const known = COMPRESSIONS.find((each) => each === how);
  if (known === undefined)
    throw new CustodyError('USAGE', `--compression is ${quote(how)}, expected one of ${COMPRESSIONS.join(', ')}`);
  const text = readFileSync(join(folder, MANIFEST_FILE));
  const { model, version } = parseManifest(text);
  return { model, version, release: sha256(text), how: known };
}

function declared({ manifest, release }: PackedRelease, startedOn: string): ProvenancePredicate {
  return {
    buildDefinition: {
      buildType: 'urn:custody:build:declared:v1',
      externalParameters: { model: manifest.model, version: manifest.version, release },
      resolvedDependencies: locksOf(manifest),
    },
    runDetails: {
      builder: { id: 'urn:custody:builder:pack' },
      metadata: { invocationId: randomUUID(), startedOn, finishedOn: isoTime(Date.now()) },
    },
  };
}

async function hash(kind: DependencyKind, paths: readonly string[]): Promise<BuildDependency[]> {
  const found: BuildDependency[] = [];
  for (const path of paths) found.push(dependency(kind, basename(resolve(path)), await checksumOf(resolve(path))));
  return found;
}

/** Signs it as the release's producer and writes it. */
export function writeProvenance(
  file: string,
  { manifest, release }: Pick<PackedRelease, 'manifest' | 'release'>,
  predicate: ProvenancePredicate,
  key: SigningKey,
): void {
  const subject = { name: `${manifest.model} ${manifest.version}`, sha256: release };
  replaceFile(file, JSON.stringify(signStatement('provenance', subject, predicate, [key])));
}
