import type { Code, RepositoryRule } from '../../domain/code-review.js';
import { CustodyError, isPermanent } from '../../domain/errors.js';
import { GIT_NAMESPACE, parseGitCommit, type GitCommit } from '../../formats/git-commit.js';
import { importSshBlob } from '../../formats/ssh-keys.js';
import { isSshSignature, readSshSignature } from '../../formats/sshsig.js';
import type { KeyRing } from '../../formats/statements.js';
import { unsafe } from '../source/file.js';
import { failedWith, type Clone } from './git.js';
import { readObjects } from './objects.js';

/** More than anybody could have reviewed at once. */
const MAX_NEW_COMMITS = 1000;
const BRANCH = 'refs/custody/branch';
const NOTES = 'refs/notes/custody';
/** How git ends: it cannot go on; it was asked for what there is not; two sides do not merge by themselves. */
const [FATAL, USAGE, CONFLICT] = [128, 129, 1];

/** Brings a branch of a repository, and what reviewers have written beside its commits, into an empty clone of our own. */
export async function fetchCode(clone: Clone, address: string, branch: string): Promise<void> {
  const refs = [`+refs/heads/${branch}:${BRANCH}`, `+${NOTES}*:${NOTES}*`];
  try {
    await clone.run(['fetch', '--quiet', '--no-tags', '--no-write-fetch-head', '--', address, ...refs]);
  } catch (cause) {
    if (!failedWith(cause, FATAL)) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CustodyError('REPOSITORY_UNAVAILABLE', `${branch} cannot be fetched: ${why}`, { cause });
  }
  // Git passes over what it will not take, such as a branch whose history is cut off.
  if ((await clone.lines(['for-each-ref', BRANCH])).length === 0)
    throw new CustodyError('INPUT_UNSAFE', `${branch} cannot be taken from a repository without its whole history`);
}

/** Whether the branch holds a commit. */
export async function isOnBranch(clone: Clone, commit: string): Promise<boolean> {
  try {
    return (await clone.lines(['for-each-ref', '--contains', commit, BRANCH])).length > 0;
  } catch (error) {
    // Git knows no such commit: nothing but the branch was fetched.
    if (failedWith(error, USAGE)) return false;
    throw error;
  }
}

/** What reviewers have written beside a commit: a line each, none of which has been checked. */
export async function notesOf(clone: Clone, commit: string): Promise<readonly string[]> {
  return clone.lines(['log', '-1', '--no-show-signature', '--format=%N', `--notes=${NOTES}`, commit]);
}

interface History {
  readonly rule: RepositoryRule;
  /** The keys that sign now: a commit says itself when it was made. */
  readonly ring: KeyRing;
  /** Whether something was made from a commit before, by these rules. */
  readonly wasAdmitted: (commit: string) => Promise<boolean>;
  /** Which commits may have been. */
  readonly candidates: ReadonlySet<string>;
}

/**
 * Every commit that a commit holds and nothing admitted before it does, with who signed it. A merge that is what git itself
 * makes of its parents says nothing of its own, and needs nobody's signature.
 */
export async function writtenIn(
  clone: Clone,
  commit: string,
  { rule, ring, wasAdmitted, candidates }: History,
): Promise<Code['written']> {
  const excluded = rule.since === undefined ? [] : [rule.since];
  // What is older than that, or beside it, was written by whoever: nobody could say that they did not.
  if (rule.since !== undefined && !(await holds(clone, commit, rule.since)))
    throw new CustodyError(
      'POLICY_REFUSED',
      `the commit ${commit.slice(0, 12)} is not newer than \`since\` in the policy`,
    );
  const left = new Set(candidates);
  left.delete(commit);
  for (;;) {
    const fresh = await newCommits(clone, commit, excluded);
    const next = fresh.find((id) => left.has(id));
    if (next === undefined) return authorsOf(clone, commit, fresh, ring);
    if (await wasAdmitted(next)) excluded.push(next);
    left.delete(next);
  }
}

/** Whether an earlier commit is in the history of a later one. */
async function holds(clone: Clone, later: string, earlier: string): Promise<boolean> {
  return later !== earlier && (await newCommits(clone, later, [])).includes(earlier);
}

async function newCommits(clone: Clone, commit: string, without: readonly string[]): Promise<readonly string[]> {
  return clone.lines(['rev-list', '--topo-order', '--ignore-missing', commit, '--not', ...without]);
}

async function authorsOf(
  clone: Clone,
  commit: string,
  ids: readonly string[],
  ring: KeyRing,
): Promise<Code['written']> {
  if (ids.length > MAX_NEW_COMMITS)
    throw unsafe(
      commit,
      `it brings ${ids.length} commits that nobody has reviewed, at most ${MAX_NEW_COMMITS} are: name one with \`since\` in the policy`,
    );
  const objects = await readObjects(clone, 'commit', ids);
  const written: { commit: string; author: string | null }[] = [];
  for (const [at, id] of ids.entries()) {
    const parsed = readCommit(objects[at] ?? Buffer.alloc(0));
    const author = parsed === null ? null : authorOf(parsed, ring);
    const isOnesOwn = author !== null || parsed === null || !(await isPlainMerge(clone, parsed));
    if (isOnesOwn) written.push({ commit: id, author });
  }
  return written;
}

/** One that cannot be read was signed by nobody. */
function readCommit(object: Buffer): GitCommit | null {
  try {
    return parseGitCommit(object);
  } catch (error) {
    if (error instanceof CustodyError && error.code === 'MALFORMED') return null;
    throw error;
  }
}

/** Whose key has signed a commit. */
function authorOf({ signature, signed }: GitCommit, ring: KeyRing): string | null {
  if (signature === null) return null;
  try {
    const key = importSshBlob(readSshSignature(signature).publicKey);
    if (!isSshSignature(key, signed, signature, GIT_NAMESPACE)) return null;
    return ring.find((held) => held.key.keyId === key.keyId)?.owner ?? null;
  } catch (error) {
    if (error instanceof CustodyError && isPermanent(error.code)) return null;
    throw error;
  }
}

async function isPlainMerge(clone: Clone, { tree, parents }: GitCommit): Promise<boolean> {
  const [ours, theirs, ...more] = parents;
  if (ours === undefined || theirs === undefined || more.length > 0) return false;
  try {
    const [made] = await clone.lines(['merge-tree', '--write-tree', '--no-messages', ours, theirs]);
    return made === tree;
  } catch (error) {
    // Somebody has decided what becomes of it. Of histories that have nothing in common git says that it cannot go on.
    if (failedWith(error, CONFLICT) || failedWith(error, FATAL)) return false;
    throw error;
  }
}
