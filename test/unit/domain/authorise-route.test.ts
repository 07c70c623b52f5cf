import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ErrorCode } from '../../../domain/errors.js';
import type { RoutingDocument } from '../../../domain/routing.js';
import type { RequestAction } from '../../../domain/statements.js';
import { sha256 } from '../../../formats/sha256.js';
import { keyRing, verifyStatement } from '../../../formats/statements.js';
import { personAsks } from '../../../domain/authorise.js';
import { denial, verdictsOf } from '../../support/verdicts.js';
import { createWorld, type KeyName, type Route } from '../../support/world.js';

const world = createWorld();
const { at } = world;
const verdicts = verdictsOf(world);
const judge = (current: Route | null, next: Route) => verdicts.route(current, next.delivery);

const [one, two, three] = ['1.0.0', '1.1.0', '1.2.0'].map((version) => world.release({ version })) as [
  ReturnType<typeof world.release>,
  ReturnType<typeof world.release>,
  ReturnType<typeof world.release>,
];
/** Where attacks start: 1.0.0 established, then 1.1.0 at its first two steps and in service. */
const stable = world.inService(one).at(-1) as Route;
const [ten, fifty, hundred, promoted] = world.inService(two, stable) as [Route, Route, Route, Route];
const kill = world.kill();

type Deploy = Extract<RequestAction, { kind: 'deploy' }>;
const deployment = ten.request?.predicate.action as Deploy;

/** A plan's first step after `current` whose request was changed before people approved it. */
function planWith(change: Partial<Deploy>, current: Route = stable): Route {
  const asked = ten.request as NonNullable<Route['request']>;
  const subject = { name: 'lifecycle/digits/1.1.0', sha256: two.release };
  const request = world.request(subject, { ...asked.predicate, action: { ...deployment, ...change } }, 'control');
  return world.routePlan(current, two, { request, approvals: [world.approve(request, 'alice')] });
}

function requestWith(
  change: Partial<NonNullable<Route['request']>['predicate']>,
  by: KeyName = 'control',
  subject = change.release ?? two.release,
) {
  const asked = ten.request as NonNullable<Route['request']>;
  const request = world.request(
    { name: 'lifecycle/digits/1.1.0', sha256: subject },
    { ...asked.predicate, ...change },
    by,
  );
  return world.routePlan(stable, two, { request, approvals: [world.approve(request, 'alice')] });
}

const releases = (...weights: [typeof one, number][]): RoutingDocument['releases'] =>
  weights.map(([{ release, name }, weight]) => ({ release, version: name.version, weight }));

describe('every document', () => {
  const attacks: [string, Partial<RoutingDocument>, ErrorCode, RegExp][] = [
    ['is for another environment', { environment: 'production' }, 'REPLAYED', /environment production/],
    ['is for another model', { model: 'letters' }, 'REPLAYED', /model letters/],
    ['skips a revision', { revision: 7 }, 'REPLAYED', /revision 7 does not follow/],
    ['repeats a revision', { revision: 5 }, 'REPLAYED', /revision 5 does not follow/],
    ['follows another document', { previous: sha256('another') }, 'REPLAYED', /does not follow/],
    ['follows none', { previous: null }, 'REPLAYED', /does not follow/],
    ['is dated in the future', { issuedAt: at(61) }, 'EXPIRED', /which is to come/],
  ];
  test.each(attacks)('attack: refused when it %s', (_, document, code, reason) => {
    const back = world.rollback(hundred, one.release, { document });
    expect(judge(hundred, back)).toEqual(denial(code, reason));
  });

  test.each(['oscar', 'release-signer', 'serving', 'gateway', 'root-a'] as const)('attack: refused by %s', (by) => {
    expect(judge(hundred, world.rollback(hundred, one.release, { by }))).toEqual(
      denial('NOT_AUTHORISED', new RegExp(`${by} may not route`)),
    );
  });

  test('attack: refused when a stranger signed it', () => {
    expect(() => judge(hundred, world.rollback(hundred, one.release, { by: 'mallory' }))).toThrow(
      expect.objectContaining({ code: 'SIGNATURE_INVALID' }),
    );
  });

  test('attack: a first document must be number one and follow nothing', () => {
    expect(judge(null, ten)).toEqual(denial('REPLAYED', /does not follow/));
  });
});

