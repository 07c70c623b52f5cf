import type { Manifest, ManifestFile } from './manifest.js';
import { dependenciesNamed, namedRelease, releaseDependency, type NamedRelease } from './named-release.js';
import type { BuildDependency, ProvenancePredicate } from './statements.js';

const KIND = 'base-release';

/** The declaration, as a dependency of the build. */
export function baseDependency(base: NamedRelease): BuildDependency {
  return releaseDependency(KIND, base);
}

/** The release in custody whose unchanged files this one takes over; `null` where its producer names none. */
export function baseOf(provenance: ProvenancePredicate): NamedRelease | null {
  const [only] = dependenciesNamed(provenance, KIND);
  return only === undefined ? null : namedRelease(only);
}

/** What is wrong with how a provenance names a base; `null` where nothing is. */
export function flawInBase(provenance: ProvenancePredicate): string | null {
  const found = dependenciesNamed(provenance, KIND);
  if (found.length > 1) return 'names two releases that this one builds on: there can be one';
  if (found.every((each) => namedRelease(each) !== null)) return null;
  return `names a ${KIND} that is not <model>@<version> with the release digest as SHA-256`;
}

/** The files that a release has of its base: the same path, size and digest. */
export function takenOver({ files }: Manifest, base: Manifest): readonly ManifestFile[] {
  const own = new Map(base.files.map((file) => [file.path, file]));
  return files.filter(({ path, size, sha256 }) => own.get(path)?.sha256 === sha256 && own.get(path)?.size === size);
}
