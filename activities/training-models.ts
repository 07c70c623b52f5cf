import { openUsed } from '../adapters/base.js';
import type { Records } from '../adapters/records.js';
import type { SourceRelease } from '../adapters/source/folder.js';
import { modelsOf as modelsIn, type Recipe } from '../adapters/training/recipe.js';
import type { Trainer } from '../adapters/training/trainer.js';
import type { NamedRelease } from '../domain/named-release.js';
import { storeKeys } from '../domain/store-keys.js';
import type { ProvenancePredicate } from '../domain/statements.js';
import { modelsOf } from '../domain/used-models.js';
import { named } from './repositories.js';

/** A release in custody that a run is made with, and where its bytes are said to be: they are checked as they are copied. */
export interface UsedModel extends NamedRelease {
  /** The name of its folder in the run. */
  readonly place: string;
  readonly source: SourceRelease;
}

/**
 * The releases that a recipe names, each checked as for a load by the rules of now: approved, signed, not revoked, killed or on
 * its way out. No key is opened for it: the bytes are those of a folder of this host. POLICY_REFUSED where there is none.
 */
export async function modelsFor(records: Records, trainer: Trainer, recipe: Recipe): Promise<readonly UsedModel[]> {
  const found: UsedModel[] = [];
  for (const model of modelsIn(recipe)) {
    const name = `${model.model}@${model.version}`;
    const folder = named(trainer.models ?? {}, name, 'folder of the release');
    const { manifest } = await openUsed(records, model, titleOf(model));
    const text = await records.getBytes(model.release, storeKeys.manifest);
    found.push({ ...model, source: { folder, manifest, text } });
  }
  return found;
}

/** Intake's part: what a release says that it was made with, whoever has made it, must be in custody, and in good standing. */
export async function demandModels(records: Records, provenance: ProvenancePredicate): Promise<void> {
  for (const model of modelsOf(provenance)) await openUsed(records, model, titleOf(model));
}

const titleOf = ({ model, version }: NamedRelease): string => `the model ${model} ${version} that it is made with`;
