import { describe, expect, test } from 'vitest';
import { NOT_PROVISIONAL } from '../../../domain/evidence.js';
import { liftingRefused } from '../../../domain/override.js';
import type { ErrorCode } from '../../../domain/errors.js';
import type { Policy } from '../../../domain/policy.js';
import type { OverridePredicate } from '../../../domain/provisional-predicates.js';
import type { RequestPredicate } from '../../../domain/statements.js';
import { plusSeconds } from '../../../domain/time.js';
import { verifyRelease } from '../../../formats/evidence.js';
import { standsUntil } from '../../../domain/provisional.js';
import { denial, verdictsOf } from '../../support/verdicts.js';
import {
  PASSED,
  createWorld,
  withProvisions,
  type Release,
  type ReleaseOptions,
  type Signed,
} from '../../support/world.js';

const DAY = 86_400;
const world = createWorld({ policy: withProvisions });
const { at, policy, policyEnvelope, override } = world;
const FAILED = {
  result: 'FAILED',
  passedTests: ['contract/own/a', 'contract/own/b', 'cases/own>=3'],
  failedTests: ['contract/own/shape', 'accuracy/own>=0.9'],
} as const;

type Asked = Signed<RequestPredicate>;
type Said = Signed<OverridePredicate>;

interface Overriding {
  readonly says?: (asked: Asked) => readonly Said[];
  readonly renewals?: (asked: Asked) => readonly Said[];
  readonly asked?: Partial<RequestPredicate>;
  readonly askedBy?: 'control' | 'oscar';
  /** Of which release the override is. */
  readonly of?: Release;
  /** Whether the deploy request names the override, or only its request and no statement. */
  readonly named?: boolean | 'request';
}

function overridden(
  { says = (asked) => [override(asked)], renewals = () => [], ...over }: Overriding = {},
  options: ReleaseOptions = {},
): Release {
  return world.release({
    testResult: FAILED,
    rests: (made) => {
      const about = over.of === undefined ? made : { ...over.of, requester: made.requester };
      const asked = world.overrideRequest(about, over.asked, over.askedBy);
      const [first, later] = [says(asked), renewals(asked)];
      const named = first.map(({ digest }, index) => [`override/${index + 1}`, digest] as const);
      return {
        names:
          over.named === false
            ? {}
            : { override: asked.digest, ...(over.named === 'request' ? {} : Object.fromEntries(named)) },
        provisional: {
          override: {
            request: asked.envelope,
            statements: [...first, ...later].map(({ envelope }) => envelope),
          },
          emergency: null,
        },
      };
    },
    ...options,
  });
}

const loading = (release: Release, now = at(0)) => verdictsOf(world, now).loading(release.evidence);
const one = overridden();

function under(edit: (policy: Policy) => Policy, release: Release = one) {
  const { envelope } = world.nextPolicy(edit);
  return verdictsOf(world).signing({ ...release.evidence, policies: [policyEnvelope, envelope] });
}

function until(release: Release): string | null {
  const checked = verifyRelease(release.evidence, world.root, at(0));
  return standsUntil(checked.release, checked.rules)?.until ?? null;
}

describe('a failed validation', () => {
  test('blocks a release that nobody has overridden', () => {
    expect(loading(world.release({ testResult: FAILED }))).toEqual(denial('VALIDATION_FAILED', /did not pass/));
  });

  test('is lifted by an override authority, for signing and for loading', () => {
    expect(loading(one)).toEqual({ allowed: true, approvers: ['alice'] });
    expect(verdictsOf(world).signing(one.evidence)).toEqual({ allowed: true, approvers: ['alice'] });
  });

  test('is lifted until the override ends, and not a millisecond longer', () => {
    const end = plusSeconds(at(-35), 3600);
    expect(until(one)).toBe(end);
    expect(loading({ ...one, evidence: fresh(one, plusSeconds(end, -0.001)) }, plusSeconds(end, -0.001))).toMatchObject(
      {
        allowed: true,
      },
    );
    expect(loading({ ...one, evidence: fresh(one, end) }, end)).toEqual(denial('EXPIRED', /stood until/));
  });

  test('needs as many people as the policy says, and counts people, not keys', () => {
    const strict = createWorld({
      policy: (p) => ({ ...withProvisions(p), override: { count: 2, withinSeconds: 600, holdsSeconds: 7 * DAY } }),
    });
    const by = (...who: ('vera' | 'vito')[]) =>
      strict.release({
        testResult: FAILED,
        rests: (made) => {
          const asked = strict.overrideRequest(made);
          const said = who.map((id) => strict.override(asked, id));
          const names = Object.fromEntries(said.map(({ digest }, index) => [`override/${index + 1}`, digest]));
          const statements = said.map(({ envelope }) => envelope);
          return {
            names: { override: asked.digest, ...names },
            provisional: { override: { request: asked.envelope, statements }, emergency: null },
          };
        },
      });
    const verdict = (release: Release) => verdictsOf(strict, strict.at(0)).loading(release.evidence);
    expect(verdict(by('vera', 'vito'))).toMatchObject({ allowed: true });
    expect(verdict(by('vera'))).toEqual(denial('NOT_AUTHORISED', /1 more with the role override-authority/));
    expect(verdict(by('vera', 'vera'))).toEqual(denial('NOT_AUTHORISED', /1 more with the role override-authority/));
  });
});

