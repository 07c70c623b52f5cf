import { describe, expect, test } from 'vitest';
import {
  DRILL_ORDER_SECONDS,
  drilledBack,
  judgeDrill,
  overdueDrill,
  readiness,
  returned,
} from '../../../domain/drill.js';
import type { ErrorCode } from '../../../domain/errors.js';
import { mayKill, type Policy } from '../../../domain/policy.js';
import { diffPolicies } from '../../../domain/policy-diff.js';
import { restored, type RoutingDocument } from '../../../domain/routing.js';
import type { KillPredicate, RequestPredicate } from '../../../domain/statements.js';
import { plusSeconds } from '../../../domain/time.js';
import { policySchema } from '../../../formats/policy-schema.js';
import { denial, verdictsOf } from '../../support/verdicts.js';
import { createWorld, withDrills, type KeyName, type Route, type Signed } from '../../support/world.js';

const world = createWorld({ policy: withDrills() });
const { at } = world;
const verdicts = verdictsOf(world);
const [one, two, three] = ['1.0.0', '1.1.0', '1.2.0'].map((version) => world.release({ version })) as [
  ReturnType<typeof world.release>,
  ReturnType<typeof world.release>,
  ReturnType<typeof world.release>,
];
const first = world.inService(one).at(-1) as Route;
const second = world.inService(two, first).at(-1) as Route;
/** 1.2.0 serves; 1.1.0 and 1.0.0 are kept warm. */
const serving = world.inService(three, second).at(-1) as Route;
const order = world.rollbackOrder('driller');
const kill = world.kill('driller');

const versions = ({ releases }: Pick<RoutingDocument, 'releases'>): string[] =>
  releases.map(({ version, weight }) => `${version} ${weight}`);

function goBack(current: Route, change: Partial<RoutingDocument> = {}): Route {
  const intent = drilledBack(current.document, order.digest);
  if (intent === null) throw new Error('there is nothing to go back to');
  return world.route(current, { ...intent, ...change }, current.document.model);
}
const back = goBack(serving);

const ask = (
  change: Partial<RequestPredicate> = {},
  by: KeyName | readonly KeyName[] = 'driller',
  kills: readonly Signed<KillPredicate>[] = [kill],
  current: Route = back,
) => {
  const issuedAt = at(-5);
  const times = { issuedAt, expiresAt: plusSeconds(issuedAt, DRILL_ORDER_SECONDS) };
  const digests = kills.map(({ digest }) => digest);
  return world.restoreRequest(current, digests, { requester: 'driller', ...times, ...change }, by);
};

/** What control makes of a drill's request: the kill is lifted, and what served before serves again. */
function lift(
  request = ask(),
  kills: readonly Signed<KillPredicate>[] = [kill],
  current: Route = back,
  change: Partial<RoutingDocument> = {},
): Route {
  const orders = kills.map(({ digest, predicate }) => ({ order: digest, until: predicate.expiresAt }));
  const intent = restored(current.document, orders, request.digest, at(0));
  const releases = returned(current.document);
  return world.route(current, { ...intent, releases, ...change }, current.document.model, { request, kills });
}