describe('a step of a plan', () => {
  const requests: [string, Route, ErrorCode, RegExp][] = [
    [
      'comes without a request',
      { ...ten, delivery: { ...ten.delivery, request: null } },
      'NOT_AUTHORISED',
      /does not come with the request/,
    ],
    [
      "comes with another plan's request",
      { ...ten, delivery: { ...ten.delivery, request: three.evidence.request } },
      'NOT_AUTHORISED',
      /does not come with the request/,
    ],
    [
      'rests on a request to restore',
      requestWith({ action: { kind: 'restore', kills: [kill.digest], revision: 2 } }),
      'REPLAYED',
      /not for a deployment/,
    ],
    [
      'rests on a request for another environment',
      requestWith({ environment: 'production' }),
      'REPLAYED',
      /in production/,
    ],
    [
      'rests on a request for another model',
      requestWith({ model: 'letters', workflowId: 'lifecycle/letters/1.1.0' }),
      'REPLAYED',
      /for letters/,
    ],
    [
      'rests on a request of another workflow',
      requestWith({ workflowId: 'lifecycle/digits/1.0.0' }),
      'REPLAYED',
      /belongs to/,
    ],
    [
      'rests on a request about another release',
      requestWith({}, 'control', three.release),
      'MALFORMED',
      /names no release/,
    ],
    ['rests on a request without a release', requestWith({ release: null }), 'MALFORMED', /names no release/],
    [
      'rests on a request for another release',
      requestWith({ release: three.release }),
      'POLICY_REFUSED',
      /not what a plan makes/,
    ],
    ['rests on a request by an operator', requestWith({}, 'oscar'), 'NOT_AUTHORISED', /not made by control/],
    [
      'rests on an approval of one by an operator',
      world.routePlan(stable, two, { request: ten.request, approvals: [world.approve(ten.request as never, 'oscar')] }),
      'NOT_AUTHORISED',
      /1 more/,
    ],
    ['comes without approvals', { ...ten, delivery: { ...ten.delivery, approvals: [] } }, 'NOT_AUTHORISED', /1 more/],
    [
      'comes with the approval of another request',
      { ...ten, delivery: { ...ten.delivery, approvals: two.evidence.approvals } },
      'NOT_AUTHORISED',
      /1 more/,
    ],
    [
      'was approved from another revision',
      planWith({ from: { revision: 1, stable: one.release } }),
      'REPLAYED',
      /approved from revision 1/,
    ],
    [
      'was approved in place of another release',
      planWith({ from: { revision: 2, stable: three.release } }),
      'REPLAYED',
      /no longer serves/,
    ],
    [
      'was approved for an endpoint without a release',
      planWith({ from: { revision: 2, stable: null }, plan: deployment.plan.slice(-1) }),
      'REPLAYED',
      /no longer serves/,
    ],
    [
      'leaves out steps of the policy',
      planWith({ plan: deployment.plan.slice(-1) }),
      'POLICY_REFUSED',
      /weaker than the policy/,
    ],
    [
      'shortens a step of the policy',
      planWith({ plan: deployment.plan.map((step) => ({ ...step, bakeSeconds: 0.1 })) }),
      'POLICY_REFUSED',
      /weaker than the policy/,
    ],
    [
      'gives itself more time than the policy',
      planWith({ deployBefore: at(1161) }),
      'POLICY_REFUSED',
      /gives a plan 600 s/,
    ],
    ['had to begin earlier', planWith({ deployBefore: at(-61) }), 'EXPIRED', /had to begin this step before/],
  ];
  test.each(requests)('attack: refused when it %s', (_, next, code, reason) => {
    expect(judge(stable, next)).toEqual(denial(code, reason));
  });

  const documents: [string, Partial<RoutingDocument>, RegExp][] = [
    ['weight', { releases: releases([two, 50], [one, 50]) }, /not what a plan makes/],
    ['release', { releases: releases([three, 10], [one, 90]) }, /not what a plan makes/],
    [
      'version',
      { releases: [{ release: two.release, version: '9.9.9', weight: 10 }, ...releases([one, 90])] },
      /not what/,
    ],
    ['stable release', { releases: releases([two, 10], [three, 90]) }, /not what a plan makes/],
    [
      'triggers',
      { triggers: { minimumSamples: 1_000_000, maxErrorRate: 1, maxLatencyMs: 9e9 } },
      /not what a plan makes/,
    ],
    ['missing triggers', { triggers: null }, /not what a plan makes/],
    ['lifted orders', { lifted: [{ order: kill.digest, until: kill.predicate.expiresAt }] }, /not what a plan makes/],
    ['policy', { policy: sha256('another') }, /another policy/],
    ['warm release', { releases: releases([two, 10], [one, 90], [three, 0]) }, /not what a plan makes/],
  ];
  test.each(documents)('attack: refused with another %s than was approved', (_, document, reason) => {
    expect(judge(stable, world.routePlan(stable, two, { document }))).toEqual(denial('POLICY_REFUSED', reason));
  });

  test('attack: refused for a step that the plan does not have', () => {
    const beyond = world.routePlan(hundred, two, { step: 3, document: { releases: hundred.document.releases } });
    expect(judge(hundred, beyond)).toEqual(denial('POLICY_REFUSED', /no step 3/));
  });

  test('attack: refused when a step was skipped', () => {
    const skipping = world.routePlan(ten, two, { step: 2 });
    expect(judge(ten, skipping)).toEqual(denial('REPLAYED', /step 2 was approved from revision/));
  });

  test('attack: refused when a rollback stands in for the step that was skipped', () => {
    const back = world.rollback(ten);
    expect(judge(ten, back)).toMatchObject({ allowed: true });
    const grounds = { request: ten.request, approvals: ten.approvals };
    const skipping = world.routePlan(back, two, { step: 2, ...grounds });
    expect(judge(back, skipping)).toEqual(denial('REPLAYED', /step 2 does not follow the step before it/));
  });

  test('attack: refused when a restore stands in for the step that was skipped', () => {
    const lifted = world.restored(ten, [kill]);
    expect(judge(ten, lifted)).toMatchObject({ allowed: true });
    const skipping = world.routePlan(lifted, two, { step: 2, request: ten.request, approvals: ten.approvals });
    expect(judge(lifted, skipping)).toEqual(denial('REPLAYED', /step 2 does not follow the step before it/));
  });

  test('attack: refused before the step before it was watched for its time', () => {
    const issuedAt = new Date(Date.parse(ten.document.issuedAt) + 199).toISOString();
    const hasty = world.routePlan(ten, two, { step: 1, document: { issuedAt } });
    expect(judge(ten, hasty)).toEqual(denial('POLICY_REFUSED', /step 0 was to be watched for 0.2 s/));
  });

  test('attack: refused after a rollback, whose approvals are spent', () => {
    const back = world.rollback(ten);
    const again = world.routePlan(back, two, { request: ten.request, approvals: ten.approvals });
    expect(judge(back, again)).toEqual(denial('REPLAYED', /approved from revision 2/));
  });

  test('is refused once the policy has expired, and still admitted while it is only caught up with', () => {
    const next = world.nextPolicy((p) => ({ ...p, expires: at(-1) }));
    const policies = [world.policyEnvelope, next.envelope];
    expect(verdicts.route(stable, { ...ten.delivery, policies })).toEqual(denial('POLICY_EXPIRED', /policy 2 expired/));
    expect(verdicts.route(stable, { ...ten.delivery, policies, isNewest: false })).toMatchObject({ allowed: true });
  });

  test('is refused late by the clock, and still admitted while it is only caught up with', () => {
    const late = verdictsOf(world, at(1500));
    expect(late.route(stable, ten.delivery)).toEqual(denial('EXPIRED', /had to begin this step before/));
    expect(late.route(stable, { ...ten.delivery, isNewest: false })).toMatchObject({ allowed: true });
  });

  test('attack: refused when it was made late, also while it is only caught up with', () => {
    const made = world.routePlan(stable, two, { document: { issuedAt: at(1221) } });
    const late = verdictsOf(world, at(1500));
    expect(late.route(stable, { ...made.delivery, isNewest: false })).toEqual(denial('EXPIRED', /had to begin this/));
  });
});

