import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Clone, runGit } from '../adapters/git/git.js';
import { readTree, type CodeTree } from '../adapters/git/tree.js';
import type { ReviewPredicate } from '../domain/code-review.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import { GIT_NAMESPACE } from '../formats/git-commit.js';
import type { SigningKey } from '../formats/keys.js';
import { signSsh } from '../formats/sshsig.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { isoTime } from '../domain/time.js';
import { sha256 } from '../formats/sha256.js';
import { signStatement } from '../formats/statements.js';
import type { Signer } from './requests.js';

/** Where reviewers write, beside the commits. */
export const REVIEW_NOTES = 'refs/notes/custody';

/** Runs something with a folder of its own, which is gone afterwards. */
export async function withFolder<T>(act: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'custody-code-'));
  try {
    return await act(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The id of what somebody calls a commit: a branch, a tag, the beginning of an id. INPUT_MISSING. */
export async function commitOf(repository: string, name: string): Promise<string> {
  const found = await runGit(['rev-parse', '--verify', '--end-of-options', `${name}^{commit}`], { cwd: repository });
  return found.toString('utf8').trim();
}

/** INPUT_UNSAFE where a working copy has what no commit has: it would not be what is trained with. */
export async function demandClean(repository: string): Promise<void> {
  const changed = await runGit(['status', '--porcelain', '--ignore-submodules=none'], { cwd: repository });
  const [first] = changed.toString('utf8').split('\n');
  if (first === undefined || first === '') return;
  throw new CustodyError('INPUT_UNSAFE', `${repository} has changes that are in no commit: ${first.trim()}`);
}

/** The SHA-256 of a file as a commit has it. INPUT_MISSING: it has none such. */
export async function digestIn(repository: string, commit: string, file: string): Promise<Digest> {
  return sha256(await runGit(['cat-file', 'blob', `${commit}:./${file}`], { cwd: repository }));
}

/** The files of any commit, as the training zone would see them. */
export function treeOf(repository: string, commit: string): Promise<CodeTree> {
  return withFolder(async (folder) => {
    const clone = await Clone.make(join(folder, 'clone'));
    await clone.run(['fetch', '--quiet', '--no-tags', '--', repository, `+${commit}:refs/head`]);
    return readTree(clone, commit);
  });
}

export type Review = Pick<ReviewPredicate, 'repository' | 'commit' | 'decision' | 'reason'>;

/**
 * Signs the commit that is checked out, in place, as `git commit -S` does with an SSH key: for whoever's key in the policy is an
 * Ed25519 key of another kind. Answers its new id. USAGE: it is signed already, or the key is none that can.
 */
export async function signCommit(repository: string, key: SigningKey): Promise<string> {
  const git = async (args: readonly string[], input?: string): Promise<string> =>
    (await runGit(args, { cwd: repository, ...(input === undefined ? {} : { input }) })).toString('utf8');
  const object = await git(['cat-file', 'commit', 'HEAD']);
  const end = object.indexOf('\n\n');
  if (/^gpgsig/m.test(object.slice(0, end))) throw new CustodyError('USAGE', 'the commit has a signature already');
  if (key.algorithm !== 'ed25519') throw new CustodyError('USAGE', `a key of ${key.algorithm} signs no commits here`);
  const armored = signSsh(key, Buffer.from(object), GIT_NAMESPACE).trimEnd().replaceAll('\n', '\n ');
  const signed = `${object.slice(0, end)}\ngpgsig ${armored}${object.slice(end)}`;
  const id = (await git(['hash-object', '-t', 'commit', '-w', '--stdin'], signed)).trim();
  await git(['update-ref', '-m', 'signed', 'HEAD', id]);
  return id;
}

/** What a reviewer says of a commit and of these files of it. */
export function reviewCode({ key, environment }: Signer, review: Review, { digest }: CodeTree): SignedEnvelope {
  const said = { environment, ...review, issuedAt: isoTime(Date.now()) };
  return signStatement('review', { name: `${review.repository} ${review.commit}`, sha256: digest }, said, [key]);
}

/** Writes it beside the commit, in a line of its own, where it travels with the repository. */
export async function noteReview(
  repository: string,
  commit: string,
  review: SignedEnvelope,
  by: string,
): Promise<void> {
  const who = { NAME: by, EMAIL: `${by}@custody` };
  const env = Object.fromEntries(
    ['AUTHOR', 'COMMITTER'].flatMap((part) =>
      Object.entries(who).map(([name, value]) => [`GIT_${part}_${name}`, value]),
    ),
  );
  const args = ['notes', '--ref', REVIEW_NOTES, 'append', '-F', '-', commit];
  await runGit(args, { cwd: repository, env, input: `${JSON.stringify(review)}\n` });
}
