import { describe, expect, it } from 'vitest';
import type { ReviewPredicate } from '../../../domain/code-review.js';
import type { Policy } from '../../../domain/policy.js';
import type { PromptsFound } from '../../../domain/prompts.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { sha256 } from '../../../formats/sha256.js';
import { releaseInService } from '../../support/evidence.js';
import { createWorld, type KeyName } from '../../support/world.js';
import { defaultFiles } from '../../support/world/files.js';
import { dossierOf, failing, keep, rowOf } from './dossiers.js';

/** Dossiers of releases whose code or prompts were reviewed. */

const FILES = sha256('a list of files');
const COMMIT = 'c'.repeat(40);

interface Reviewing {
  readonly by?: KeyName;
  readonly reviewers?: readonly string[];
  readonly said?: Partial<ReviewPredicate>;
  readonly files?: string;
  readonly policy?: (policy: Policy) => Policy;
}

function reviewOf({ by = 'remy', said = {}, policy }: Reviewing) {
  const world = createWorld(policy === undefined ? {} : { policy });
  const review = world.statement(
    'review',
    { name: 'digits', sha256: FILES },
    {
      ...{ environment: 'test', repository: 'digits', commit: COMMIT, decision: 'approve', reason: 'it reads well' },
      ...{ issuedAt: world.at(-200), ...said },
    },
    by,
  );
  return { world, review };
}

describe('a release whose training code was reviewed', () => {
  function trained({ reviewers = ['remy'], files = FILES, ...reviewing }: Reviewing = {}) {
    const { world, review } = reviewOf(reviewing);
    const annotations = { kind: 'training-code', branch: 'main', reviewers, reviews: [review.digest] };
    const code = { name: 'digits', digest: { gitCommit: COMMIT, dirHash: files }, annotations };
    const life = releaseInService(world, {
      release: {
        provenance: (usual) => ({
          ...usual,
          buildDefinition: {
            ...usual.buildDefinition,
            resolvedDependencies: [...usual.buildDefinition.resolvedDependencies, code],
          },
        }),
      },
    });
    keep(life, storeKeys.statement(review.digest), review);
    return life;
  }

  it('shows the commit, and who approved of it', async () => {
    const evidence = await dossierOf(trained());
    expect(failing(evidence)).toEqual([]);
    expect(rowOf(evidence, 'C3.5.4')).toMatchObject({
      ...{ state: 'holds', says: 'commit cccccccccccc of digits, approved by remy' },
    });
    expect(evidence.documents.map(({ kind }) => kind)).toContain('review');
  });

  const SEEN = { on: 'github', pull: 7, review: 80, user: 583_231, submittedAt: '2026-01-01T00:00:00.000Z' } as const;
  const onGitHub = (policy: Policy): Policy => ({
    ...policy,
    authorities: policy.authorities.map((each) => (each.id === 'remy' ? { ...each, github: SEEN.user } : each)),
    training: {
      ...policy.training,
      repositories: [{ name: 'digits', branch: 'main', reviewers: 1, github: 'ml/digits' }],
    },
  });
  const seen = { reason: 'pull request 7 of ml/digits', seen: SEEN };

  it('shows a review that its training zone has seen on GitHub, as such', async () => {
    const evidence = await dossierOf(trained({ by: 'trainer', said: seen, policy: onGitHub }));
    expect(failing(evidence)).toEqual([]);
    expect(rowOf(evidence, 'C3.5.4')).toMatchObject({
      says: 'commit cccccccccccc of digits, approved by remy, as a zone has seen it in pull request 7 of ml/digits',
    });
  });

  it('attack: fails with one that nobody may have seen, or where the policy does not let it count', async () => {
    const forged = await dossierOf(trained({ by: 'control', said: seen, policy: onGitHub }));
    expect(failing(forged)).toEqual(['draft-C3.5.4']);
    expect(failing(await dossierOf(trained({ by: 'trainer', said: seen })))).toEqual(['draft-C3.5.4']);
  });

  it.each<[string, Reviewing]>([
    ['by somebody who is no reviewer', { by: 'alice', reviewers: ['alice'] }],
    ['by another than the provenance says', { reviewers: ['remy', 'rolf'] }],
    ['by nobody', { reviewers: [] }],
    ['of another commit', { said: { commit: 'd'.repeat(40) } }],
    ['of another repository', { said: { repository: 'letters' } }],
    ['of other files', { files: sha256('other code') }],
    ['that rejects it', { said: { decision: 'reject' } }],
  ])('attack: fails with a review %s', async (_, change) => {
    expect(failing(await dossierOf(trained(change)))).toEqual(['draft-C3.5.4']);
  });
});

describe('a release whose prompts were reviewed', () => {
  function prompted(
    { reviewers = ['remy'], files = FILES, ...reviewing }: Reviewing = {},
    change: Partial<PromptsFound> = {},
  ) {
    const { world, review } = reviewOf(reviewing);
    const from = {
      ...{ repository: 'digits', commit: COMMIT, folder: 'prompts', branch: 'main', list: files },
      ...{ reviewers, reviews: [review.digest] },
    };
    const life = releaseInService(world, {
      release: {
        files: { ...defaultFiles('1.0.0'), 'system.prompt': 'You are a clerk.\n' },
        scan: { prompts: { files: 1, from, ...change } },
      },
    });
    keep(life, storeKeys.statement(review.digest), review);
    return life;
  }

  it('shows the commit that they are of, and who approved of it', async () => {
    const evidence = await dossierOf(prompted());
    expect(failing(evidence)).toEqual([]);
    expect(rowOf(evidence, 'C3.4.3')).toMatchObject({
      state: 'holds',
      says: 'commit cccccccccccc of digits, approved by remy; 1 prompt in prompts/ of the commit cccccccccccc on main of digits, approved by remy',
    });
    expect(evidence.documents.map(({ kind }) => kind)).toContain('review');
  });

  it('that has none is not concerned', async () => {
    expect(rowOf(await dossierOf(releaseInService()), 'C3.4.3')).toMatchObject({ state: 'not concerned' });
  });

  it('attack: fails with prompts of no commit, though the policy lets them in', async () => {
    const lax = (policy: Policy): Policy => ({
      ...policy,
      artifacts: { ...policy.artifacts, allowUnreviewedPrompts: true },
    });
    expect(failing(await dossierOf(prompted({ policy: lax }, { from: null })))).toEqual(['draft-C3.4.3']);
  });

  it.each<[string, Reviewing]>([
    ['by somebody who is no reviewer', { by: 'alice', reviewers: ['alice'] }],
    ['by another than the scan says', { reviewers: ['remy', 'rolf'] }],
    ['by nobody', { reviewers: [] }],
    ['of another commit', { said: { commit: 'd'.repeat(40) } }],
    ['of other files', { files: sha256('other prompts') }],
    ['that rejects it', { said: { decision: 'reject' } }],
  ])('attack: fails with a review %s', async (_, change) => {
    expect(failing(await dossierOf(prompted(change)))).toEqual(['draft-C3.4.3']);
  });
});