describe('a promotion', () => {
  test('is refused before the end of the plan, and without one', () => {
    expect(judge(ten, world.promote(ten))).toEqual(denial('POLICY_REFUSED', /no plan is at its end/));
    expect(judge(fifty, world.promote(fifty))).toEqual(denial('POLICY_REFUSED', /no plan is at its end/));
    expect(judge(promoted, world.promote(promoted))).toEqual(denial('POLICY_REFUSED', /no plan is at its end/));
  });

  test('attack: refused when it promotes another release', () => {
    const document = { releases: releases([three, 100], [one, 0]) };
    expect(judge(hundred, world.promote(hundred, { document }))).toEqual(
      denial('POLICY_REFUSED', /not what a promote/),
    );
  });
});

describe('a rollback', () => {
  test('goes to anything that was established, or to nothing', () => {
    expect(judge(promoted, world.rollback(promoted, one.release))).toMatchObject({ allowed: true });
    expect(judge(fifty, world.rollback(fifty))).toMatchObject({ allowed: true });
    expect(judge(fifty, world.rollback(fifty, null))).toMatchObject({ allowed: true });
  });

  const attacks: [string, Route, Route][] = [
    [
      'to a release that was never established',
      promoted,
      world.rollback(promoted, null, { document: { releases: releases([three, 100]) } }),
    ],
    ['to the release under rollout', ten, world.rollback(ten, null, { document: { releases: releases([two, 100]) } })],
    [
      'that keeps the release under rollout',
      ten,
      world.rollback(ten, one.release, { document: { releases: releases([one, 100], [two, 0]) } }),
    ],
    ['that is only half done', ten, world.rollback(ten, one.release, { document: { releases: releases([one, 90]) } })],
    ['that leaves the plan standing', ten, world.rollback(ten, one.release, { document: { plan: ten.document.plan } })],
    [
      'that lifts an order',
      ten,
      world.rollback(ten, one.release, { document: { lifted: [{ order: kill.digest, until: at(99) }] } }),
    ],
  ];
  test.each(attacks)('attack: refused %s', (_, current, next) => {
    expect(judge(current, next)).toEqual(denial('POLICY_REFUSED', /not what a rollback makes/));
  });

  test('is refused where nothing was ever served', () => {
    const first = world.route(null, world.rollback(ten).document, 'digits', {
      document: { revision: 1, previous: null },
    });
    expect(judge(null, first)).toEqual(denial('POLICY_REFUSED', /nothing to go back from/));
  });

  test('needs neither a policy in force nor anybody but control', () => {
    const next = world.nextPolicy((p) => ({ ...p, expires: at(-1) }));
    const { delivery } = world.rollback(ten);
    const policies = [world.policyEnvelope, next.envelope];
    expect(verdicts.route(ten, { ...delivery, policies })).toMatchObject({ allowed: true });
  });
});