/** With a status document of that time. */
function fresh({ evidence }: Release, now: string): Release['evidence'] {
  return { ...evidence, status: world.status({ issuedAt: now, expiresAt: plusSeconds(now, 60) }).envelope };
}

describe('attack: an override', () => {
  const other = world.release({ version: '2.0.0', testResult: FAILED });
  const UNSAFE = { ...FAILED, failedTests: [...FAILED.failedTests, 'safety/own/refuses-poison'] };
  const attacks: [string, Overriding & { readonly made?: ReleaseOptions['testResult'] }, ErrorCode, RegExp][] = [
    ['by nobody', { says: () => [] }, 'NOT_AUTHORISED', /1 more/],
    [
      'by a release approver',
      { says: (a) => [override(a, 'alice')] },
      'NOT_AUTHORISED',
      /alice does not hold the role/,
    ],
    ['by control', { says: (a) => [override(a, 'control')] }, 'NOT_AUTHORISED', /control does not hold/],
    [
      'given after its request had expired',
      { says: (a) => [override(a, 'vera', { issuedAt: at(-1) })], asked: { issuedAt: at(-40), expiresAt: at(-2) } },
      'EXPIRED',
      /after the request had expired/,
    ],
    ['older than its request', { says: (a) => [override(a, 'vera', { issuedAt: at(-200) })] }, 'EXPIRED', /older than/],
    ['from the future', { says: (a) => [override(a, 'vera', { issuedAt: at(70) })] }, 'EXPIRED', /is to come/],
    [
      'for another environment',
      { says: (a) => [override(a, 'vera', { environment: 'prod' })] },
      'REPLAYED',
      /environment prod/,
    ],
    [
      'for another workflow',
      { says: (a) => [override(a, 'vera', { workflowId: 'lifecycle/digits/2.0.0' })] },
      'REPLAYED',
      /for workflow/,
    ],
    [
      'for another request',
      { says: (a) => [override({ ...a, digest: other.request.digest })] },
      'REPLAYED',
      /another request/,
    ],
    [
      'of another release',
      { says: (a) => [override(a, 'vera', { release: other.release })] },
      'REPLAYED',
      /another validation/,
    ],
    [
      'of another validation',
      { says: (a) => [override(a, 'vera', { testResult: other.testResult.digest })] },
      'REPLAYED',
      /another validation/,
    ],
    ['replayed from another release', { of: other }, 'REPLAYED', /asked for something else/],
    [
      'that lifts less than what has failed',
      { says: (a) => [override(a, 'vera', { lifts: ['contract/own/shape'] })] },
      'POLICY_REFUSED',
      /exactly what has failed/,
    ],
    [
      'that lifts more than what has failed',
      { says: (a) => [override(a, 'vera', { lifts: [...FAILED.failedTests, 'contract/own/other'] })] },
      'POLICY_REFUSED',
      /exactly what has failed/,
    ],
    [
      'that lifts something else',
      { says: (a) => [override(a, 'vera', { lifts: ['contract/own/shape', 'contract/own/other'] })] },
      'POLICY_REFUSED',
      /exactly what has failed/,
    ],
    [
      'that lifts one thing twice instead of two',
      { says: (a) => [override(a, 'vera', { lifts: ['contract/own/shape', 'contract/own/shape'] })] },
      'POLICY_REFUSED',
      /exactly what has failed/,
    ],
    [
      'that holds longer than the policy allows',
      { says: (a) => [override(a, 'vera', { holdsUntil: plusSeconds(at(-35), 7 * DAY + 0.001) })] },
      'POLICY_REFUSED',
      /at the latest/,
    ],
    [
      'that holds for no time',
      { says: (a) => [override(a, 'vera', { holdsUntil: at(-35) })] },
      'EXPIRED',
      /not hold for any time/,
    ],
    ['asked for by an operator', { askedBy: 'oscar' }, 'NOT_AUTHORISED', /not asked for by control/],
    [
      'whose request says that less has failed',
      { asked: { action: { kind: 'override', failed: ['contract/own/shape'] } } },
      'VALIDATION_FAILED',
      /exactly what failed/,
    ],
    [
      'of a safety criterion, by a request that leaves it out',
      {
        made: UNSAFE,
        asked: { action: { kind: 'override', failed: FAILED.failedTests } },
        says: (a) => [override(a, 'vera', { lifts: FAILED.failedTests })],
      },
      'VALIDATION_FAILED',
      /exactly what failed/,
    ],
    [
      'of a safety criterion, by a list that leaves it out',
      { made: UNSAFE, says: (a) => [override(a, 'vera', { lifts: FAILED.failedTests })] },
      'POLICY_REFUSED',
      /exactly what has failed/,
    ],
    [
      'of a safety criterion, by a list that spells it otherwise',
      {
        made: UNSAFE,
        says: (a) => [override(a, 'vera', { lifts: [...FAILED.failedTests, ' safety/own/refuses-poison'] })],
      },
      'POLICY_REFUSED',
      /exactly what has failed/,
    ],
    [
      'whose request stays open for too long',
      { asked: { issuedAt: at(-40), expiresAt: plusSeconds(at(-40), 601) } },
      'POLICY_REFUSED',
      /stay open/,
    ],
    ['that the deploy request does not name', { named: false }, 'REPLAYED', /another override/],
    ['whose statement the approvers have not seen', { named: 'request' }, 'NOT_AUTHORISED', /1 more/],
  ];
  test.each(attacks)('%s lifts nothing', (_, over, code, reason) => {
    const { made = FAILED, ...rest } = over;
    expect(loading(overridden(rest, { testResult: made }))).toEqual(denial(code, reason));
  });

  test('by the requester or the producer lifts nothing', () => {
    const both = (p: Policy): Policy => ({
      ...withProvisions(p),
      authorities: p.authorities.map((held) =>
        held.id === 'rita' ? { ...held, roles: ['requester', 'override-authority'] } : held,
      ),
    });
    const own = createWorld({ policy: both });
    const release = own.release({
      testResult: FAILED,
      admissionBy: 'rita',
      rests: (made) => {
        const asked = own.overrideRequest(made);
        const said = own.override(asked, 'rita');
        return {
          names: { override: asked.digest, 'override/1': said.digest },
          provisional: { override: { request: asked.envelope, statements: [said.envelope] }, emergency: null },
        };
      },
    });
    expect(verdictsOf(own, own.at(0)).loading(release.evidence)).toEqual(
      denial('NOT_AUTHORISED', /rita asked for this/),
    );
  });

  test('of a validation that has passed is refused', () => {
    const passed = { result: 'PASSED', passedTests: [...PASSED], failedTests: [] } as const;
    const release = overridden({ asked: { action: { kind: 'override', failed: ['a'] } } }, { testResult: passed });
    expect(loading(release)).toEqual(denial('REPLAYED', /nothing has failed/));
  });

  test('cannot stand in for cases that did not run', () => {
    const few = { result: 'FAILED', passedTests: ['contract/own/a'], failedTests: ['contract/own/b'] } as const;
    expect(loading(overridden({}, { testResult: few }))).toEqual(
      denial('VALIDATION_FAILED', /2 cases of own ran, 3 are/),
    );
  });

  test.each([['safety/own/refuses-poison'], ['safety/own>=0.9'], ['cases/own>=20'], ['rows/own>=20']])(
    'of %s is refused under any policy',
    (criterion) => {
      const failed = { ...FAILED, failedTests: ['contract/own/shape', 'accuracy/own>=0.9', criterion] };
      expect(loading(overridden({}, { testResult: failed }))).toEqual(denial('POLICY_REFUSED', /can never be lifted/));
    },
  );

  test('without a justification is no statement at all', () => {
    const release = overridden({ says: (a) => [override(a, 'vera', { justification: '   short  ' })] });
    expect(() => loading(release)).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
  });

  test('ends with the criterion becoming one that can never be lifted, and with overrides altogether', () => {
    const always = (p: Policy): Policy => ({ ...p, validation: { ...p.validation, always: ['accuracy*'] } });
    expect(under(always)).toEqual(denial('POLICY_REFUSED', /accuracy\/own>=0.9 can never be lifted/));
    const without = (p: Policy): Policy =>
      Object.fromEntries(Object.entries(p).filter(([section]) => section !== 'override')) as unknown as Policy;
    expect(under(without)).toEqual(denial('POLICY_REFUSED', /knows no override/));
  });
});

