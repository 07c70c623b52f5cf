import type { Evidence } from './compression.js';
import type { Digest } from './digest.js';
import type { ReleaseName } from './names.js';
import type { Parent } from './parent.js';

/** What the documents of a release say of what it was made from, whatever they are called and whatever part they are of. */
export interface StatedLineage {
  /** Names of models, as they stand there: `base_model: org/name`. */
  readonly bases: readonly Stated[];
  /** Settings that only compressed models have. */
  readonly compressed: readonly Stated[];
}

export interface Stated {
  readonly file: string;
  readonly setting: string;
  readonly says: string;
}

/** A release whose tensors another one has in a smaller form. */
export interface Ancestor extends ReleaseName {
  readonly release: Digest;
  readonly evidence: Evidence;
}

/**
 * Why a declared parent is not evidently the parent; `null` where it is. Tensors say it before documents do; where neither
 * says anything, it must be a release of the same model.
 */
export function lineageFlaw(
  { model }: Pick<ReleaseName, 'model'>,
  parent: Parent,
  ancestors: readonly Ancestor[],
  { bases }: StatedLineage,
): string | null {
  const declared = `it declares ${parent.model} ${parent.version} as its parent`;
  const measured = ancestors.filter(({ evidence }) => evidence.isMeasured);
  // What could not be compared may be anything, once something else was found alike.
  const known = measured.length > 0 ? measured : ancestors;
  const [first] = known;
  if (first !== undefined)
    return known.some(({ release }) => release === parent.release) ? null : `${declared}, but ${first.evidence.says}`;
  const other = bases.find(({ says }) => !isNameOf(says, parent) && !isNameOf(says, { model }));
  if (other !== undefined) return `${declared}, but ${other.file} says ${other.setting}: ${other.says}`;
  if (parent.model === model || bases.some(({ says }) => isNameOf(says, parent))) return null;
  return `${declared}, and nothing in it says so: name it as base_model in its configuration or model card`;
}

/** Whether a name of a model, with or without its organisation and version, is that of this one. */
export function isNameOf(
  text: string,
  { model, version }: { readonly model: string; readonly version?: string },
): boolean {
  const [name = '', said] = (text.split('/').at(-1) ?? '').split('@');
  const plain = name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
  return plain === model && (said === undefined || version === undefined || said === version);
}