describe('a withdrawal', () => {
  test('takes out one release, warm, stable or under rollout', () => {
    expect(judge(promoted, world.withdraw(promoted, one.release))).toMatchObject({ allowed: true });
    expect(judge(promoted, world.withdraw(promoted, two.release))).toMatchObject({ allowed: true });
    expect(judge(ten, world.withdraw(ten, two.release))).toMatchObject({ allowed: true });
  });

  const attacks: [string, Partial<RoutingDocument>, RegExp][] = [
    ['raises the one that stays', { releases: releases([one, 100]) }, /not what a withdraw makes/],
    ['puts another in its place', { releases: releases([three, 100], [one, 0]) }, /not what a withdraw makes/],
    ['takes out two', { releases: [] }, /not what a withdraw makes/],
    ['takes out none', { releases: promoted.document.releases }, /takes nothing out/],
  ];
  test.each(attacks)('attack: refused when it %s', (_, document, reason) => {
    expect(judge(promoted, world.withdraw(promoted, two.release, { document }))).toEqual(
      denial('POLICY_REFUSED', reason),
    );
  });

  test('is refused where nothing was ever served', () => {
    const first = world.route(null, world.withdraw(ten, two.release).document, 'digits', {
      document: { revision: 1, previous: null },
    });
    expect(judge(null, first)).toEqual(denial('POLICY_REFUSED', /nothing to take out/));
  });
});

