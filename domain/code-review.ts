import type { Digest } from './digest.js';
import { denied, signedInRole, type Permission } from './permission.js';
import { findAuthority, holdsRole, type Policy } from './policy.js';
import type { Verified } from './statements.js';
import { MAX_SKEW_MS } from './time.js';

/** What a reviewer says of a commit. The subject is the SHA-256 of the list of its files, which no trick with git's own ids escapes. */
export interface ReviewPredicate {
  readonly environment: string;
  /** As the policy calls it. */
  readonly repository: string;
  /** In hexadecimal. */
  readonly commit: string;
  readonly decision: 'approve' | 'reject';
  readonly reason: string;
  /** Where a zone has seen it, of a review that the reviewer has not signed. */
  readonly seen?: SeenReview;
  readonly issuedAt: string;
}

/** A review in a pull request on GitHub. */
export interface SeenReview {
  readonly on: 'github';
  readonly pull: number;
  readonly review: number;
  /** GitHub's own number of the person. */
  readonly user: number;
  readonly submittedAt: string;
}

/** What the policy demands of the code of one repository. */
export interface RepositoryRule {
  readonly name: string;
  /** Nothing is taken that is not on it. */
  readonly branch: string;
  /** How many designated reviewers, none of whom has written any of it. */
  readonly reviewers: number;
  /** `owner/name` on GitHub, where reviews of pull requests count, too; and the branch must be protected there. */
  readonly github?: string;
  /** A commit: what it holds was there before these rules, and is not reviewed again. */
  readonly since?: string;
}

/** A commit, as git has it. */
export interface Code {
  readonly repository: string;
  readonly commit: string;
  readonly branch: string;
  readonly isOnBranch: boolean;
  /** SHA-256 of the list of its files. */
  readonly files: Digest;
  /** Every commit that nothing admitted before contains, this one first; by whom: `null` without a signature of anybody known. */
  readonly written: readonly { readonly commit: string; readonly author: string | null }[];
}

export const isCommit = (text: string): boolean => /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text);

export function ruleOf(policy: Policy, repository: string): RepositoryRule | null {
  return policy.training.repositories?.find(({ name }) => name === repository) ?? null;
}

/**
 * Whether code may be used: it is on the protected branch, everybody who wrote what is new in it has signed for that, and
 * enough designated reviewers who wrote none of it approve of this very commit, with these very files, while none rejects it.
 * `approvers`: those who count. A reviewer's newest word is what counts.
 */
export function authoriseCode(
  code: Code,
  reviews: readonly Verified<ReviewPredicate>[],
  { environment, newest, now }: { readonly environment: string; readonly newest: Policy; readonly now: string },
): Permission {
  const rule = ruleOf(newest, code.repository);
  if (rule === null) return denied('POLICY_REFUSED', `the policy knows no repository ${code.repository}`);
  const short = code.commit.slice(0, 12);
  if (code.branch !== rule.branch || !code.isOnBranch)
    return denied('POLICY_REFUSED', `the commit ${short} is not on ${rule.branch} of ${code.repository}`);
  // A reviewer may have a program at hand that signs: what it has signed would be nobody's.
  const nobodys = code.written.find(
    ({ author }) => author === null || findAuthority(newest, author)?.kind !== 'person',
  );
  if (nobodys !== undefined)
    return denied('NOT_AUTHORISED', `no person of the policy has signed the commit ${nobodys.commit.slice(0, 12)}`);

  const authors = new Set(code.written.map(({ author }) => author));
  const isAbout = ({ subject, predicate: said }: Verified<ReviewPredicate>): boolean =>
    said.environment === environment &&
    said.repository === code.repository &&
    said.commit === code.commit &&
    subject === code.files &&
    (said.decision === 'reject' || saidAt(said) <= Date.parse(now) + MAX_SKEW_MS);
  const spoken = reviews
    .filter(isAbout)
    .map((review) => ({ by: speakersOf(review, rule, newest), said: review.predicate }));
  const words = newestWords(spoken).filter(({ by }) => holdsRole(newest, newest, by, 'reviewer'));
  const against = words.find(({ said }) => said.decision === 'reject');
  if (against !== undefined)
    return denied('POLICY_REFUSED', `${against.by} rejects the commit ${short}: ${against.said.reason}`);
  const approvers = words.map(({ by }) => by).filter((id) => !authors.has(id));
  if (approvers.length >= rule.reviewers) return { allowed: true, approvers };
  const own = words.map(({ by }) => by).filter((id) => authors.has(id));
  const self = own.length === 0 ? '' : `; ${own.join(' and ')} wrote part of it`;
  const missing = rule.reviewers - approvers.length;
  return denied('NOT_AUTHORISED', `${missing} more with the role reviewer must approve the commit ${short}${self}`);
}

interface Word {
  readonly by: string;
  readonly said: ReviewPredicate;
}

/** Who asks GitHub: the training zone, and intake. */
const WITNESSES = ['producer', 'validator'] as const;

/** Whose word it is: who signed it; or whoever a zone has seen there, where the policy lets that count. */
export function speakersOf(review: Verified<ReviewPredicate>, rule: RepositoryRule, policy: Policy): readonly string[] {
  const { seen } = review.predicate;
  if (seen === undefined) return review.signers;
  const rules = { gate: policy, newest: policy };
  const isWitnessed = WITNESSES.some((role) => signedInRole(rules, review, role));
  if (rule.github === undefined || !isWitnessed) return [];
  return policy.authorities.filter(({ github }) => github === seen.user).map(({ id }) => id);
}

const saidAt = ({ seen, issuedAt }: ReviewPredicate): number => Date.parse(seen?.submittedAt ?? issuedAt);

/** What each has said last; of two at the same time, the rejection. */
function newestWords(
  spoken: readonly { readonly by: readonly string[]; readonly said: ReviewPredicate }[],
): readonly Word[] {
  const found = new Map<string, ReviewPredicate>();
  for (const { by: speakers, said } of spoken)
    for (const by of speakers) {
      const before = found.get(by);
      const later = before === undefined ? 1 : saidAt(said) - saidAt(before);
      if (later > 0 || (later === 0 && said.decision === 'reject')) found.set(by, said);
    }
  return [...found].map(([by, said]) => ({ by, said }));
}
