import { expect, it } from 'vitest';
import { authoriseCode, type Code, type ReviewPredicate } from '../../../domain/code-review.js';
import type { Policy } from '../../../domain/policy.js';
import type { Verified } from '../../../domain/statements.js';
import { sha256 } from '../../../formats/sha256.js';
import { createWorld } from '../../support/world.js';

const world = createWorld();
const rules = { environment: 'test', newest: world.policy, now: world.at(0) };
const COMMIT = 'c'.repeat(40);
const CODE: Code = {
  ...{ repository: 'digits', commit: COMMIT, branch: 'main', isOnBranch: true, files: sha256('files') },
  written: [{ commit: COMMIT, author: 'rita' }],
};

function review(by: string, change: Partial<ReviewPredicate> = {}, subject = CODE.files): Verified<ReviewPredicate> {
  const predicate: ReviewPredicate = {
    ...{ environment: 'test', repository: 'digits', commit: COMMIT, decision: 'approve', reason: 'good' },
    ...{ issuedAt: world.at(-60), ...change },
  };
  return { digest: sha256(`${by} ${JSON.stringify(change)}`), subject, predicate, signers: [by] };
}

const judged = (
  reviews: readonly Verified<ReviewPredicate>[],
  change: Partial<Code> = {},
  newest: Policy = world.policy,
) => {
  const permission = authoriseCode({ ...CODE, ...change }, reviews, { ...rules, newest });
  return permission.allowed ? permission.approvers : permission.code;
};
const twoNeeded: Policy = {
  ...world.policy,
  training: { ...world.policy.training, repositories: [{ name: 'digits', branch: 'main', reviewers: 2 }] },
};

it('counts reviewers who wrote none of it', () => {
  expect(judged([review('remy')])).toEqual(['remy']);
  expect(judged([review('remy'), review('remy', { reason: 'again' })], {}, twoNeeded)).toBe('NOT_AUTHORISED');
  expect(judged([review('remy'), review('rolf')], {}, twoNeeded)).toEqual(['remy', 'rolf']);
  const both = { written: [...CODE.written, { commit: 'd'.repeat(40), author: 'rolf' }] };
  expect(judged([review('remy'), review('rolf')], both, twoNeeded)).toBe('NOT_AUTHORISED');
});

it.each<[string, readonly Verified<ReviewPredicate>[], Partial<Code>, string]>([
  ['no review', [], {}, 'NOT_AUTHORISED'],
  ['an approver of releases', [review('alice')], {}, 'NOT_AUTHORISED'],
  ['somebody who is not in the policy', [review('mallory')], {}, 'NOT_AUTHORISED'],
  ['another commit', [review('remy', { commit: 'd'.repeat(40) })], {}, 'NOT_AUTHORISED'],
  ['another environment', [review('remy', { environment: 'prod' })], {}, 'NOT_AUTHORISED'],
  ['another repository', [review('remy', { repository: 'x' })], {}, 'NOT_AUTHORISED'],
  ['other files', [review('remy', {}, sha256('x'))], {}, 'NOT_AUTHORISED'],
  ['one that is to come', [review('remy', { issuedAt: world.at(3600) })], {}, 'NOT_AUTHORISED'],
  ['a commit off the branch', [review('remy')], { isOnBranch: false }, 'POLICY_REFUSED'],
  ['a commit of another branch', [review('remy')], { branch: 'topic' }, 'POLICY_REFUSED'],
  ['an author whom nobody knows', [review('remy')], { written: [{ commit: COMMIT, author: null }] }, 'NOT_AUTHORISED'],
  ['an author who has gone', [review('remy')], { written: [{ commit: COMMIT, author: 'gone' }] }, 'NOT_AUTHORISED'],
  ['a rejection beside it', [review('remy'), review('rolf', { decision: 'reject' })], {}, 'POLICY_REFUSED'],
  ['a repository without rules', [review('remy')], { repository: 'letters' }, 'POLICY_REFUSED'],
])('attack: refuses %s', (_, reviews, change, code) => {
  expect(judged(reviews, change)).toBe(code);
});

it('takes the newest word of each, and the rejection of two at once', () => {
  const no = (at: number) => review('remy', { decision: 'reject', issuedAt: world.at(at) });
  expect(judged([no(-90), review('remy')])).toEqual(['remy']);
  expect(judged([review('remy'), no(-30)])).toBe('POLICY_REFUSED');
  expect(judged([review('remy'), no(-60)])).toBe('POLICY_REFUSED');
  expect(judged([no(-60), review('remy')])).toBe('POLICY_REFUSED');
  // What counts for nothing hinders nobody.
  expect(judged([review('remy'), review('mallory', { decision: 'reject' })])).toEqual(['remy']);
});
