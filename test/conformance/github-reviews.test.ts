import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { reviewsSeen } from '../../activities/seen-reviews.js';
import { reviewedCode } from '../../adapters/reviewed-code.js';
import { noteReview } from '../../client/code.js';
import type { Policy } from '../../domain/policy.js';
import { storeKeys } from '../../domain/store-keys.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { Repository } from '../support/code.js';
import { PlayedGitHub } from '../support/github.js';
import type { KeyName } from '../support/world.js';
import { createIntake, type Intake } from '../unit/ingest/intake.js';

const TOKEN = 'a token that may look';
const [REMY, ROLF, RITA, STRANGER] = [583_231, 583_232, 583_233, 1];
const NUMBERS: Readonly<Record<string, number>> = { remy: REMY, rolf: ROLF, rita: RITA };

/** The repository of the policy is on GitHub, and people are known there. */
const onGitHub = (policy: Policy): Policy => ({
  ...policy,
  authorities: policy.authorities.map((each) => {
    const github = NUMBERS[each.id];
    return github === undefined ? each : { ...each, github };
  }),
  training: {
    ...policy.training,
    repositories: [{ name: 'digits', branch: 'main', reviewers: 1, github: 'ml/digits' }],
  },
});

let intake: Intake;
let repository: Repository;
let github: PlayedGitHub;
let work: string;
let commit: string;
let asked = 0;

beforeEach(async () => {
  intake = await createIntake(onGitHub);
  repository = await Repository.make(intake.world);
  github = await PlayedGitHub.start(TOKEN);
  work = mkdtempSync(join(tmpdir(), 'custody-github-'));
  commit = await repository.commit({ 'train.py': 'print("training")\n' });
});
afterEach(() => {
  repository.remove();
  github.close();
  rmSync(work, { recursive: true });
});

const check = (
  access: { api: string; token?: string } | null = { api: github.api, token: TOKEN },
  by: KeyName = 'trainer',
) => {
  const key = intake.world.keys[by];
  const further = reviewsSeen({ records: intake.records, key, github: access ?? undefined });
  const about = { repository: 'digits', address: repository.folder, commit };
  return reviewedCode(intake.records, about, join(work, String((asked += 1))), { keeps: true, further });
};
const refused = async (): Promise<unknown> => {
  try {
    await check();
    return 'admitted';
  } catch (error) {
    return (error as { code?: string }).code;
  }
};