describe('a restore', () => {
  const lifted = world.restored(promoted, [kill]);
  const second = world.kill('olga');
  const ask = (...arg: Parameters<typeof world.restoreRequest>) => ({ request: world.restoreRequest(...arg) });

  test('lifts what was asked for and keeps what was lifted before', () => {
    expect(judge(promoted, lifted)).toMatchObject({ allowed: true, approvers: ['olga', 'otto'] });
    const both = world.restored(lifted, [second]);
    expect(judge(lifted, both)).toMatchObject({ allowed: true });
    expect(both.document.lifted.map(({ order }) => order)).toEqual([kill.digest, second.digest]);
  });

  test('may drop an order that has expired by itself', () => {
    const late = verdictsOf(world, at(700));
    const old = world.restored(promoted, [kill]);
    const issuedAt = at(650);
    const request = world.restoreRequest(old, [second.digest], { issuedAt, expiresAt: at(700) });
    const approvals = ['olga', 'otto'].map((by) => world.approve(request, by as 'olga', { issuedAt: at(660) }));
    const document = { lifted: [{ order: second.digest, until: second.predicate.expiresAt }], issuedAt: at(670) };
    const next = world.restored(old, [second], { request, approvals, document });
    expect(late.route(old, next.delivery)).toMatchObject({ allowed: true });
  });

  test('that was open when the next policy came keeps its rules; attack: one asked for later chooses no older policy', () => {
    const { policy: newest } = world.nextPolicy((policy) => policy);
    const { issuedAt = '' } = lifted.request?.predicate ?? {};
    const since = (seconds: number) => new Date(Date.parse(issuedAt) + seconds * 1000).toISOString();
    const under = (newestSince: string | null) =>
      verdicts.route(promoted, lifted.delivery, null, { newest, newestSince });
    for (const came of [null, since(10), since(-59)]) expect(under(came)).toMatchObject({ allowed: true });
    expect(under(since(-61))).toEqual(denial('POLICY_REFUSED', /policy 2 was in force already/));
    const own = { newestSince: since(-3600) };
    expect(verdicts.route(promoted, lifted.delivery, null, own)).toMatchObject({ allowed: true });
  });

  const digest = [kill.digest];
  const agreed = (request: ReturnType<typeof world.restoreRequest>) => ({
    request,
    approvals: [world.approve(request, 'olga'), world.approve(request, 'otto')],
  });
  const attacks: [string, Route, Route, ErrorCode, RegExp][] = [
    [
      'comes without its request',
      promoted,
      { ...lifted, delivery: { ...lifted.delivery, request: null } },
      'NOT_AUTHORISED',
      /does not come with the request/,
    ],
    [
      'comes with another request',
      promoted,
      { ...lifted, delivery: { ...lifted.delivery, request: world.restoreRequest(promoted, digest).envelope } },
      'NOT_AUTHORISED',
      /does not come with the request/,
    ],
    [
      'was approved by nobody',
      promoted,
      world.restored(promoted, [kill], { approvals: [] }),
      'NOT_AUTHORISED',
      /2 more with the role operator/,
    ],
    [
      'was approved by one',
      promoted,
      { ...lifted, delivery: { ...lifted.delivery, approvals: lifted.delivery.approvals.slice(0, 1) } },
      'NOT_AUTHORISED',
      /1 more/,
    ],
    ['was approved by the one who asked', promoted, restoredBy('oscar', 'olga'), 'NOT_AUTHORISED', /1 more/],
    ['was approved by release approvers', promoted, restoredBy('alice', 'bob'), 'NOT_AUTHORISED', /2 more/],
    [
      'was asked by an auditor',
      promoted,
      world.restored(promoted, [kill], agreed(world.restoreRequest(promoted, digest, {}, 'ada'))),
      'NOT_AUTHORISED',
      /ada may not ask/,
    ],
    [
      'was asked by control',
      promoted,
      world.restored(promoted, [kill], agreed(world.restoreRequest(promoted, digest, {}, 'control'))),
      'NOT_AUTHORISED',
      /control may not ask/,
    ],
    [
      'was asked for another model',
      promoted,
      world.restored(
        promoted,
        [kill],
        agreed(world.restoreRequest(promoted, digest, { workflowId: 'endpoint/letters' })),
      ),
      'REPLAYED',
      /for workflow endpoint\/letters/,
    ],
    [
      'was asked for another environment',
      promoted,
      world.restored(promoted, [kill], agreed(world.restoreRequest(promoted, digest, { environment: 'production' }))),
      'REPLAYED',
      /environment production/,
    ],
    [
      'was asked for an earlier revision',
      promoted,
      world.restored(promoted, [kill], agreed(world.restoreRequest(hundred, digest))),
      'REPLAYED',
      /for another revision/,
    ],
    [
      'is carried out twice',
      lifted,
      world.restored(lifted, [kill], agreed(lifted.request as never)),
      'REPLAYED',
      /for another revision/,
    ],
    [
      'lifts an order nobody asked to lift',
      promoted,
      world.restored(promoted, [kill, second], agreed(world.restoreRequest(promoted, digest))),
      'NOT_AUTHORISED',
      /nobody asked to lift/,
    ],
    [
      'lifts nothing',
      promoted,
      world.restored(promoted, [kill], { document: { lifted: [] } }),
      'POLICY_REFUSED',
      /does not lift what was asked/,
    ],
    [
      'lifts an order twice',
      promoted,
      world.restored(promoted, [kill, kill]),
      'POLICY_REFUSED',
      /lifts an order twice/,
    ],
    [
      'forgets an order that was lifted before',
      lifted,
      world.restored(lifted, [second], {
        document: { lifted: [{ order: second.digest, until: second.predicate.expiresAt }] },
      }),
      'POLICY_REFUSED',
      /forgets an order/,
    ],
    [
      'shortens an order that was lifted before',
      lifted,
      world.restored(lifted, [second], {
        document: {
          lifted: [
            { order: kill.digest, until: at(1) },
            { order: second.digest, until: second.predicate.expiresAt },
          ],
        },
      }),
      'NOT_AUTHORISED',
      /nobody asked to lift/,
    ],
    [
      'changes the weights',
      promoted,
      world.restored(promoted, [kill], { document: { releases: releases([two, 0], [one, 100]) } }),
      'POLICY_REFUSED',
      /not what a restore makes/,
    ],
    [
      'adds a release',
      promoted,
      world.restored(promoted, [kill], { document: { releases: releases([two, 100], [one, 0], [three, 0]) } }),
      'POLICY_REFUSED',
      /not what a restore makes/,
    ],
    [
      'begins a plan',
      promoted,
      world.restored(promoted, [kill], { document: { plan: ten.document.plan } }),
      'POLICY_REFUSED',
      /not what a restore makes/,
    ],
    [
      'names another policy',
      promoted,
      world.restored(promoted, [kill], { document: { policy: sha256('another') } }),
      'POLICY_REFUSED',
      /another policy/,
    ],
  ];
  test.each(attacks)('attack: refused when it %s', (_, current, next, code, reason) => {
    expect(judge(current, next)).toEqual(denial(code, reason));
  });

  test('is refused at the door, before anybody is asked, when it would stay open for too long', () => {
    const request = world.restoreRequest(promoted, digest, { expiresAt: at(561) });
    const verified = verifyStatement(request.envelope, 'request', keyRing(world.policy));
    const rules = { environment: 'test', gate: world.policy, newest: world.policy, now: at(0) };
    expect(personAsks(rules, verified, 'restore', 'endpoint/digits')).toEqual(
      denial('POLICY_REFUSED', /may stay open for 600 s/),
    );
  });

  test('is refused once the policy has expired, and where nothing was ever served', () => {
    const next = world.nextPolicy((p) => ({ ...p, expires: at(-1) }));
    const policies = [world.policyEnvelope, next.envelope];
    expect(verdicts.route(promoted, { ...lifted.delivery, policies })).toEqual(denial('POLICY_EXPIRED', /expired/));
    const first = world.route(null, { ...lifted.document }, 'digits', { document: { revision: 1, previous: null } });
    expect(judge(null, first)).toEqual(denial('POLICY_REFUSED', /nothing to restore/));
  });

  function restoredBy(...by: ('oscar' | 'olga' | 'alice' | 'bob')[]): Route {
    const { request } = ask(promoted, digest);
    return world.restored(promoted, [kill], { request, approvals: by.map((name) => world.approve(request, name)) });
  }
});

