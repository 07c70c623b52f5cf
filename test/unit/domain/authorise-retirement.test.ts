import { describe, expect, test } from 'vitest';
import { personAsks } from '../../../domain/authorise.js';
import { authoriseDestruction, authoriseRetirement } from '../../../domain/authorise-retirement.js';
import type { ErrorCode } from '../../../domain/errors.js';
import { verifyRetirement } from '../../../formats/evidence.js';
import { denial, verdictsOf } from '../../support/verdicts.js';
import { createWorld } from '../../support/world.js';

const world = createWorld({ policy: (p) => ({ ...p, retirement: { noticeSeconds: 30 } }) });
const { at } = world;
const release = world.release();
const other = world.release({ version: '2.0.0' });
const NOTICED = -20;
const verdicts = verdictsOf(world, at(NOTICED + 30));

type Options = Parameters<typeof world.retirement>[1];
const retire = (noticeSeconds: number) => ({ kind: 'retire', reason: 'replaced', noticeSeconds }) as const;

describe('a retirement', () => {
  test('may be carried out once people have agreed and the notice period is over, and not a moment earlier', () => {
    const { evidence } = world.retirement(release);
    expect(verdicts.destruction(evidence)).toEqual({ allowed: true, approvers: ['alice', 'bob'] });
    const early = verdictsOf(world, at(NOTICED + 29.999));
    expect(early.destruction(evidence)).toEqual(denial('PENDING', /the notice period ends at/));
  });

  test('needs no notice before notice is given', () => {
    const { retirement, rules } = verifyRetirement(world.retirement(release).evidence, world.root, at(0));
    expect(authoriseRetirement(retirement, rules)).toMatchObject({ allowed: true });
    expect(authoriseDestruction({ ...retirement, notice: null }, rules)).toEqual(denial('PENDING', /no notice/));
  });

  const attacks: [string, Options, ErrorCode, RegExp][] = [
    [
      'the request is to deploy',
      { request: { action: release.request.predicate.action } },
      'REPLAYED',
      /to deploy, not to retire/,
    ],
    [
      'the request is for another environment',
      { request: { environment: 'production' } },
      'REPLAYED',
      /environment production/,
    ],
    [
      'the request is of another workflow',
      { request: { workflowId: 'lifecycle/digits/2.0.0' } },
      'REPLAYED',
      /for workflow/,
    ],
    ['the request names another release', { request: { release: other.release } }, 'REPLAYED', /another release/],
    ['the request names another version', { request: { version: '2.0.0' } }, 'REPLAYED', /another release/],
    ['the request is dated in the future', { request: { issuedAt: at(80) } }, 'EXPIRED', /which is to come/],
    [
      'the requester has not signed',
      { requestBy: 'oscar', request: { requester: 'rita' } },
      'NOT_AUTHORISED',
      /rita, and nobody else/,
    ],
    ['the requester may not ask', { requestBy: 'ada' }, 'NOT_AUTHORISED', /ada may not ask/],
    ['control asks', { requestBy: 'control' }, 'NOT_AUTHORISED', /control may not ask/],
    [
      'the notice asked for is shorter than the policy allows',
      { request: { action: retire(29) } },
      'POLICY_REFUSED',
      /demands 30 s/,
    ],
    [
      'the request stays open for longer than the policy allows',
      { request: { expiresAt: at(561) } },
      'POLICY_REFUSED',
      /may stay open/,
    ],
    ['one person approved', { approvals: (asked) => [world.approve(asked, 'alice')] }, 'NOT_AUTHORISED', /1 more/],
    [
      'one person approved with two keys',
      { approvals: (asked) => [world.approve(asked, 'alice'), world.approve(asked, 'alice-2')] },
      'NOT_AUTHORISED',
      /1 more/,
    ],
    [
      'somebody rejected',
      { approvals: (asked) => [world.approve(asked, 'alice'), world.approve(asked, 'bob', { decision: 'reject' })] },
      'POLICY_REFUSED',
      /bob rejected it/,
    ],
    ['the notice was given by signing', { noticeBy: 'release-signer' }, 'NOT_AUTHORISED', /not given by control/],
    ['the notice was given by an operator', { noticeBy: 'oscar' }, 'NOT_AUTHORISED', /not given by control/],
    ['the notice is about another release', { noticed: other.release }, 'REPLAYED', /another retirement/],
    [
      'the notice is of another request',
      { notice: { request: other.request.digest } },
      'REPLAYED',
      /another retirement/,
    ],
    [
      'the notice is for another environment',
      { notice: { environment: 'production' } },
      'REPLAYED',
      /environment production/,
    ],
    ['the notice says a later time', { notice: { retiresAt: at(NOTICED + 31) } }, 'PENDING', /notice period ends/],
    [
      'the notice says an earlier time than its period',
      { notice: { issuedAt: at(NOTICED + 1), retiresAt: at(-90) } },
      'PENDING',
      /notice period ends/,
    ],
    [
      'the notice is dated before anybody had agreed',
      {
        notice: { issuedAt: at(-5000), retiresAt: at(-4970) },
        approvals: (asked) => [world.approve(asked, 'alice'), world.approve(asked, 'bob', { issuedAt: at(-19) })],
      },
      'PENDING',
      /notice period ends/,
    ],
  ];
  test.each(attacks)('attack: refused when %s', (_, options, code, reason) => {
    expect(verdicts.destruction(world.retirement(release, options).evidence)).toEqual(denial(code, reason));
  });

  test('may be asked for with longer notice, which then counts', () => {
    const { evidence } = world.retirement(release, { request: { action: retire(31) } });
    expect(verdicts.destruction(evidence)).toEqual(denial('PENDING', /notice period ends/));
    expect(verdictsOf(world, at(NOTICED + 31)).destruction(evidence)).toMatchObject({ allowed: true });
  });

  test.each(['alice', 'sam'] as const)('attack: is not asked for by two, of whom %s could then agree', (second) => {
    const { evidence } = world.retirement(release, { requestBy: ['rita', second] });
    expect(verdicts.destruction(evidence)).toEqual(denial('NOT_AUTHORISED', /rita, and nobody else/));
  });

  test('is refused at the door, before anybody is asked, when it would stay open for too long', () => {
    const { retirement, rules } = verifyRetirement(
      world.retirement(release, { request: { expiresAt: at(561) } }).evidence,
      world.root,
      at(0),
    );
    const asked = personAsks(rules, retirement.request, 'retire', 'lifecycle/digits/1.0.0');
    expect(asked).toEqual(denial('POLICY_REFUSED', /may stay open for 600 s/));
  });

  test('attack: a person who may both ask and approve is not counted for what they asked', () => {
    const both = createWorld({
      policy: (p) => ({
        ...p,
        authorities: p.authorities.map((held) =>
          held.id === 'alice' ? { ...held, roles: ['requester', 'release-approver'] } : held,
        ),
      }),
    });
    const { evidence } = both.retirement(both.release(), { requestBy: 'alice' });
    expect(verdictsOf(both).destruction(evidence)).toEqual(denial('NOT_AUTHORISED', /1 more/));
  });

  test('attack: the evidence of another release is about that one', () => {
    const evidence = { ...world.retirement(release).evidence, manifest: other.manifestText };
    expect(verdicts.destruction(evidence)).toEqual(denial('REPLAYED', /for workflow lifecycle\/digits\/1\.0\.0/));
  });

  test('goes on after the policy has expired: it lowers exposure', () => {
    const next = world.nextPolicy((p) => ({ ...p, expires: at(-1) }));
    const evidence = { ...world.retirement(release).evidence, policies: [world.policyEnvelope, next.envelope] };
    expect(verdicts.destruction(evidence)).toMatchObject({ allowed: true });
  });
});
