import { describe, expect, test } from 'vitest';
import type { ErrorCode } from '../../../domain/errors.js';
import type { Policy } from '../../../domain/policy.js';
import { standsUntil } from '../../../domain/provisional.js';
import type { RiskAssessmentPredicate } from '../../../domain/provisional-predicates.js';
import type { ApprovalPredicate, RequestPredicate } from '../../../domain/statements.js';
import { plusSeconds } from '../../../domain/time.js';
import { verifyRelease } from '../../../formats/evidence.js';
import { denial, verdictsOf } from '../../support/verdicts.js';
import {
  createWorld,
  withProvisions,
  type KeyName,
  type Release,
  type ReleaseOptions,
  type Signed,
  type Untried,
} from '../../support/world.js';

const DAY = 86_400;

/** rita, who may ask, is a security authority too; sam, who is one, reviews too. */
function greedy(policy: Policy): Policy {
  const more: Record<string, Policy['authorities'][number]['roles']> = {
    rita: ['requester', 'security-authority', 'reviewer'],
    sam: ['security-authority', 'reviewer'],
  };
  const authorities = policy.authorities.map((held) => ({ ...held, roles: more[held.id] ?? held.roles }));
  return { ...withProvisions(policy), authorities };
}

const world = createWorld({ policy: greedy });
const { at, approve } = world;
/** When the security authority has approved: the review is due three days later. */
const APPROVED = at(-30);
const DUE = plusSeconds(APPROVED, 3 * DAY);
const SERVED = { expiresAt: at(560) };

type Request = Signed<RequestPredicate>;

interface Emergency {
  readonly assessed?: (made: Untried) => Signed<RiskAssessmentPredicate>;
  /** What the start request and the deploy request name, where it is not the assessment. */
  readonly named?: { readonly start?: string | null; readonly deploy?: string | null };
  readonly review?: (deploy: Request) => { request: Request; approvals: readonly Signed<ApprovalPredicate>[] } | null;
  readonly by?: KeyName;
}

function emergency(
  { assessed, named = {}, review, by = 'rita' }: Emergency = {},
  options: ReleaseOptions = {},
): Release {
  const name = { model: 'digits', version: '1.0.0' };
  const { release } = world.release(name);
  const made = { name, release, requester: by } as Untried;
  const assessment = assessed?.(made) ?? world.assess(made, by);
  const names = (given: string | null | undefined): Record<string, string> =>
    given === null ? {} : { riskAssessment: given ?? assessment.digest };
  const deployment = (reviewed: ReturnType<NonNullable<Emergency['review']>>): Release =>
    world.release({
      admissionBy: by,
      admission: { evidence: names(named.start), nonce: 'a'.repeat(20), requestId: 'start' },
      approvals: (asked) => [approve(asked, 'sam', { issuedAt: APPROVED })],
      rests: () => ({
        names: names(named.deploy),
        provisional: {
          override: null,
          emergency: {
            assessment: assessment.envelope,
            review:
              reviewed === null
                ? null
                : {
                    request: reviewed.request.envelope,
                    approvals: reviewed.approvals.map(({ envelope }) => envelope),
                  },
          },
        },
      }),
      ...options,
    });
  const unreviewed = deployment(null);
  if (review === undefined) return unreviewed;
  const reviewed = review(unreviewed.request);
  if (reviewed === null) return unreviewed;
  const evidence = {
    ...unreviewed.evidence,
    provisional: {
      override: null,
      emergency: {
        assessment: assessment.envelope,
        review: { request: reviewed.request.envelope, approvals: reviewed.approvals.map(({ envelope }) => envelope) },
      },
    },
  };
  return { ...unreviewed, evidence };
}

const fresh = ({ evidence }: Release, now: string): Release['evidence'] => ({
  ...evidence,
  status: world.status({ issuedAt: now, expiresAt: plusSeconds(now, 60) }).envelope,
});
const loading = (release: Release, now = at(0)) => verdictsOf(world, now).loading(fresh(release, now));
const until = (release: Release) => {
  const checked = verifyRelease(release.evidence, world.root, at(0));
  return standsUntil(checked.release, checked.rules);
};
/** A review that is asked for as control does, and answered. */
const review =
  (answers: (asked: Request) => readonly Signed<ApprovalPredicate>[], changes: Partial<RequestPredicate> = {}) =>
  (deploy: Request) => {
    const request = world.reviewRequest(deploy, changes);
    return { request, approvals: answers(request) };
  };

