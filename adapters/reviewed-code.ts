import { authoriseCode, ruleOf, type Code, type ReviewPredicate } from '../domain/code-review.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import { signedInRole } from '../domain/permission.js';
import { dependenciesOf } from '../domain/provenance.js';
import { storeKeys } from '../domain/store-keys.js';
import { demand } from '../formats/evidence.js';
import { keyRing, validAt } from '../formats/statements.js';
import { Clone } from './git/git.js';
import { fetchCode, isOnBranch, notesOf, writtenIn } from './git/history.js';
import { readTree, type CodeTree } from './git/tree.js';
import type { Found, PolicyChain, Records } from './records.js';

/** Code that may be used, and who says so. */
export interface ReviewedCode {
  readonly code: Code;
  readonly tree: CodeTree;
  readonly reviewers: readonly string[];
  /** What they said. */
  readonly reviews: readonly Found<ReviewPredicate>[];
}

export interface CommitOf {
  /** As the policy calls it. */
  readonly repository: string;
  /** A path, or what git can fetch from. */
  readonly address: string;
  readonly commit: string;
}

/**
 * A commit that the rules of now allow to use. All of it is fetched anew into `work`, a folder that is not there yet: what a branch
 * holds, and what reviewers say, is what they hold and say now. POLICY_REFUSED, NOT_AUTHORISED, INPUT_UNSAFE say what is wrong.
 */
export async function reviewedCode(
  records: Records,
  { repository, address, commit }: CommitOf,
  work: string,
  signal?: AbortSignal,
): Promise<ReviewedCode> {
  const policies = await records.policies();
  const { newest } = policies;
  const now = records.now();
  const rule = ruleOf(newest, repository);
  if (rule === null) throw new CustodyError('POLICY_REFUSED', `the policy knows no repository ${repository}`);
  const { branch } = rule;
  const clone = await Clone.make(work, signal);
  await fetchCode(clone, address, branch);
  if (!(await isOnBranch(clone, commit)))
    throw new CustodyError('POLICY_REFUSED', `the commit ${commit.slice(0, 12)} is not on ${branch} of ${repository}`);
  const tree = await readTree(clone, commit);
  const written = await writtenIn(clone, commit, {
    rule,
    ring: validAt(keyRing(newest), now),
    candidates: await recorded(records, repository),
    wasAdmitted: (earlier) => wasAdmitted(records, repository, earlier, policies),
  });
  const code = { repository, commit, branch, isOnBranch: true, files: tree.digest, written };
  const said = await genuine(records, await notesOf(clone, commit), policies);
  const rules = { environment: records.environment, newest, now };
  const reviewers = demand(
    authoriseCode(
      code,
      said.map(({ verified }) => verified),
      rules,
    ),
  );
  const reviews = said.filter(({ verified }) => verified.signers.some((id) => reviewers.includes(id)));
  return { code, tree, reviewers, reviews };
}

/** That something was made from a commit, which nobody has to review again. */
export async function recordCode(records: Records, { repository, commit }: Code, provenance: Digest): Promise<void> {
  await records.recordOnce(storeKeys.code(repository, commit), { provenance });
}

/** What counts for nothing is passed over: anybody who can push may have written it. */
async function genuine(
  records: Records,
  lines: readonly string[],
  policies: PolicyChain,
): Promise<readonly Found<ReviewPredicate>[]> {
  const found: Found<ReviewPredicate>[] = [];
  for (const line of lines)
    try {
      found.push(await records.meet('review', line, policies));
    } catch (error) {
      if (!(error instanceof CustodyError) || !isPermanent(error.code)) throw error;
    }
  return found;
}

async function recorded(records: Records, repository: string): Promise<ReadonlySet<string>> {
  const prefix = storeKeys.codeOf(repository);
  const found = new Set<string>();
  for await (const key of records.bucket.list(prefix)) found.add(key.slice(prefix.length));
  return found;
}

/** By what a producer has signed: whoever else can write to the store says nothing. */
async function wasAdmitted(
  records: Records,
  repository: string,
  commit: string,
  { newest }: PolicyChain,
): Promise<boolean> {
  const record = await records.record(storeKeys.code(repository, commit));
  const { provenance } = (record ?? {}) as { readonly provenance?: unknown };
  if (typeof provenance !== 'string') return false;
  const found = await records.findGenuine('provenance', storeKeys.statement(provenance));
  if (found === null || !signedInRole({ gate: newest, newest }, found.verified, 'producer')) return false;
  const code = dependenciesOf(found.verified.predicate, 'training-code');
  return code.some((each) => each.name === repository && each.commit === commit);
}
