import type { Rules } from './authorise.js';
import { isCommit } from './code-review.js';
import { isDigest, type Digest } from './digest.js';
import type { ErrorCode } from './errors.js';
import { holdsRole } from './policy.js';
import type { BuildDependency, ProvenancePredicate, Verified } from './statements.js';
import { MAX_SKEW_MS } from './time.js';
import { flawInBase } from './base.js';
import { flawInParent } from './parent.js';
import { flawInPrompts } from './prompts.js';
import { flawInModels } from './used-models.js';

/** What a dependency of a build is to Custody, in its `annotations.kind`. Others may stand there, too, and mean nothing. */
export const DEPENDENCY_KINDS = [
  'training-data',
  'training-code',
  'hyperparameters',
  'dependency-lock',
  'parent-release',
  'base-release',
  'model-release',
  'prompts',
  'checkpoint',
] as const;
export type DependencyKind = (typeof DEPENDENCY_KINDS)[number];

/** `sha256` of a file's bytes; `dirHash`, as in-toto defines it, of a folder: SHA-256, too. */
export type Checksum = { readonly sha256: Digest } | { readonly dirHash: Digest };

/** Of a stage's output, which is no release. */
export const STAGE_BUILD = 'urn:custody:build:training-stage:v1';
/** Of what a training zone has made itself. */
export const TRAINING_BUILD = 'urn:custody:build:training:v1';
export const trainingBuilder = (environment: string): string => `urn:custody:builder:${environment}:training`;

interface Dependency {
  readonly name: string;
  readonly sha256: Digest | null;
  readonly statement?: Digest;
  readonly commit?: string;
  readonly reviewers?: readonly string[];
  readonly reviews?: readonly Digest[];
}

export function dependency(kind: DependencyKind, name: string, digest: Checksum): BuildDependency {
  return { name, digest, annotations: { kind } };
}

/**
 * The dependencies of one kind; `sha256` is `null` for one that names no SHA-256, of a file or a folder. `statement`: who vouches
 * for it; `commit`, `reviewers`, `reviews`: of code that was reviewed, who did and the digests of what they said.
 */
export function dependenciesOf({ buildDefinition }: ProvenancePredicate, kind: DependencyKind): readonly Dependency[] {
  return buildDefinition.resolvedDependencies
    .filter(({ annotations }) => annotations?.['kind'] === kind)
    .map(({ name, uri, digest, annotations }) => {
      const found = digest?.['sha256'] ?? digest?.['dirHash'];
      const said = annotations?.['statement'];
      const commit = digest?.['gitCommit'];
      const reviewers = texts(annotations?.['reviewers']);
      return {
        name: name ?? uri ?? '',
        sha256: found !== undefined && isDigest(found) ? found : null,
        ...(typeof said === 'string' && isDigest(said) ? { statement: said } : {}),
        ...(commit !== undefined && isCommit(commit) ? { commit } : {}),
        ...(reviewers.length > 0 ? { reviewers, reviews: texts(annotations?.['reviews']).filter(isDigest) } : {}),
      };
    });
}

const texts = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((each): each is string => typeof each === 'string') : [];

export interface Flaw {
  readonly code: ErrorCode;
  readonly reason: string;
}

const flaw = (code: ErrorCode, reason: string): Flaw => ({ code, reason: `the provenance ${reason}` });

/**
 * What speaks against a provenance statement for these bytes; `null` if nothing does. It is about them, by the authority that
 * signed them as their producer, names every training-data set with its SHA-256, at least one, and when the build ran.
 */
export function flawInProvenance(
  about: { readonly release: Digest; readonly producer: string },
  { subject, signers, predicate }: Verified<ProvenancePredicate>,
  { gate, newest, now }: Pick<Rules, 'gate' | 'newest' | 'now'>,
): Flaw | null {
  if (subject !== about.release) return flaw('REPLAYED', `is about another release (${subject})`);
  if (!signers.includes(about.producer) || !holdsRole(gate, newest, about.producer, 'producer'))
    return flaw('NOT_AUTHORISED', `is signed by ${signers.join(', ')}, not by the release's producer`);
  return flawInBuild(predicate, now);
}

/** The same, of what it says alone. */
export function flawInBuild(predicate: ProvenancePredicate, now: string): Flaw | null {
  const data = dependenciesOf(predicate, 'training-data');
  if (data.length === 0)
    return flaw('PROVENANCE_INVALID', 'names no training data: mark each set with `annotations.kind` "training-data"');
  const unnamed = data.find(({ sha256 }) => sha256 === null);
  if (unnamed !== undefined)
    return flaw('PROVENANCE_INVALID', `names the training data ${unnamed.name} without a SHA-256`);
  const unclear =
    flawInParent(predicate) ?? flawInBase(predicate) ?? flawInPrompts(predicate) ?? flawInModels(predicate);
  if (unclear !== null) return flaw('PROVENANCE_INVALID', unclear);
  const { startedOn, finishedOn } = predicate.runDetails.metadata;
  if (Date.parse(finishedOn) < Date.parse(startedOn))
    return flaw('PROVENANCE_INVALID', `says the build ended at ${finishedOn}, before it began at ${startedOn}`);
  if (Date.parse(finishedOn) > Date.parse(now) + MAX_SKEW_MS)
    return flaw('PROVENANCE_INVALID', `says the build ended at ${finishedOn}, which is to come`);
  return null;
}