describe('an emergency deployment', () => {
  test('needs the security authority alone, and stands until its review is due', () => {
    const release = emergency();
    expect(loading(release)).toEqual({ allowed: true, approvers: ['sam'] });
    expect(verdictsOf(world).signing(release.evidence)).toMatchObject({ allowed: true });
    expect(until(release)).toMatchObject({ until: DUE });
    expect(loading(release, plusSeconds(DUE, -1))).toMatchObject({ allowed: true });
    expect(loading(release, DUE)).toEqual(denial('EXPIRED', /not reviewed in time/));
    expect(loading(release, plusSeconds(DUE, 1))).toEqual(denial('EXPIRED', /not reviewed in time/));
  });

  test('stands for good once it was reviewed', () => {
    const release = emergency({ review: review((asked) => [approve(asked, 'remy', { issuedAt: at(0) })]) });
    expect(until(release)).toBeNull();
    expect(loading(release, plusSeconds(DUE, 1))).toMatchObject({ allowed: true });
  });

  test('ends with the rejection of a reviewer', () => {
    const no = { decision: 'reject', issuedAt: at(-5), reason: 'it was no emergency' } as const;
    const release = emergency({ review: review((asked) => [approve(asked, 'remy', no)]) });
    expect(loading(release)).toEqual(denial('EXPIRED', /remy rejected it in review: it was no emergency/));
  });
});

describe('a gateway', () => {
  const route = (release: Release, provisional = release.evidence.provisional) => {
    const { request, approvals } = release;
    const { delivery } = world.routePlan(null, release, { request, approvals, provisional });
    return verdictsOf(world).route(null, delivery);
  };

  test('routes an emergency in one step, as the security authority has agreed', () => {
    expect(route(emergency())).toEqual({ allowed: true, approvers: ['sam'] });
  });

  test('attack: does not without its assessment, by a release approver, or by another plan', () => {
    expect(route(emergency(), { override: null, emergency: null })).toEqual(
      denial('REPLAYED', /another risk assessment/),
    );
    const approved = emergency({}, { approvals: (asked) => [approve(asked, 'alice')] });
    expect(route(approved)).toEqual(denial('NOT_AUTHORISED', /security-authority/));
    const { action } = emergency().request.predicate;
    const plan = [{ weight: 100, bakeSeconds: 0.1 }];
    const quick = emergency({}, { request: { action: { ...action, plan } as typeof action } });
    expect(route(quick)).toEqual(denial('POLICY_REFUSED', /weaker than the policy/));
  });
});

const other = { name: { model: 'digits', version: '2.0.0' }, release: world.release({ version: '2.0.0' }).release };
const BAD: [string, Emergency, ReleaseOptions, ErrorCode, RegExp][] = [
  ['by a workload', { by: 'ci' }, {}, 'NOT_AUTHORISED', /ci is not a person/],
  [
    'whose assessment is of another person',
    { assessed: (m) => world.assess(m, 'otto') },
    {},
    'NOT_AUTHORISED',
    /rita, and/,
  ],
  [
    'whose assessment two people have signed',
    { assessed: (m) => world.assess(m, ['rita', 'otto']) },
    {},
    'NOT_AUTHORISED',
    /and nobody else/,
  ],
  [
    'whose assessment is of another release',
    { assessed: () => world.assess(other) },
    {},
    'REPLAYED',
    /another release/,
  ],
  [
    'whose assessment is of another environment',
    { assessed: (m) => world.assess(m, 'rita', { environment: 'prod' }) },
    {},
    'REPLAYED',
    /another release/,
  ],
  [
    'whose assessment is to come',
    { assessed: (m) => world.assess(m, 'rita', { issuedAt: at(100) }) },
    {},
    'EXPIRED',
    /to come/,
  ],
  [
    'that the start request does not ask for',
    { named: { start: null } },
    {},
    'REPLAYED',
    /start request names another/,
  ],
  ['whose assessment the deploy request does not name', { named: { deploy: null } }, {}, 'REPLAYED', /start request/],
  [
    'whose assessment is not the one that is named',
    { named: { start: other.release, deploy: other.release } },
    {},
    'REPLAYED',
    /another risk assessment/,
  ],
  [
    'approved by a release approver',
    {},
    { approvals: (asked) => [approve(asked, 'alice')] },
    'NOT_AUTHORISED',
    /1 more with the role security-authority/,
  ],
  [
    'approved by the one who asks, though a security authority',
    {},
    { approvals: (asked) => [approve(asked, 'rita')] },
    'NOT_AUTHORISED',
    /1 more with the role security-authority/,
  ],
  [
    'approved a second late',
    {},
    { approvals: (asked) => [approve(asked, 'sam', { issuedAt: plusSeconds(asked.predicate.expiresAt, 1) })] },
    'NOT_AUTHORISED',
    /1 more with the role security-authority/,
  ],
  [
    'whose request stays open for longer than the policy says',
    {},
    { request: { expiresAt: plusSeconds(at(-40), 601) } },
    'POLICY_REFUSED',
    /stay open for 600 s/,
  ],
];

