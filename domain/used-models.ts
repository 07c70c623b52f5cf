import { dependenciesNamed, namedRelease, releaseDependency, type NamedRelease } from './named-release.js';
import type { BuildDependency, ProvenancePredicate } from './statements.js';

const KIND = 'model-release';

/** A release that a run has used: one that it went on from, or that judged what it made. */
export function modelDependency(model: NamedRelease, place: string): BuildDependency {
  return releaseDependency(KIND, model, { place });
}

/** The releases that a provenance says were used to make another one. A flawed one was refused before. */
export function modelsOf(provenance: ProvenancePredicate): readonly NamedRelease[] {
  return dependenciesNamed(provenance, KIND).flatMap((each) => namedRelease(each) ?? []);
}

/** What is wrong with how a provenance names them; `null` where nothing is. */
export function flawInModels(provenance: ProvenancePredicate): string | null {
  const found = dependenciesNamed(provenance, KIND);
  if (found.length > MAX_MODELS) return `names ${found.length} models that it was made with: at most ${MAX_MODELS}`;
  if (found.every((each) => namedRelease(each) !== null)) return null;
  return `names a ${KIND} that is not <model>@<version> with the release digest as SHA-256`;
}

export const MAX_MODELS = 16;
