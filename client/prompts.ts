import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Clone, runGit } from '../adapters/git/git.js';
import { readTree } from '../adapters/git/tree.js';
import type { Records } from '../adapters/records.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { Component, Manifest } from '../domain/manifest.js';
import { holdsRole } from '../domain/policy.js';
import { pathInCommit, promptFiles, promptProblem, type PromptsFound, type PromptSource } from '../domain/prompts.js';
import { commitOf, demandClean, treeOf, withFolder } from './code.js';

/**
 * Writes the prompts of a release, as the commit has them that is checked out in a clean working copy, into the folder that is
 * to be the release; what the base has just so is left out. `from`: the working copy, or the folder in it that holds them.
 * INPUT_UNSAFE: it has changes that are in no commit. INPUT_MISSING: the commit lacks one.
 */
export async function takePrompts(
  from: string,
  repository: string,
  folder: string,
  {
    components,
    base,
  }: { readonly components: readonly Pick<Component, 'kind' | 'files'>[]; readonly base: Manifest | null },
): Promise<PromptSource> {
  await demandClean(from);
  const commit = await commitOf(from, 'HEAD');
  const source = { repository, commit, folder: (await placeIn(from)).replace(/\/$/, '') };
  const tree = await treeOf(await topOf(from), commit);
  const committed = new Map(tree.files.map((file) => [file.path, file]));
  const before = new Map((base?.files ?? []).map(({ path, sha256 }) => [path, sha256]));
  const paths = components.flatMap(({ kind, files }) => (kind === 'prompt' ? files : []));
  if (paths.length === 0) throw new CustodyError('USAGE', '--prompts: no component of the release is a prompt');
  for (const path of paths) {
    const found = committed.get(pathInCommit(source, path));
    if (found === undefined)
      throw new CustodyError('INPUT_MISSING', `the commit ${commit.slice(0, 12)} has no ${pathInCommit(source, path)}`);
    if (before.get(path) === found.sha256) continue;
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), found.bytes);
  }
  return source;
}

/** What a validator has said of a release's prompts. NOT_AUTHORISED: the scan is another's, or about another release. */
export async function promptsOf(records: Records, release: Digest, scan: Digest): Promise<PromptsFound | undefined> {
  const { subject, signers, predicate } = (await records.get('scan', scan)).verified;
  const { newest } = await records.policies();
  if (subject === release && signers.some((id) => holdsRole(newest, newest, id, 'validator'))) return predicate.prompts;
  throw new CustodyError('NOT_AUTHORISED', `the scan ${scan} is not by a validator, or about another release`);
}

export interface PromptsOf {
  readonly title: string;
  readonly manifest: Manifest;
  readonly source: PromptSource;
}

/**
 * What differs between the prompts of two releases, as git tells it, from a repository that has both commits. Both are compared
 * with the manifests first. DIGEST_MISMATCH: the repository has others under these names.
 */
export async function promptsBetween(repository: string, before: PromptsOf, after: PromptsOf): Promise<string> {
  const top = await topOf(repository);
  return withFolder(async (folder) => {
    const clone = await Clone.make(join(folder, 'clone'));
    for (const { title, manifest, source } of [before, after]) {
      await clone.run(['fetch', '--quiet', '--no-tags', '--', top, source.commit]);
      const tree = await readTree(clone, source.commit);
      const problem = promptProblem(promptFiles(manifest), source, tree.files);
      if (problem !== null) throw new CustodyError('DIGEST_MISMATCH', `${title}: ${problem}`);
    }
    const places = [before, after].flatMap(({ manifest, source }) =>
      promptFiles(manifest).map(({ path }) => `:(literal)${pathInCommit(source, path)}`),
    );
    const how = ['--no-color', '--no-ext-diff', '--no-textconv', '--text', '--find-renames'];
    const args = ['diff', ...how, before.source.commit, after.source.commit, '--', ...new Set(places)];
    return (await clone.run(args)).toString('utf8');
  });
}

const say = async (cwd: string, question: string): Promise<string> =>
  (await runGit(['rev-parse', question], { cwd })).toString('utf8').trim();
const topOf = (folder: string): Promise<string> => say(folder, '--show-toplevel');
/** Empty for the top itself. */
const placeIn = (folder: string): Promise<string> => say(folder, '--show-prefix');
