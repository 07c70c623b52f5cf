import { isDigest, type Digest } from './digest.js';
import { parseReleaseText, type ReleaseName } from './names.js';
import type { BuildDependency, ProvenancePredicate } from './statements.js';

/** A release that a provenance names among what went into another one. */
export interface NamedRelease extends ReleaseName {
  readonly release: Digest;
}

/** What it is named as, by `annotations.kind`. */
export type ReleaseKind = 'parent-release' | 'base-release' | 'model-release';

export function releaseDependency(
  kind: ReleaseKind,
  { model, version, release }: NamedRelease,
  annotations: Readonly<Record<string, string>> = {},
): BuildDependency {
  return { name: `${model}@${version}`, digest: { sha256: release }, annotations: { kind, ...annotations } };
}

export function dependenciesNamed(
  { buildDefinition }: ProvenancePredicate,
  kind: ReleaseKind,
): readonly BuildDependency[] {
  return buildDefinition.resolvedDependencies.filter(({ annotations }) => annotations?.['kind'] === kind);
}

/** `null` where it is not `<model>@<version>` with the release digest as SHA-256. */
export function namedRelease({ name, digest }: BuildDependency): NamedRelease | null {
  const parsed = parseReleaseText(name ?? '');
  const release = digest?.['sha256'];
  return parsed === null || release === undefined || !isDigest(release) ? null : { ...parsed, release };
}
