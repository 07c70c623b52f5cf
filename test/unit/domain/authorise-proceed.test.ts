import { describe, expect, test } from 'vitest';
import type { ErrorCode } from '../../../domain/errors.js';
import type { ProceedEvidence } from '../../../domain/evidence.js';
import type { RequestPredicate } from '../../../domain/statements.js';
import { plusSeconds } from '../../../domain/time.js';
import { sha256 } from '../../../formats/sha256.js';
import { denial, verdictsOf } from '../../support/verdicts.js';
import { createWorld, type KeyName, type Route, type Signed } from '../../support/world.js';

const BAKE = 0.2;
/** People are asked after the first and after the second step. */
const world = createWorld({
  policy: (policy) => ({
    ...policy,
    rollout: {
      ...policy.rollout,
      steps: [
        { weight: 10, bakeSeconds: BAKE, pause: true },
        { weight: 50, bakeSeconds: BAKE, pause: true },
        { weight: 100, bakeSeconds: BAKE },
      ],
    },
  }),
});
const verdicts = verdictsOf(world);
const judge = (current: Route | null, next: Route) => verdicts.route(current, next.delivery);

const [one, two, three] = ['1.0.0', '1.1.0', '1.2.0'].map((version) => world.release({ version })) as [
  ReturnType<typeof world.release>,
  ReturnType<typeof world.release>,
  ReturnType<typeof world.release>,
];
const stable = world.inService(one).at(-1) as Route;
const ten = world.routePlan(stable, two);
const fifty = world.routePlan(ten, two, { step: 1 });
const other = world.routePlan(stable, three);

const next = (proceed: ProceedEvidence | null): Route => world.routePlan(ten, two, { step: 1, proceed });
const asked = (change: Partial<RequestPredicate> & { subject?: string }, by: KeyName = 'control') =>
  world.proceedRequest(ten, change, by);
const action = asked({}).predicate.action as Extract<RequestPredicate['action'], { kind: 'proceed' }>;
const saying = (request: Signed<RequestPredicate>, by: readonly KeyName[] = ['alice']) =>
  world.agreed(ten, request, by);

describe('after a step that pauses', () => {
  test('the next one is admitted with what people said, as is the one after it with what they said then', () => {
    expect(judge(ten, fifty)).toMatchObject({ allowed: true });
    expect(judge(fifty, world.routePlan(fifty, two, { step: 2 }))).toMatchObject({ allowed: true });
  });

  test('attack: control alone goes on to nothing', () => {
    expect(judge(ten, next(null))).toEqual(denial('NOT_AUTHORISED', /the plan pauses: people must approve step 1/));
    expect(judge(ten, next(saying(asked({}), [])))).toEqual(denial('NOT_AUTHORISED', /1 more with the role/));
  });

  test('attack: the approval of the plan is not the approval to go on', () => {
    const [request, approvals] = [ten.request, ten.approvals];
    if (request === null) throw new Error('a plan has a request');
    const again = { request: request.envelope, approvals: approvals.map(({ envelope }) => envelope) };
    expect(judge(ten, next(again))).toEqual(denial('REPLAYED', /is not that the plan goes on/));
  });

  test('attack: what people said to one step lets no other begin', () => {
    const replayed = world.routePlan(fifty, two, { step: 2, proceed: world.agreed(ten) });
    expect(judge(fifty, replayed)).toEqual(denial('REPLAYED', /is not step 2 of this plan/));
  });

  const requests: [string, Partial<RequestPredicate> & { subject?: string }, ErrorCode, RegExp][] = [
    ['another plan', { action: { ...action, deploy: sha256('another plan') } }, 'REPLAYED', /is not step 1/],
    ['a later step', { action: { ...action, step: 2 } }, 'REPLAYED', /is not step 1/],
    ['fewer callers', { action: { ...action, weight: 20 } }, 'REPLAYED', /is not step 1/],
    ['another release', { release: three.release }, 'REPLAYED', /is not step 1/],
    ['another subject', { subject: three.release }, 'REPLAYED', /is not step 1/],
    ['another version', { version: '1.2.0' }, 'REPLAYED', /is not step 1/],
    ['another model', { model: 'letters' }, 'REPLAYED', /is not step 1/],
    ['another environment', { environment: 'production' }, 'REPLAYED', /is not step 1/],
    ['the lifecycle', { workflowId: 'lifecycle/digits/1.1.0' }, 'REPLAYED', /is not step 1/],
    ['a friend of the requester', { requester: 'oscar' }, 'REPLAYED', /another requester or producer/],
    ['a friend of the producer', { producer: 'oscar' }, 'REPLAYED', /another requester or producer/],
    [
      'what has yet to be seen',
      { issuedAt: ten.document.issuedAt },
      'POLICY_REFUSED',
      /asked before the step had been/,
    ],
    ['an age', { expiresAt: plusSeconds(ten.document.issuedAt, 7000) }, 'POLICY_REFUSED', /may stay open for 600 s/],
  ];
  test.each(requests)('attack: a request for %s opens nothing', (_, change, code, reason) => {
    expect(judge(ten, next(saying(asked(change))))).toEqual(denial(code, reason));
  });

  test.each(['oscar', 'serving', 'gateway', 'alice'] as const)('attack: nor does one by %s', (by) => {
    expect(judge(ten, next(saying(asked({}, by))))).toEqual(denial('NOT_AUTHORISED', /was not made by control/));
  });

  test.each(['oscar', 'sam', 'ci', 'trainer', 'control'] as const)('attack: %s has no say', (by) => {
    expect(judge(ten, next(saying(asked({}), [by])))).toEqual(denial('NOT_AUTHORISED', /1 more with the role/));
  });

  test('attack: whoever says it after the gate has closed has said nothing', () => {
    const request = asked({ expiresAt: plusSeconds(ten.document.issuedAt, 2) });
    const late = world.approve(request, 'alice', { issuedAt: plusSeconds(ten.document.issuedAt, 3) });
    const said = { request: request.envelope, approvals: [late.envelope] };
    expect(judge(ten, next(said))).toEqual(denial('NOT_AUTHORISED', /1 more with the role/));
  });

  test('attack: one person who is against it outweighs those who are for it', () => {
    const request = asked({});
    const against = world.approve(request, 'bob', { decision: 'reject', reason: 'slow' });
    const said = { request: request.envelope, approvals: [world.approve(request, 'alice'), against] };
    const evidence = { ...said, approvals: [said.approvals[0]!.envelope, against.envelope] };
    expect(judge(ten, next(evidence))).toEqual(denial('POLICY_REFUSED', /bob rejected it: slow/));
  });

  test('attack: a stranger who calls itself control is none', () => {
    expect(() => judge(ten, next(saying(asked({}, 'mallory'))))).toThrow(
      expect.objectContaining({ code: 'SIGNATURE_INVALID' }),
    );
  });

  test('attack: caught up with, a document without it is refused as well', () => {
    const route = world.routePlan(ten, two, { step: 1, proceed: null, isNewest: false });
    expect(judge(ten, route)).toEqual(denial('NOT_AUTHORISED', /the plan pauses/));
  });

  test('another release has its own: what was said of it does not help this one', () => {
    expect(judge(ten, next(world.agreed(other)))).toEqual(denial('REPLAYED', /is not step 1/));
  });
});
