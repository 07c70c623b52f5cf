import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Rules } from '../domain/authorise.js';
import { CustodyError } from '../domain/errors.js';
import type { Manifest } from '../domain/manifest.js';
import {
  promptFiles,
  promptProblem,
  promptsOf,
  unreviewed,
  type PromptsFound,
  type PromptSource,
  type ReviewedPrompts,
} from '../domain/prompts.js';
import type { ProvenancePredicate } from '../domain/statements.js';
import { codeOf, type Repositories } from './repositories.js';

export interface PromptDependencies extends Repositories {
  /** A private folder for what is fetched. */
  readonly work: string;
}

/**
 * Where the prompts of a release are from: what its producer says is looked up in git, byte by byte, and its reviews are judged
 * by the rules of now. POLICY_REFUSED, NOT_AUTHORISED or INPUT_* where the commit, or its review, does not hold; POLICY_REFUSED
 * where nobody names a commit, unless the policy lets that in.
 */
export async function promptsIn(
  deps: PromptDependencies,
  manifest: Manifest,
  provenance: ProvenancePredicate,
  { gate, newest }: Pick<Rules, 'gate' | 'newest'>,
  signal: AbortSignal,
): Promise<PromptsFound> {
  const files = promptFiles(manifest);
  const source = promptsOf(provenance);
  const found = { files: files.length, from: source && (await reviewedIn(deps, files, source, signal)) };
  // A request may name an older policy: it gains nothing by that.
  const problem = unreviewed(found, gate.artifacts) ?? unreviewed(found, newest.artifacts);
  if (problem !== null) throw new CustodyError('POLICY_REFUSED', problem);
  return found;
}

async function reviewedIn(
  deps: PromptDependencies,
  files: Manifest['files'],
  source: PromptSource,
  signal: AbortSignal,
): Promise<ReviewedPrompts> {
  await mkdir(deps.work, { recursive: true, mode: 0o700 });
  const work = await mkdtemp(join(deps.work, 'prompts-'));
  try {
    const { code, tree, reviewers, reviews } = await codeOf(deps, source, { work, signal });
    const problem = promptProblem(files, source, tree.files);
    if (problem !== null) throw new CustodyError('POLICY_REFUSED', problem);
    const said = reviews.map(({ verified }) => verified.digest);
    return { ...source, branch: code.branch, list: code.files, reviewers, reviews: said };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
