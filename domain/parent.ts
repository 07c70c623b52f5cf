import { dependenciesNamed, namedRelease, releaseDependency, type NamedRelease } from './named-release.js';
import type { BuildDependency, ProvenancePredicate } from './statements.js';

/** How a release can be a smaller form of another one. */
export const COMPRESSIONS = ['quantised', 'pruned', 'distilled'] as const;
export type Compression = (typeof COMPRESSIONS)[number];

/** The release that another one is a smaller form of, as its producer declares it. */
export interface Parent extends NamedRelease {
  readonly how: Compression;
}

const KIND = 'parent-release';

/** How a test result names that of the parent, which it is linked to. */
export const PARENT_RESULT = 'test result of the parent';

/** The declaration, as a dependency of the build. */
export function parentDependency(parent: Parent): BuildDependency {
  return releaseDependency(KIND, parent, { how: parent.how });
}

/** The parent that a provenance names; `null` where it names none. A flawed one was refused before. */
export function parentOf(provenance: ProvenancePredicate): Parent | null {
  const [only] = dependenciesNamed(provenance, KIND);
  return only === undefined ? null : read(only);
}

/** What is wrong with how a provenance names a parent; `null` where nothing is. */
export function flawInParent(provenance: ProvenancePredicate): string | null {
  const found = dependenciesNamed(provenance, KIND);
  if (found.length > 1) return 'names two releases that this one is a smaller form of: there can be one';
  if (found.every((each) => read(each) !== null)) return null;
  return `names a ${KIND} that is not <model>@<version> with the release digest as SHA-256, and how: ${COMPRESSIONS.join(', ')}`;
}

function read(dependency: BuildDependency): Parent | null {
  const named = namedRelease(dependency);
  const how = COMPRESSIONS.find((each) => each === dependency.annotations?.['how']);
  return named === null || how === undefined ? null : { ...named, how };
}
