import type { DestructionPredicate } from '../domain/ending-predicates.js';
import type { ReleaseName } from '../domain/names.js';
import { dependenciesOf } from '../domain/provenance.js';
import { progressOf } from './dossier.js';
import type { Records } from './records.js';

/** Copies of a release that its records tell of, outside Custody: whoever made them may have kept them. */
export async function residualOf(records: Records, name: ReleaseName): Promise<DestructionPredicate['residual']> {
  const { admission, ingested } = await progressOf(records, name);
  if (admission === undefined || ingested === undefined) return [];
  const { action } = (await records.get('request', admission.request)).verified.predicate;
  const source =
    action.kind === 'release'
      ? [{ what: 'what was ingested, by its producer, whose it is', where: action.source }]
      : [];
  const provenance = (await records.get('provenance', ingested.provenance)).verified.predicate;
  const checkpoints = dependenciesOf(provenance, 'checkpoint').map((made) => ({
    ...{ what: 'the checkpoint it was made from, in the training zone', where: made.name },
  }));
  return [...source, ...checkpoints];
}
