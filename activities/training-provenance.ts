import { checksumOf } from '../adapters/source/checksum.js';
import type { PackedRelease } from '../adapters/source/pack.js';
import type { Ran } from '../adapters/training/run.js';
import { trainingId } from '../domain/names.js';
import { promptsDependency } from '../domain/prompts.js';
import { dependency, TRAINING_BUILD, trainingBuilder } from '../domain/provenance.js';
import type { BuildDependency, ProvenancePredicate, RequestPredicate, Verified } from '../domain/statements.js';
import { isoTime } from '../domain/time.js';
import { canonicalBytes } from '../formats/jcs.js';
import { locksOf } from '../formats/provenance.js';
import { sha256 } from '../formats/sha256.js';
import type { TrainAction, TrainingInputs } from './training-inputs.js';

export type TrainRequest = Verified<RequestPredicate> & {
  readonly predicate: { readonly action: TrainAction; readonly version: string };
};

export interface Made extends Ran {
  readonly environment: string;
  readonly model: string;
  readonly run: string;
  readonly request: TrainRequest;
  readonly inputs: TrainingInputs;
  /** What of this host it ran with. */
  readonly host: readonly BuildDependency[];
  readonly packed: PackedRelease;
  readonly startedOn: string;
}

/** How a release was trained, as SLSA says it: on which data, with whose code, in what, and who agreed to that. */
export function provenanceOf(made: Made): ProvenancePredicate {
  const { environment, model, run, request, inputs, host, packed, sandbox, observed, network, startedOn } = made;
  const { trainer: name, hyperparameters } = request.predicate.action;
  const { recipe, trainer, data } = inputs;
  const described = sha256(
    canonicalBytes({
      ...{ command: recipe.command, limits: trainer.limits, data: data.statement.subject },
      ...(trainer.destinations === undefined ? {} : { destinations: trainer.destinations }),
    }),
  );
  return {
    buildDefinition: {
      buildType: TRAINING_BUILD,
      externalParameters: { model, version: packed.manifest.version, run, trainer: name, request: request.digest },
      internalParameters: { sandbox, observed, ...(network === undefined ? {} : { network }) },
      resolvedDependencies: [
        dataDependency(inputs),
        codeDependency(inputs),
        ...promptsOf(inputs),
        dependency('hyperparameters', 'hyperparameters', { sha256: hyperparameters }),
        dependency('training-code', 'trainer', { sha256: described }),
        ...host,
        ...locksOf(packed.manifest),
      ],
    },
    runDetails: {
      builder: { id: trainingBuilder(environment) },
      metadata: { invocationId: trainingId(model, run), startedOn, finishedOn: isoTime(Date.now()) },
    },
  };
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