describe('a gateway', () => {
  const { provisional } = one.evidence;
  const route = (now: string, changes: Parameters<typeof world.routePlan>[2] = {}) => {
    const { delivery } = world.routePlan(null, one, { provisional, document: { issuedAt: now }, ...changes });
    return verdictsOf(world, now).route(null, delivery);
  };

  test('raises the weight of an overridden release while the override holds', () => {
    expect(route(at(0))).toMatchObject({ allowed: true });
  });

  test('attack: raises none without the override, or with another one', () => {
    expect(route(at(0), { provisional: NOT_PROVISIONAL })).toEqual(denial('REPLAYED', /another override/));
    const other = overridden().evidence.provisional;
    expect(route(at(0), { provisional: other })).toEqual(denial('REPLAYED', /another override/));
  });

  test('attack: raises none once the override has ended, though its plan is not over', () => {
    const brief = overridden({ says: (a) => [override(a, 'vera', { holdsUntil: at(10) })] });
    const step = (now: string) =>
      verdictsOf(world, now).route(
        null,
        world.routePlan(null, brief, { provisional: brief.evidence.provisional, document: { issuedAt: now } }).delivery,
      );
    expect(step(at(9))).toMatchObject({ allowed: true });
    expect(step(at(10))).toEqual(denial('EXPIRED', /stood until/));
  });
});

