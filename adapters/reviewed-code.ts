import {
  authoriseCode,
  ruleOf,
  speakersOf,
  type Code,
  type RepositoryRule,
  type ReviewPredicate,
} from '../domain/code-review.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import { signedInRole } from '../domain/permission.js';
import { storeKeys } from '../domain/store-keys.js';
import { demand } from '../formats/evidence.js';
import { keyRing, validAt } from '../formats/statements.js';
import { Clone } from './git/git.js';
import { fetchCode, isOnBranch, notesOf, writtenIn } from './git/history.js';
import { readTree, type CodeTree } from './git/tree.js';
import type { Found, PolicyChain, Records } from './records.js';
import { recordedCode, wasAdmitted, type TrainedBy } from './used-code.js';

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

interface ReviewedCodeOptions {
  readonly signal?: AbortSignal;
  /** What reviewers say is kept, before it is judged. */
  readonly keeps?: boolean;
  /** Whose word counts that a commit was trained with before; by default nobody's. */
  readonly trainedBy?: TrainedBy;
  /** What else is said of the commit and these files of it, wherever that is. */
  readonly further?: FurtherReviews;
}

export type FurtherReviews = (
  rule: RepositoryRule,
  about: { readonly commit: string; readonly files: Digest },
) => Promise<readonly Found<ReviewPredicate>[]>;

/**
 * A commit that the rules of now allow to use. All of it is fetched anew into `work`, a folder that is not there yet: what a branch
 * holds, and what reviewers say, is what they hold and say now. POLICY_REFUSED, NOT_AUTHORISED,
 * INPUT_UNSAFE say what is wrong.
 */
export async function reviewedCode(
  records: Records,
  about: CommitOf,
  work: string,
  { signal, keeps = false, trainedBy = 'nobody', further = async () => [] }: ReviewedCodeOptions = {},
): Promise<ReviewedCode> {
  const { repository, address, commit } = about;
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
    candidates: await recordedCode(records, repository),
    wasAdmitted: (earlier) => wasAdmitted(records, { repository, commit: earlier }, policies, trainedBy),
  });
  const code = { repository, commit, branch, isOnBranch: true, files: tree.digest, written };
  const noted = await genuine(records, await notesOf(clone, commit), policies);
  if (keeps) await keepWords(records, noted, policies);
  const elsewhere = await further(rule, { commit, files: tree.digest });
  const said = [...noted, ...(await kept(records, about)), ...elsewhere];
  const rules = { environment: records.environment, newest, now };
  const reviewers = demand(
    authoriseCode(
      code,
      said.map(({ verified }) => verified),
      rules,
    ),
  );
  const counted = said.filter(({ verified }) =>
    speakersOf(verified, rule, newest).some((id) => reviewers.includes(id)),
  );
  const reviews = [...new Map(counted.map((each) => [each.verified.digest, each])).values()];
  return { code, tree, reviewers, reviews };
}

/** What designated reviewers have said is kept, also what speaks against it: notes can be taken away. */
async function keepWords(
  records: Records,
  said: readonly Found<ReviewPredicate>[],
  { newest }: PolicyChain,
): Promise<void> {
  for (const { envelope, verified } of said)
    if (signedInRole({ gate: newest, newest }, verified, 'reviewer')) {
      const { repository, commit } = verified.predicate;
      await records.keep(envelope, storeKeys.review(repository, commit, verified.digest));
    }
}

async function kept(records: Records, { repository, commit }: CommitOf): Promise<readonly Found<ReviewPredicate>[]> {
  const found: Found<ReviewPredicate>[] = [];
  for await (const key of records.bucket.list(storeKeys.reviewsOf(repository, commit))) {
    const word = await records.findGenuine('review', key);
    if (word !== null && word.verified.predicate.seen === undefined) found.push(word);
  }
  return found;
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
      const said = await records.meet('review', line, policies);
      // What was seen elsewhere is asked for there, each time: it may have been taken back.
      if (said.verified.predicate.seen === undefined) found.push(said);
    } catch (error) {
      if (!(error instanceof CustodyError) || !isPermanent(error.code)) throw error;
    }
  return found;
}
