import { checksumOf } from '../adapters/source/checksum.js';
import type { PackedRelease } from '../adapters/source/pack.js';
import type { Ran } from '../adapters/training/run.js';
import type { Digest } from '../domain/digest.js';
import { trainingId } from '../domain/names.js';
import { promptsDependency } from '../domain/prompts.js';
import { dependency, STAGE_BUILD, TRAINING_BUILD, trainingBuilder } from '../domain/provenance.js';
import type { BuildDependency, ProvenancePredicate, RequestPredicate, Verified } from '../domain/statements.js';
import { isoTime } from '../domain/time.js';
import { modelDependency } from '../domain/used-models.js';
import { canonicalBytes } from '../formats/jcs.js';
import { locksOf } from '../formats/provenance.js';
import { sha256 } from '../formats/sha256.js';
import type { TrainAction, TrainingInputs } from './training-inputs.js';

export type TrainRequest = Verified<RequestPredicate> & {
  readonly predicate: { readonly action: TrainAction; readonly version: string };
};

/** What a run is, and is made of. */
export interface Making {
  readonly environment: string;
  readonly model: string;
  readonly run: string;
  readonly request: TrainRequest;
  readonly inputs: TrainingInputs;
  /** What of this host it ran with. */
  readonly host: readonly BuildDependency[];
}

/** How a stage of it went, and on what of the stage before it built. */
export interface Went {
  readonly ran: Ran;
  readonly before: Checkpoint | null;
  readonly startedOn: string;
}

/** What a stage has left, once it was verified. */
export interface Checkpoint {
  readonly stage: string;
  /** Of the list of its files. */
  readonly files: Digest;
  readonly statement: Digest;
}

export type Made = Making & Went & { readonly packed: PackedRelease };

/** How a release was trained, as SLSA says it: on which data, with whose code, in what, and who agreed to that. */
export function provenanceOf(made: Made): ProvenancePredicate {
  const { model, run, packed, request, before } = made;
  const { version } = packed.manifest;
  const about = { model, version, run, trainer: request.predicate.action.trainer, request: request.digest };
  return built(made, made, TRAINING_BUILD, about, [...inputsBy(made, before), ...locksOf(packed.manifest)]);
}

/** The same of what a stage has left for the next one. */
export function stageProvenance(making: Making, stage: string, went: Went): ProvenancePredicate {
  return built(making, went, STAGE_BUILD, stageParameters(making, stage), inputsBy(making, went.before));
}

/** Which stage of which run. */
export function stageParameters({ model, run, request }: Making, stage: string): Readonly<Record<string, string>> {
  return { model, run, stage, request: request.digest };
}

/** Everything that a stage is made of. */
export function inputsBy(making: Making, before: Checkpoint | null): readonly BuildDependency[] {
  const { inputs, request, host } = making;
  const { recipe, trainer, data, models } = inputs;
  const { command, stages } = recipe;
  const described = sha256(
    canonicalBytes({
      ...(command === undefined ? { stages } : { command }),
      ...{ limits: trainer.limits, data: data.statement.subject },
      ...(trainer.destinations === undefined ? {} : { destinations: trainer.destinations }),
    }),
  );
  return [
    dataDependency(inputs),
    codeDependency(inputs),
    ...promptsOf(inputs),
    dependency('hyperparameters', 'hyperparameters', { sha256: request.predicate.action.hyperparameters }),
    dependency('training-code', 'trainer', { sha256: described }),
    ...models.map((model) => modelDependency(model, model.place)),
    ...host,
    ...(before === null ? [] : [checkpointDependency(before)]),
  ];
}

const SAID_ANEW = ['reviewers', 'reviews'];

/** Inputs without who reviewed them: the very same may be reviewed by more people meanwhile, and seen anew to be. */
export function apartFromReviews(inputs: readonly BuildDependency[]): readonly BuildDependency[] {
  return inputs.map(({ annotations = {}, ...input }) => ({
    ...input,
    annotations: Object.fromEntries(Object.entries(annotations).filter(([name]) => !SAID_ANEW.includes(name))),
  }));
}

function built(
  { environment, model, run }: Making,
  { ran, startedOn }: Went,
  buildType: string,
  externalParameters: Readonly<Record<string, unknown>>,
  resolvedDependencies: readonly BuildDependency[],
): ProvenancePredicate {
  const { sandbox, observed, network } = ran;
  const internalParameters = { sandbox, observed, ...(network === undefined ? {} : { network }) };
  return {
    buildDefinition: {
      buildType,
      externalParameters,
      internalParameters,
      resolvedDependencies: [...resolvedDependencies],
    },
    runDetails: {
      builder: { id: trainingBuilder(environment) },
      metadata: { invocationId: trainingId(model, run), startedOn, finishedOn: isoTime(Date.now()) },
    },
  };
}

function checkpointDependency({ stage, files, statement }: Checkpoint): BuildDependency {
  const { annotations, ...named } = dependency('checkpoint', stage, { dirHash: files });
  return { ...named, annotations: { ...annotations, statement } };
}

/** What runs besides the code, by what the mounts hold: a runtime, its packages. */
export async function hostDependencies({ trainer }: TrainingInputs): Promise<readonly BuildDependency[]> {
  const found: BuildDependency[] = [];
  for (const { source, target } of trainer.mounts)
    found.push(dependency('training-code', target, await checksumOf(source)));
  return found;
}

/** The data by what the list of their files hashes to, with the statement that vouches for them. */
function dataDependency({ data: { statement } }: TrainingInputs): BuildDependency {
  const { subject, digest, predicate } = statement;
  const { annotations, ...named } = dependency('training-data', predicate.source, { dirHash: subject });
  return { ...named, annotations: { ...annotations, statement: digest, license: predicate.licence } };
}

/** Prompts that the run has put into the release from its own code: intake looks them up there. */
function promptsOf({
  code: { repository, commit },
  recipe: { prompts: folder },
}: TrainingInputs): readonly BuildDependency[] {
  return folder === undefined ? [] : [promptsDependency({ repository, commit, folder })];
}

/** The code by its commit and by what the list of its files hashes to, with who reviewed it. */
function codeDependency({ code, reviewers, reviews }: TrainingInputs): BuildDependency {
  const { repository, commit, branch, files } = code;
  const { annotations } = dependency('training-code', repository, { dirHash: files });
  return {
    name: repository,
    digest: { gitCommit: commit, dirHash: files },
    annotations: { ...annotations, branch, reviewers, reviews: reviews.map(({ verified }) => verified.digest) },
  };
}