describe('a renewal', () => {
  const renewed = (issuedAt: string, by: 'vera' | 'vito' | 'alice' = 'vera', holds = 3600) =>
    overridden({
      renewals: (a) => [override(a, by, { issuedAt, holdsUntil: plusSeconds(issuedAt, holds) })],
    });

  test('by whom the role is moves the time, also long after the request has expired', () => {
    expect(until(renewed(at(3500)))).toBe(at(7100));
    expect(until(renewed(at(3500), 'vito'))).toBe(at(7100));
  });

  test('attack: after the override has ended renews nothing', () => {
    expect(until(renewed(at(3565)))).toBe(at(7165));
    expect(until(renewed(at(3566)))).toBe(at(3565));
  });

  test('attack: by somebody without the role, or for longer than the policy allows, renews nothing', () => {
    expect(until(renewed(at(3500), 'alice'))).toBe(at(3565));
    expect(until(renewed(at(3500), 'vera', 7 * DAY + 1))).toBe(at(3565));
  });
});

describe('what can never be lifted', () => {
  const lifting = (criterion: string, always?: readonly string[]) =>
    liftingRefused([criterion], {
      ...policy,
      validation: { ...policy.validation, ...(always === undefined ? {} : { always }) },
    });

  test('is safety where the policy does not say', () => {
    expect(lifting('safety/own/no-poison')).toMatch(/never/);
    expect(lifting('contract/own/shape')).toBeNull();
    expect(lifting('accuracy/own>=0.9')).toBeNull();
  });

  test('is exactly what the policy lists, where it does, and too few cases', () => {
    expect(lifting('safety/own/no-poison', ['accuracy*'])).toBeNull();
    expect(lifting('accuracy/own>=0.9', ['accuracy*'])).toMatch(/never/);
    expect(lifting('cases/own>=20', [])).toMatch(/never/);
    expect(lifting('contract/own/a.b', ['contract/own/a?b', 'contract/own/a+b'])).toBeNull();
  });
});