describe('attack: an emergency deployment', () => {
  test.each(BAD)('%s is refused', (_, how, options, code, reason) => {
    const now = /late/.test(_) ? plusSeconds(SERVED.expiresAt, 2) : at(0);
    expect(loading(emergency(how, options), now)).toEqual(denial(code, reason));
  });

  test('whose assessment was edited is refused', () => {
    const { evidence } = emergency();
    const { assessment } = evidence.provisional.emergency ?? expect.fail('no emergency');
    const text = Buffer.from(assessment.payload, 'base64').toString('utf8').replace('exploited', 'discussed');
    const edited = { ...assessment, payload: Buffer.from(text).toString('base64') };
    const provisional = { override: null, emergency: { assessment: edited, review: null } };
    expect(() => verdictsOf(world).loading({ ...evidence, provisional })).toThrow(
      expect.objectContaining({ code: 'SIGNATURE_INVALID' }),
    );
  });

  test('without its assessment is refused', () => {
    const { evidence } = emergency();
    const provisional = { override: null, emergency: null };
    expect(verdictsOf(world).loading({ ...evidence, provisional })).toEqual(
      denial('REPLAYED', /another risk assessment/),
    );
  });

  test('is refused where the policy knows none', () => {
    const plain = createWorld();
    const { release } = plain.release();
    const assessment = plain.assess({ name: { model: 'digits', version: '1.0.0' }, release });
    const asked = plain.release({
      admissionBy: 'rita',
      admission: { evidence: { riskAssessment: assessment.digest } },
      approvals: (request) => [plain.approve(request, 'sam')],
      rests: () => ({
        names: { riskAssessment: assessment.digest },
        provisional: { override: null, emergency: { assessment: assessment.envelope, review: null } },
      }),
    });
    expect(verdictsOf(plain).loading(asked.evidence)).toEqual(denial('POLICY_REFUSED', /knows no emergency/));
  });
});

describe('attack: a review', () => {
  const later = plusSeconds(DUE, 1);
  const bad: [string, NonNullable<Emergency['review']>][] = [
    ['by nobody', review(() => [])],
    ['by the one who approved', review((asked) => [approve(asked, 'sam', { issuedAt: at(0) })])],
    [
      'rejected by the one who approved',
      review((asked) => [approve(asked, 'sam', { decision: 'reject', issuedAt: at(0) })]),
    ],
    ['by the one who asked', review((asked) => [approve(asked, 'rita', { issuedAt: at(0) })])],
    ['by somebody who is no reviewer', review((asked) => [approve(asked, 'alice', { issuedAt: at(0) })])],
    ['a second late', review((asked) => [approve(asked, 'remy', { issuedAt: later })])],
    [
      'whose request is open for a second longer than it is due',
      review((asked) => [approve(asked, 'remy', { issuedAt: later })], { expiresAt: later }),
    ],
    [
      'that CI has asked for',
      (deploy) => {
        const request = world.reviewRequest(deploy, {}, 'ci');
        return { request, approvals: [approve(request, 'remy', { issuedAt: at(0) })] };
      },
    ],
    [
      'of another deployment',
      (deploy) => {
        const elsewhere = emergency({}, { version: '1.0.0', request: { nonce: 'b'.repeat(20) } }).request;
        const request = world.reviewRequest({ ...deploy, digest: elsewhere.digest });
        return { request, approvals: [approve(request, 'remy', { issuedAt: at(0) })] };
      },
    ],
    [
      'that is no review, but the approval of the deployment again',
      (deploy) => ({
        request: deploy,
        approvals: [approve(deploy, 'remy', { issuedAt: at(0) })],
      }),
    ],
  ];
  test.each(bad)('%s does not end the provision', (_, answer) => {
    const release = emergency({ review: answer });
    expect(until(release)).toMatchObject({ until: DUE });
    expect(loading(release, later)).toEqual(denial('EXPIRED', /not reviewed in time/));
  });
});