describe('a drill of a rollback', () => {
  test('goes back by one release and keeps what it went back from', () => {
    expect(versions(back.document)).toEqual(['1.1.0 100', '1.0.0 0', '1.2.0 0']);
    expect(verdicts.route(serving, back.delivery)).toMatchObject({ allowed: true });
  });

  const releases = (...entries: [typeof one, number][]): RoutingDocument['releases'] =>
    entries.map(([{ release, name }, weight]) => ({ release, version: name.version, weight }));
  test.each<[string, Partial<RoutingDocument>]>([
    ['goes back by two', { releases: releases([one, 100], [two, 0], [three, 0]) }],
    ['gives callers to several', { releases: releases([two, 50], [one, 0], [three, 50]) }],
    ['stays where it is', { releases: releases([three, 100], [two, 0], [one, 0]) }],
    ['brings something new', { releases: [...back.document.releases, ...releases([world.release(), 0])] }],
    ['lifts a kill', { lifted: [{ order: kill.digest, until: at(600) }] }],
  ])('attack: refused when it %s', (_, change) => {
    expect(verdicts.route(serving, goBack(serving, change).delivery)).toEqual(
      denial('POLICY_REFUSED', /not what a rollback makes/),
    );
  });

  test('attack: refused as an ordinary rollback, which forgets what it went back from', () => {
    const { change, releases, plan, triggers, lifted, restore } =
      drilledBack(serving.document, order.digest) ?? expect.fail('nothing');
    const intent = { change, releases, plan, triggers, lifted, restore };
    expect(verdicts.route(serving, world.route(serving, intent, 'digits').delivery)).toMatchObject({ allowed: false });
  });

  test('attack: refused on every endpoint but the declared one, and where none is declared', () => {
    for (const policy of [withDrills({ model: 'letters' }), (p: Policy) => p]) {
      const other = createWorld({ policy });
      const steady = other.inService(other.release({ version: '1.0.0' })).at(-1) as Route;
      const now = other.inService(other.release({ version: '1.1.0' }), steady).at(-1) as Route;
      const intent = drilledBack(now.document, order.digest) ?? expect.fail('nothing');
      expect(verdictsOf(other).route(now, other.route(now, intent, 'digits').delivery)).toEqual(
        denial('NOT_AUTHORISED', /digits is not the endpoint that the policy has drilled/),
      );
    }
  });

  test('is none while something is rolled out, or where nothing else is kept warm', () => {
    expect(drilledBack(first.document, order.digest)).toBeNull();
    expect(
      drilledBack(world.routePlan(serving, world.release({ version: '2.0.0' })).document, order.digest),
    ).toBeNull();
  });
});

