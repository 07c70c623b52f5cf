import { registeredSource, type DataSource } from '../adapters/data-sources.js';
import type { Records } from '../adapters/records.js';
import type { ReviewedCode } from '../adapters/reviewed-code.js';
import { hyperparametersOf, recipeOf, type Recipe } from '../adapters/training/recipe.js';
import type { Trainer } from '../adapters/training/trainer.js';
import type { Digest } from '../domain/digest.js';
import { unlisted } from '../domain/destinations.js';
import { CustodyError } from '../domain/errors.js';
import type { RequestPredicate } from '../domain/statements.js';
import { modelsFor, type UsedModel } from './training-models.js';
import { codeOf, named, type Repositories } from './repositories.js';

export interface TrainingInputs extends ReviewedCode {
  readonly trainer: Trainer;
  readonly recipe: Recipe;
  readonly hyperparameters: Buffer;
  readonly data: DataSource;
  readonly models: readonly UsedModel[];
}

export interface Sources extends Repositories {
  /** What may be asked for, by name. */
  readonly trainers: Readonly<Record<string, Trainer>>;
}

/** One that says on which data, and with which code. */
export type TrainAction = Required<Extract<RequestPredicate['action'], { kind: 'train' }>>;

/**
 * Everything that a run is made of, each verified by the rules of now: data by their chain of custody, code by its reviews,
 * hyperparameters as part of the code. `work`: an empty folder of the caller's. POLICY_REFUSED, NOT_AUTHORISED, CUSTODY_BROKEN,
 * INPUT_* say what is wrong.
 */
export async function inputsOf(
  sources: Sources,
  action: TrainAction,
  work: string,
  signal?: AbortSignal,
): Promise<TrainingInputs> {
  const { records, trainers } = sources;
  const trainer = named(trainers, action.trainer, 'trainer');
  await demandListed(records, trainer);
  const data = await dataFor(records, trainer, action.data);
  const reviewed = await codeOf(sources, { repository: trainer.repository, commit: action.commit }, { work, signal });
  const recipe = recipeOf(reviewed.tree, trainer.recipe);
  const { bytes } = hyperparametersOf(reviewed.tree, recipe, action.hyperparameters);
  const models = await modelsFor(records, trainer, recipe);
  return { ...reviewed, trainer, recipe, hyperparameters: bytes, data, models };
}

/** The newest policy's, since an older one that a request could name may have listed more. */
async function demandListed(records: Records, { destinations = [] }: Trainer): Promise<void> {
  const { newest } = await records.policies();
  const found = unlisted(destinations, newest.training.destinations);
  if (found === null) return;
  throw new CustodyError(
    'POLICY_REFUSED',
    `the trainer wants to reach ${found}, which is not in training.destinations`,
  );
}

/** What the request names, if it is registered, is trusted still, and is what this trainer is for. */
async function dataFor(records: Records, { data }: Trainer, statement: Digest): Promise<DataSource> {
  const found = await registeredSource(records, statement);
  const { source } = found.statement.predicate;
  if (source === data.source) return found;
  throw new CustodyError('POLICY_REFUSED', `the request is for the data ${source}, the trainer for ${data.source}`);
}
