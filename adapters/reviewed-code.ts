import {
  authoriseCode,
  ruleOf,
  speakersOf,
  type Code,
  type RepositoryRule,
  type ReviewPredicate,
} from '../domain/code-review.js';
import { isDigest, type Digest } from '../domain/digest.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import { signedInRole } from '../domain/permission.js';
import { dependenciesOf, TRAINING_BUILD, trainingBuilder } from '../domain/provenance.js';
import { storeKeys } from '../domain/store-keys.js';
import { demand } from '../formats/evidence.js';
import { canonicalBytes } from '../formats/jcs.js';
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

interface ReviewedCodeOptions {
  readonly signal?: AbortSignal;
  /** What reviewers say is kept, before it is judged. */
  readonly keeps?: boolean;
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
  { signal, keeps = false, further = async () => [] }: ReviewedCodeOptions = {},
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
    candidates: await recorded(records, repository),
    wasAdmitted: (earlier) => wasAdmitted(records, repository, earlier, policies),
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

/** That something was made from a commit, which nobody has to review again. What is there already is left alone. */
export async function recordCode(records: Records, { repository, commit }: Code, provenance: Digest): Promise<void> {
  const key = storeKeys.code(repository, commit);
  try {
    await records.bucket.createOnce(key, canonicalBytes({ provenance }), await records.lock());
  } catch (error) {
    if (!(error instanceof CustodyError) || error.code !== 'STORE_CONFLICT') throw error;
  }
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
  const provenance = await namedBy(records, storeKeys.code(repository, commit));
  const found = provenance === null ? null : await records.findGenuine('provenance', storeKeys.statement(provenance));
  if (found === null || !signedInRole({ gate: newest, newest }, found.verified, 'producer')) return false;
  const { buildDefinition, runDetails } = found.verified.predicate;
  // Other producers sign what they like of their own builds.
  if (buildDefinition.buildType !== TRAINING_BUILD || runDetails.builder.id !== trainingBuilder(records.environment))
    return false;
  return dependenciesOf(found.verified.predicate, 'training-code').some(
    (each) => each.name === repository && each.commit === commit && each.reviewers !== undefined,
  );
}

async function namedBy(records: Records, key: string): Promise<Digest | null> {
  try {
    const { provenance } = ((await records.record(key)) ?? {}) as { readonly provenance?: unknown };
    return typeof provenance === 'string' && isDigest(provenance) ? provenance : null;
  } catch (error) {
    if (error instanceof CustodyError && isPermanent(error.code)) return null;
    throw error;
  }
}