describe('what a drill restores', () => {
  test('is its own kill, without people, and what served before it', () => {
    const again = lift();
    expect(versions(again.document)).toEqual(['1.2.0 100', '1.1.0 0', '1.0.0 0']);
    expect(verdicts.route(back, again.delivery)).toMatchObject({ allowed: true });
  });

  test('serves on with what serves where no rollback of a drill is in force', () => {
    const request = ask({}, 'driller', [kill], serving);
    const again = lift(request, [kill], serving);
    expect(again.document.releases).toEqual(serving.document.releases);
    expect(verdicts.route(serving, again.delivery)).toMatchObject({ allowed: true });
  });

  const attacks: [string, () => Route, ErrorCode, RegExp][] = [
    [
      'lifts the kill of a person',
      () => lift(ask({}, 'driller', [world.kill()]), [world.kill()]),
      'NOT_AUTHORISED',
      /none of a drill/,
    ],
    ...(['oscar', 'control', 'gateway'] as const).map((by): [string, () => Route, ErrorCode, RegExp] => {
      const stopped = world.kill(by);
      return [
        `lifts the kill of ${by}`,
        () => lift(ask({}, 'driller', [stopped]), [stopped]),
        'NOT_AUTHORISED',
        /none of a drill/,
      ];
    }),
    [
      'does not show the kill that it lifts',
      () => {
        const shown = lift();
        return { ...shown, delivery: { ...shown.delivery, kills: [] } };
      },
      'NOT_AUTHORISED',
      /none of a drill/,
    ],
    [
      'lifts a kill of another endpoint',
      () => {
        const other = world.kill('driller', { model: 'letters' });
        return lift(ask({}, 'driller', [other]), [other]);
      },
      'NOT_AUTHORISED',
      /none of a drill/,
    ],
    ['is asked for by control', () => lift(ask({ requester: 'control' }, 'control')), 'NOT_AUTHORISED', /may not ask/],
    [
      'is asked for by an operator, without a quorum',
      () => lift(ask({ requester: 'oscar' }, 'oscar')),
      'POLICY_REFUSED',
      /not what a restore/,
    ],
    ['is asked for by two', () => lift(ask({}, ['driller', 'oscar'])), 'NOT_AUTHORISED', /nobody else/],
    ['is asked for in another name', () => lift(ask({ requester: 'otto' })), 'NOT_AUTHORISED', /otto, and nobody else/],
    [
      'is for another endpoint',
      () => lift(ask({ model: 'letters', workflowId: 'endpoint/letters' })),
      'NOT_AUTHORISED',
      /no endpoint but/,
    ],
    [
      'is for another environment',
      () => lift(ask({ environment: 'production' })),
      'REPLAYED',
      /environment production/,
    ],
    ['is old', () => lift(ask({ issuedAt: at(-700), expiresAt: at(-100) })), 'EXPIRED', /the request expired/],
    ['is to come', () => lift(ask({ issuedAt: at(200), expiresAt: at(300) })), 'EXPIRED', /is to come/],
    ['stands for long', () => lift(ask({ expiresAt: at(5000) })), 'POLICY_REFUSED', /may stand for 600 s/],
    [
      'was made for another revision',
      () => lift(ask({ action: { kind: 'restore', kills: [kill.digest], revision: 3 } })),
      'REPLAYED',
      /another revision/,
    ],
    [
      'brings back something else than served before',
      () => lift(ask(), [kill], back, { releases: [{ ...back.document.releases[1]!, weight: 100 }] }),
      'POLICY_REFUSED',
      /not what a restore makes/,
    ],
  ];
  test.each(attacks)('attack: refused when it %s', (_, make, code, reason) => {
    expect(verdicts.route(back, make().delivery)).toEqual(denial(code, reason));
  });

  test("attack: brings nothing back that a person's rollback went back from", () => {
    const taken = world.rollback(serving, two.release);
    const request = ask({}, 'driller', [kill], taken);
    const again = lift(request, [kill], taken);
    expect(versions(again.document)).toEqual(['1.1.0 100', '1.0.0 0']);
    const forward = lift(request, [kill], taken, { releases: serving.document.releases });
    expect(verdicts.route(taken, forward.delivery)).toEqual(denial('POLICY_REFUSED', /not what a restore makes/));
  });

  test('attack: nothing under a policy that has moved the drills elsewhere since', () => {
    const next = world.nextPolicy((policy) => withDrills({ model: 'letters' })(policy));
    const { delivery } = lift();
    const policies = [...delivery.policies, next.envelope];
    expect(verdicts.route(back, { ...delivery, policies })).toEqual(denial('NOT_AUTHORISED', /no endpoint but/));
  });
});

test('attack: who drills stops the drill endpoint alone', () => {
  expect(mayKill(world.policy, 'driller', 'digits')).toBe(true);
  expect(mayKill(world.policy, 'driller', 'letters')).toBe(false);
  expect(mayKill({ ...world.policy, drills: undefined } as unknown as Policy, 'driller', 'digits')).toBe(false);
  expect(mayKill(world.policy, 'oscar', 'letters')).toBe(true);
});

describe('a drill begins', () => {
  const now = Date.parse(at(0));
  const ready = (policy: Policy, document: RoutingDocument | null, killedBy: string[] = []) =>
    readiness(policy, document, killedBy, now);

  test('where two releases are there and nobody is at work', () => {
    expect(ready(world.policy, serving.document)).toMatchObject({
      ...{ kind: 'ready', serving: { version: '1.2.0' }, earlier: { version: '1.1.0' } },
    });
  });

  test.each<[string, () => ReturnType<typeof ready>, string, RegExp]>([
    ['without a policy of drills', () => ready(createWorld().policy, serving.document), 'failed', /declares no drills/],
    ['on nothing', () => ready(world.policy, null), 'failed', /serves nothing/],
    ['on one release', () => ready(world.policy, first.document), 'failed', /no release warm/],
    ['on a killed endpoint', () => ready(world.policy, serving.document, [kill.digest]), 'postponed', /is killed/],
    [
      'in a rollout',
      () => ready(world.policy, world.routePlan(serving, world.release({ version: '2.0.0' })).document),
      'postponed',
      /being rolled out/,
    ],
    [
      'under a policy that could end before the restore',
      () => ready({ ...world.policy, expires: at(500) }, serving.document),
      'failed',
      /could not be restored/,
    ],
  ])('not %s', (_, found, kind, why) => {
    expect(found()).toEqual({ kind, why: expect.stringMatching(why) as string });
  });
});

