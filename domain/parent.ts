import { isDigest, type Digest } from './digest.js';
import { parseReleaseText, type ReleaseName } from './names.js';
import type { BuildDependency, ProvenancePredicate } from './statements.js';

/** How a release can be a smaller form of another one. */
export const COMPRESSIONS = ['quantised', 'pruned', 'distilled'] as const;
export type Compression = (typeof COMPRESSIONS)[number];

/** The release that another one is a smaller form of, as its producer declares it. */
export interface Parent extends ReleaseName {
  readonly release: Digest;
  readonly how: Compression;
}

const KIND = 'parent-release';

/** How a test result names that of the parent, which it is linked to. */
export const PARENT_RESULT = 'test result of the parent';

/** The declaration, as a dependency of the build. */
export function parentDependency({ model, version, release, how }: Parent): BuildDependency {
  return { name: `${model}@${version}`, digest: { sha256: release }, annotations: { kind: KIND, how } };
}

/** The parent that a provenance names; `null` where it names none. A flawed one was refused before. */
export function parentOf(provenance: ProvenancePredicate): Parent | null {
  const [only] = declared(provenance);
  return only === undefined ? null : read(only);
}

/** What is wrong with how a provenance names a parent; `null` where nothing is. */
export function flawInParent(provenance: ProvenancePredicate): string | null {
  const found = declared(provenance);
  if (found.length > 1) return 'names two releases that this one is a smaller form of: there can be one';
  if (found.every((each) => read(each) !== null)) return null;
  return `names a ${KIND} that is not <model>@<version> with the release digest as SHA-256, and how: ${COMPRESSIONS.join(', ')}`;
}

function declared({ buildDefinition }: ProvenancePredicate): readonly BuildDependency[] {
  return buildDefinition.resolvedDependencies.filter(({ annotations }) => annotations?.['kind'] === KIND);
}

function read({ name, digest, annotations }: BuildDependency): Parent | null {
  const parsed = parseReleaseText(name ?? '');
  const release = digest?.['sha256'];
  const how = COMPRESSIONS.find((each) => each === annotations?.['how']);
  if (parsed === null || release === undefined || !isDigest(release) || how === undefined) return null;
  return { ...parsed, release, how };
}
