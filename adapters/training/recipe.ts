import { z } from 'zod';
import { isDigest, type Digest } from '../../domain/digest.js';
import { CustodyError } from '../../domain/errors.js';
import { isModelName, parseReleaseText } from '../../domain/names.js';
import type { NamedRelease } from '../../domain/named-release.js';
import { MAX_MODELS } from '../../domain/used-models.js';
import { checkShape, parseJson } from '../../formats/json.js';
import type { CodeFile, CodeTree } from '../git/tree.js';
import { partsOfRelease } from '../source/pack.js';

const command = z.array(z.string().min(1)).min(1);
const name = z.string().refine(isModelName, 'not a name: a-z, 0-9 and dashes');
const stage = z.strictObject({ name, command });
const model = z.strictObject({
  name,
  release: z.string().refine((text) => parseReleaseText(text) !== null, 'not <model>@<version>'),
  /** The release digest: reviewers see which bytes these are. */
  sha256: z.string().refine(isDigest, 'not a SHA-256'),
});

/**
 * How a run goes, as reviewed code says itself. The command sees the commit's files in `/input/code`, `/input/hyperparameters.json`,
 * `/input/data`, and writes the release's files, and nothing else, to `/output/release`. Of stages each but the last writes to
 * `/output/checkpoint` what the next one finds in `/input/checkpoint`.
 */
const shape = z.strictObject({
  command: command.exactOptional(),
  stages: z
    .array(stage)
    .min(2)
    .max(16)
    .refine((all) => new Set(all.map(({ name }) => name)).size === all.length, 'a stage stands there twice')
    .exactOptional(),
  /** The folder of the files that may be asked for, each by its digest. */
  hyperparameters: z.string().min(1).max(1024),
  /** The folder of the commit in which the release's prompts have the names that they have in it; the commit's root is empty. */
  prompts: z.string().max(1024).exactOptional(),
  /** Releases in custody that the run goes on from, or judges with: found in `/input/models/<name>`. */
  models: z
    .array(model)
    .min(1)
    .max(MAX_MODELS)
    .refine((all) => new Set(all.map(({ name }) => name)).size === all.length, 'a name stands there twice')
    .exactOptional(),
  ...partsOfRelease,
});
const schema = shape.refine(({ command: one, stages }) => (one === undefined) !== (stages === undefined), {
  message: 'expected either a command or stages',
  path: ['command'],
});

export type Recipe = z.infer<typeof schema>;
export type Stage = z.infer<typeof stage>;

/** What is run, one after the other. */
export function stagesOf({ command: one = [], stages }: Recipe): readonly Stage[] {
  return stages ?? [{ name: 'release', command: one }];
}

/** Each with the name of its folder. */
export function modelsOf({ models = [] }: Recipe): readonly (NamedRelease & { readonly place: string })[] {
  return models.flatMap(({ name: place, release, sha256 }) => {
    const named = parseReleaseText(release);
    return named === null ? [] : [{ ...named, release: sha256, place }];
  });
}

/** INPUT_MISSING: the commit has no such file. MALFORMED lists what is wrong with it. */
export function recipeOf(tree: CodeTree, path: string): Recipe {
  const what = `${path} of the commit`;
  return checkShape(schema, parseJson(fileOf(tree, path).bytes, what), what);
}

/** The file of hyperparameters that has this digest. POLICY_REFUSED when the commit has none such. */
export function hyperparametersOf({ files }: CodeTree, { hyperparameters }: Recipe, wanted: Digest): CodeFile {
  const folder = `${hyperparameters.replace(/\/$/, '')}/`;
  const found = files.find(({ path, sha256 }) => path.startsWith(folder) && sha256 === wanted);
  if (found !== undefined) return found;
  throw new CustodyError('POLICY_REFUSED', `no file in ${folder} of the commit has the SHA-256 ${wanted}`);
}

function fileOf({ files }: CodeTree, wanted: string): CodeFile {
  const found = files.find(({ path }) => path === wanted);
  if (found === undefined) throw new CustodyError('INPUT_MISSING', `the commit has no file ${wanted}`);
  return found;
}
