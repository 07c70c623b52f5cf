import type { ArtifactRules } from './artifacts.js';
import { isCommit } from './code-review.js';
import type { Digest } from './digest.js';
import type { Manifest, ManifestFile } from './manifest.js';
import { isModelName } from './names.js';
import type { BuildDependency, ProvenancePredicate } from './statements.js';

const KIND = 'prompts';

/** Where the prompts of a release are, as its producer declares it. */
export interface PromptSource {
  /** As the policy calls it. */
  readonly repository: string;
  readonly commit: string;
  /** The folder of the commit in which they have the names that they have in the release; empty: its root. */
  readonly folder: string;
}

/** The commit that prompts are of, and who has reviewed it, as found when the release came in. */
export interface ReviewedPrompts extends PromptSource {
  readonly branch: string;
  /** SHA-256 of the list of the commit's files. */
  readonly list: Digest;
  readonly reviewers: readonly string[];
  /** Digests of what they said. */
  readonly reviews: readonly Digest[];
}

/** What is known of a release's prompts. */
export interface PromptsFound {
  /** How many files are prompts. */
  readonly files: number;
  /** `null`: its producer names no commit. */
  readonly from: ReviewedPrompts | null;
}

/** The declaration, as a dependency of the build. */
export function promptsDependency({ repository, commit, folder }: PromptSource): BuildDependency {
  return { name: repository, digest: { gitCommit: commit }, annotations: { kind: KIND, folder } };
}

/** The commit that a provenance says the prompts are of; `null` where it says none. A flawed one was refused before. */
export function promptsOf(provenance: ProvenancePredicate): PromptSource | null {
  const [only] = named(provenance);
  return only === undefined ? null : read(only);
}

/** What is wrong with how a provenance says where the prompts are; `null` where nothing is. */
export function flawInPrompts(provenance: ProvenancePredicate): string | null {
  const found = named(provenance);
  if (found.length > 1) return 'names two commits that the prompts are of: there can be one';
  if (found.every((each) => read(each) !== null)) return null;
  return `names ${KIND} that are not those of a repository of the policy, with a commit as gitCommit, and the folder in it`;
}

/** What the release says to a model before its callers do. */
export function promptFiles({ components, files }: Pick<Manifest, 'components' | 'files'>): readonly ManifestFile[] {
  const paths = new Set(components.flatMap(({ kind, files: of }) => (kind === 'prompt' ? of : [])));
  return files.filter(({ path }) => paths.has(path));
}

/** Where in the commit the file of a release is. */
export function pathInCommit({ folder }: Pick<PromptSource, 'folder'>, path: string): string {
  return folder === '' ? path : `${folder}/${path}`;
}

/** Why these are not the prompts of that commit; `null`: they are, byte by byte, under the same names. */
export function promptProblem(
  prompts: readonly ManifestFile[],
  source: PromptSource,
  committed: readonly { readonly path: string; readonly sha256: Digest }[],
): string | null {
  const known = new Map(committed.map(({ path, sha256 }) => [path, sha256]));
  for (const { path, sha256 } of prompts) {
    const there = pathInCommit(source, path);
    const found = known.get(there);
    const short = source.commit.slice(0, 12);
    if (found === undefined) return `the commit ${short} of ${source.repository} has no file ${there}`;
    if (found !== sha256) return `${path} is not what the commit ${short} of ${source.repository} has as ${there}`;
  }
  return null;
}

/** Why a release may not come in with these prompts; `null`: it may. */
export function unreviewed(
  found: PromptsFound,
  { allowUnreviewedPrompts }: Pick<ArtifactRules, 'allowUnreviewedPrompts'>,
): string | null {
  if (found.files === 0 || found.from !== null || allowUnreviewedPrompts === true) return null;
  return 'its prompts are of no reviewed commit: pack it with --prompts';
}

/** In words, of whatever was found. */
export function sayPrompts({ files, from }: PromptsFound): string {
  if (files === 0) return 'no prompts';
  const count = `${files} ${files === 1 ? 'prompt' : 'prompts'}`;
  if (from === null) return `${count} of no reviewed commit`;
  const { repository, branch, commit, folder, reviewers } = from;
  const place = folder === '' ? '' : `in ${folder}/ `;
  return `${count} ${place}of the commit ${commit.slice(0, 12)} on ${branch} of ${repository}, approved by ${reviewers.join(', ')}`;
}

function named({ buildDefinition }: ProvenancePredicate): readonly BuildDependency[] {
  return buildDefinition.resolvedDependencies.filter(({ annotations }) => annotations?.['kind'] === KIND);
}

function read({ name = '', digest, annotations }: BuildDependency): PromptSource | null {
  const commit = digest?.['gitCommit'] ?? '';
  const folder = annotations?.['folder'] ?? '';
  if (!isModelName(name) || !isCommit(commit) || typeof folder !== 'string') return null;
  const isPlain = folder === '' || folder.split('/').every((part) => !['', '.', '..'].includes(part));
  return isPlain ? { repository: name, commit, folder } : null;
}