describe('what a drill has shown', () => {
  const step = (ms: number | null, trouble: string | null = null) =>
    ({ step: 'kill', ms, agreedMs: 100, trouble }) as const;

  test('is within the agreed times, over one, or failed', () => {
    expect(judgeDrill([step(100)])).toEqual({ outcome: 'within', reason: 'kill 100 of 100 ms' });
    expect(judgeDrill([step(1), step(101)])).toMatchObject({ outcome: 'over' });
    expect(judgeDrill([step(1), step(null)])).toMatchObject({ outcome: 'failed' });
    expect(judgeDrill([step(101), step(null, 'nobody stopped')])).toEqual({
      ...{ outcome: 'failed', reason: 'kill 101 of 100 ms, kill: nobody stopped' },
    });
  });

  test('is missed after two that did not come', () => {
    const rules = world.policy.drills ?? expect.fail('no drills');
    expect(overdueDrill(rules, at(-7200), Date.parse(at(0)))).toBeNull();
    expect(overdueDrill(rules, at(-7201), Date.parse(at(0)))).toMatch(/no drill of digits has been held since/);
  });
});

describe('the policy of drills', () => {
  const problems = (edit: (policy: Policy) => Policy): string[] =>
    policySchema
      .safeParse(edit(world.policy))
      .error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ?? [];

  test('is sound as it stands', () => {
    expect(problems((policy) => policy)).toEqual([]);
  });

  test('attack: nobody drills who has another part, and somebody must', () => {
    const roles = (given: Policy['authorities'][number]['roles']) => (policy: Policy) => ({
      ...policy,
      authorities: policy.authorities.map((held) => (held.id === 'driller' ? { ...held, roles: given } : held)),
    });
    expect(problems(roles(['drill', 'control']))).toEqual([expect.stringMatching(/who drills does nothing else/)]);
    expect(problems(roles(['monitor']))).toEqual([expect.stringMatching(/nobody holds the role drill/)]);
    const person = (policy: Policy): Policy => ({
      ...policy,
      authorities: policy.authorities.map((held) => (held.id === 'oscar' ? { ...held, roles: ['drill'] } : held)),
    });
    expect(problems(person)).not.toEqual([]);
  });

  test('gives a kill no longer than an emergency has', () => {
    expect(problems(withDrills({ killMs: 5001 }))).toEqual([expect.stringMatching(/killMs: more than/)]);
    expect(problems(withDrills({ everySeconds: 1 }))).not.toEqual([]);
  });

  test('is weaker with longer times, with another endpoint, and by its being there; and without it', () => {
    const weakens = (from: Policy, to: Policy): string[] =>
      diffPolicies(from, to).flatMap(({ path, weakens: is }) => (is ? [path] : []));
    const without = JSON.parse(JSON.stringify({ ...world.policy, drills: undefined })) as Policy;
    expect(weakens(world.policy, withDrills({ killMs: 600, everySeconds: 7200 })(world.policy))).toEqual([
      ...['drills.everySeconds', 'drills.killMs'],
    ]);
    expect(weakens(world.policy, withDrills({ killMs: 400 })(world.policy))).toEqual([]);
    expect(weakens(world.policy, withDrills({ model: 'letters' })(world.policy))).toEqual(['drills.model']);
    expect(weakens(without, world.policy)).toEqual(['drills.model']);
    expect(weakens(world.policy, without)).toEqual(expect.arrayContaining(['drills.everySeconds', 'drills.killMs']));
  });
});