describe('any change', () => {
  const valid: [string, Route | null, Route][] = [
    ['first', null, world.routePlan(null, one)],
    ['step', stable, ten],
    ['later step', ten, fifty],
    ['promotion', hundred, promoted],
    ['rollback', promoted, world.rollback(promoted, one.release)],
    ['withdrawal', promoted, world.withdraw(promoted, one.release)],
    ['restore', promoted, world.restored(promoted, [kill])],
  ];
  const digests = [one.release, two.release, three.release, kill.digest, sha256('nothing')];
  const digest = fc.constantFrom(...digests);
  const entry = fc.record({
    release: digest,
    version: fc.constantFrom('1.0.0', '1.1.0'),
    weight: fc.integer({ min: 0, max: 100 }),
  });
  const plan = fc.option(fc.record({ request: digest, step: fc.nat(4) }));
  const triggers = fc.option(
    fc.record({
      minimumSamples: fc.integer({ min: 1, max: 99 }),
      maxErrorRate: fc.constant(1),
      maxLatencyMs: fc.constant(5),
    }),
  );
  const anyChange = fc.oneof(
    fc.record({ releases: fc.array(entry, { maxLength: 4 }) }),
    fc.record({ plan }),
    fc.record({ triggers }),
    fc.record({ restore: fc.option(digest) }),
    fc.record({ previous: fc.option(digest) }),
    fc.record({ revision: fc.integer({ min: 1, max: 12 }) }),
    fc.record({ lifted: fc.array(fc.record({ order: digest, until: fc.constant(at(99)) }), { maxLength: 3 }) }),
    fc.record({ model: fc.constantFrom('letters', 'digits') }),
    fc.record({ environment: fc.constantFrom('test', 'production') }),
    fc.record({ change: fc.constantFrom('plan', 'promote', 'rollback', 'restore', 'withdraw') }),
  ) as fc.Arbitrary<Partial<RoutingDocument>>;

  /** Whether the document only lowers exposure, or says of an order that was agreed to be lifted only until when. */
  function saysLess(current: Route | null, route: Route, changed: RoutingDocument): boolean {
    const orders = (document: RoutingDocument) => JSON.stringify(document.lifted.map(({ order }) => order));
    if (changed.change === 'restore') return orders(changed) === orders(route.document);
    const established = current?.document.releases.slice(current.document.plan === null ? 0 : 1) ?? [];
    return (
      (changed.change === 'rollback' || changed.change === 'withdraw') &&
      changed.plan === null &&
      changed.releases.every(({ release }) => established.some((listed) => listed.release === release))
    );
  }

  test.each(valid)('to a valid %s document is refused, unless what it says is only less', (_, current, route) => {
    expect(judge(current, route)).toMatchObject({ allowed: true });
    fc.assert(
      fc.property(anyChange, (change) => {
        const document = { ...route.document, ...change };
        fc.pre(JSON.stringify(document) !== JSON.stringify(route.document));
        const changed = world.route(current, document, document.model, {
          document,
          request: route.request,
          approvals: route.approvals,
        });
        const verdict = judge(current, changed);
        expect(verdict.allowed && !saysLess(current, route, document)).toBe(false);
      }),
      { numRuns: 60 },
    );
  });

  test('to the bytes of a document breaks its signature', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 255 }), (where, flip) => {
        const bytes = Buffer.from(ten.envelope.payload, 'base64');
        const position = where % bytes.length;
        bytes.writeUInt8(bytes.readUInt8(position) ^ flip, position);
        const document = { ...ten.envelope, payload: bytes.toString('base64') };
        expect(() => verdicts.route(stable, { ...ten.delivery, document })).toThrow(
          expect.objectContaining({ code: 'SIGNATURE_INVALID' }),
        );
      }),
      { numRuns: 40 },
    );
  });
});
