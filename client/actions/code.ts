import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { isCommit } from '../../domain/code-review.js';
import { CustodyError } from '../../domain/errors.js';
import { reviewedCode } from '../../adapters/reviewed-code.js';
import { commitOf, noteReview, REVIEW_NOTES, reviewCode, signCommit, treeOf, withFolder } from '../code.js';
import { openReading } from '../connect.js';
import { readKey } from '../init.js';
import { answer, counted, good, plain } from '../output.js';
import type { Session } from '../session.js';
import { signerOf } from '../signer.js';

export async function sign(session: Session, folder: string, options: { readonly key: string }): Promise<void> {
  const commit = await signCommit(folder, readKey(session.layout.keyFile(options.key)));
  answer(session, { commit }, [good(`signed: it is ${commit} now`)]);
}

interface ReviewOptions {
  readonly repository: string;
  readonly commit: string;
  readonly reason: string;
  readonly reject?: true;
  readonly key: string;
}

export async function review(session: Session, folder: string, options: ReviewOptions): Promise<void> {
  const { repository, reason, reject } = options;
  const custody = openReading(session.layout);
  const signer = await signerOf({ ...session, custody }, options.key);
  const commit = await commitOf(folder, options.commit);
  const tree = await treeOf(resolve(folder), commit);
  const decision = reject === true ? 'reject' : 'approve';
  const statement = reviewCode(signer, { repository, commit, decision, reason }, tree);
  await noteReview(folder, commit, statement, signer.id);
  const said = { repository, commit, files: tree.files.length, list: tree.digest, decision, by: signer.id };
  answer(session, said, [
    good(
      plain(`${signer.id} ${decision}s ${commit.slice(0, 12)} of ${repository}: ${counted(tree.files.length, 'file')}`),
    ),
    plain(`it is in ${REVIEW_NOTES} of ${folder}: push that, where others are to see it`),
  ]);
}

interface CheckOptions {
  readonly repository: string;
  readonly commit: string;
}

export async function check(session: Session, address: string, options: CheckOptions): Promise<void> {
  const { records } = openReading(session.layout);
  const isHere = existsSync(address);
  const commit = isHere ? await commitOf(address, options.commit) : options.commit;
  if (!isCommit(commit))
    throw new CustodyError('USAGE', 'of a repository elsewhere, name the commit by its whole id: --commit <id>');
  const about = { repository: options.repository, address: isHere ? resolve(address) : address, commit };
  const found = await withFolder((folder) =>
    reviewedCode(records, about, `${folder}/clone`, { trainedBy: 'any producer' }),
  );
  const { code, tree, reviewers, reviews } = found;
  const authors = [...new Set(code.written.map(({ author }) => author))];
  const told = { ...code, files: tree.files.length, list: tree.digest, authors, reviewers };
  answer(session, told, [
    good(plain(`${commit.slice(0, 12)} of ${code.repository} may be used: it is on ${code.branch}`)),
    plain(`${counted(code.written.length, 'commit')} since what was used before, by ${authors.join(', ')}`),
    ...reviews.map(({ verified: { predicate, signers } }) =>
      plain(`${predicate.issuedAt}  ${signers.join(' and ')} ${predicate.decision}s it: ${predicate.reason}`),
    ),
  ]);
}