describe('a review in a pull request', () => {
  it('counts as its reviewer’s, in a statement of the training zone that says where it saw it', async () => {
    github.pulls = [{ reviews: [{ user: REMY, commit }] }];
    const { reviewers, reviews, tree } = await check();
    expect(reviewers).toEqual(['remy']);
    expect(reviews.map(({ verified }) => verified)).toMatchObject([
      {
        ...{ signers: ['trainer'], subject: tree.digest },
        predicate: {
          ...{ commit, decision: 'approve', reason: 'pull request 1 of ml/digits' },
          seen: { on: 'github', pull: 1, review: 80, user: REMY, submittedAt: '2026-01-01T00:00:00.000Z' },
        },
      },
    ]);
  });

  it('counts as intake has seen it; attack: not as control says that it has', async () => {
    github.pulls = [{ reviews: [{ user: REMY, commit }] }];
    const access = { api: github.api, token: TOKEN };
    expect((await check(access, 'intake')).reviews.map(({ verified }) => verified.signers)).toEqual([['intake']]);
    await expect(check(access, 'control')).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
  });

  it('is found on whatever page it stands, and beside one in the notes', async () => {
    const talk = Array.from({ length: 250 }, () => ({ user: STRANGER, commit, state: 'COMMENTED' as const }));
    github.pulls = [{ reviews: [] }, { reviews: [...talk, { user: REMY, commit }] }];
    await repository.review('rolf', commit);
    expect([...(await check()).reviewers].sort()).toEqual(['remy', 'rolf']);
  });

  it.each<[string, () => PlayedGitHub['pulls']]>([
    ['of another commit', () => [{ reviews: [{ user: REMY, commit: 'c'.repeat(40) }] }]],
    ['by a program', () => [{ reviews: [{ user: REMY, commit, type: 'Bot' }] }]],
    ['by somebody whom the policy does not know', () => [{ reviews: [{ user: STRANGER, commit }] }]],
    ['by its author', () => [{ reviews: [{ user: RITA, commit }] }]],
    ['that was dismissed', () => [{ reviews: [{ user: REMY, commit, state: 'DISMISSED' }] }]],
    ['that only comments', () => [{ reviews: [{ user: REMY, commit, state: 'COMMENTED' }] }]],
    ['that was not sent', () => [{ reviews: [{ user: REMY, commit, state: 'PENDING' }] }]],
    ['of a pull request that was not merged', () => [{ mergedAt: null, reviews: [{ user: REMY, commit }] }]],
    ['of a pull request to another branch', () => [{ base: 'topic', reviews: [{ user: REMY, commit }] }]],
    ['of a pull request to a fork', () => [{ repository: 'mallory/digits', reviews: [{ user: REMY, commit }] }]],
  ])('attack: %s counts for nothing', async (_, pulls) => {
    github.pulls = pulls();
    expect(await refused()).toBe('NOT_AUTHORISED');
  });

  it('attack: changes were asked for, also after an approval and by one of two', async () => {
    const approval = { user: REMY, commit };
    github.pulls = [{ reviews: [approval, { user: ROLF, commit, state: 'CHANGES_REQUESTED' }] }];
    expect(await refused()).toBe('POLICY_REFUSED');
    github.pulls = [
      {
        reviews: [
          { ...approval, at: '2026-01-02T00:00:00Z' },
          { user: REMY, commit, state: 'CHANGES_REQUESTED' },
        ],
      },
    ];
    expect(await refused()).toBe('admitted');
    github.pulls = [
      { reviews: [approval, { user: REMY, commit, state: 'CHANGES_REQUESTED', at: '2026-01-03T00:00:00Z' }] },
    ];
    expect(await refused()).toBe('POLICY_REFUSED');
  });

  it('attack: what the zone has signed before is not played back by notes or store, once it was dismissed', async () => {
    github.pulls = [{ reviews: [{ user: REMY, commit }] }];
    const [review] = (await check()).reviews;
    if (review === undefined) throw new Error('there is no review');
    await noteReview(repository.folder, commit, review.envelope, 'mallory');
    await intake.records.keep(review.envelope, storeKeys.review('digits', commit, review.verified.digest));
    github.pulls = [{ reviews: [{ user: REMY, commit, state: 'DISMISSED' }] }];
    expect(await refused()).toBe('NOT_AUTHORISED');
  });

  it('attack: counts for nothing where the policy does not say so, and without GitHub nothing does where it does', async () => {
    github.pulls = [{ reviews: [{ user: REMY, commit }] }];
    await expect(check(null)).rejects.toMatchObject({ code: 'POLICY_REFUSED' });
    await repository.review('remy', commit);
    github.protected = false;
    expect(await refused()).toBe('POLICY_REFUSED');
    const next = intake.world.nextPolicy((policy) => ({
      ...policy,
      training: { ...policy.training, repositories: [{ name: 'digits', branch: 'main', reviewers: 1 }] },
    }));
    await intake.bucket.createOnce(storeKeys.policy(2), canonicalBytes(next.envelope));
    const before = github.asked.length;
    expect((await check()).reviewers).toEqual(['remy']);
    expect(github.asked).toHaveLength(before);
  });

  it.each([
    ['it is down', { status: 502 }, 'REPOSITORY_UNAVAILABLE'],
    ['it has had enough', { status: 429 }, 'REPOSITORY_UNAVAILABLE'],
    [
      'the token has used up what it may ask',
      { status: 403, headers: { 'x-ratelimit-remaining': '0' } },
      'REPOSITORY_UNAVAILABLE',
    ],
    ['the token may not look', { status: 403, headers: { 'x-ratelimit-remaining': '9' } }, 'NOT_AUTHORISED'],
    [
      'the repository has moved',
      { status: 301, headers: { location: 'https://api.github.com/repositories/1' } },
      'NOT_AUTHORISED',
    ],
    ['it answers something else', { status: 200 }, 'MALFORMED'],
  ])('attack: nothing is admitted while %s', async (_, instead, code) => {
    github.pulls = [{ reviews: [{ user: REMY, commit }] }];
    github.instead = instead;
    expect(await refused()).toBe(code);
  });

  it('attack: nothing is admitted when GitHub cannot be reached, or does not know the token', async () => {
    await repository.review('remy', commit);
    await expect(check({ api: github.api, token: 'another' })).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
    github.close();
    expect(await refused()).toBe('REPOSITORY_UNAVAILABLE');
  });
});
