import { describe, expect, test } from 'vitest';
import { authoriseLoading, policyInForce } from '../../../domain/authorise.js';
import type { Digest } from '../../../domain/digest.js';
import type { ErrorCode } from '../../../domain/errors.js';
import { parentDependency } from '../../../domain/parent.js';
import type { Policy } from '../../../domain/policy.js';
import { dependency } from '../../../domain/provenance.js';
import type { BuildDependency, ProvenancePredicate } from '../../../domain/statements.js';
import type { ReleaseChange } from '../../../domain/versioning.js';
import { policyDigest } from '../../../formats/policy.js';
import { sha256 } from '../../../formats/sha256.js';
import { checksToLoad, verifyRelease } from '../../../formats/evidence.js';
import { denial, verdictsOf } from '../../support/verdicts.js';
import { PASSED, createWorld, type Release, type ReleaseOptions } from '../../support/world.js';

const world = createWorld();
const { at, policy, policyEnvelope } = world;
const verdicts = verdictsOf(world);
const good = world.release();
const other = world.release({ version: '2.0.0' });

/** Under a policy that was changed after the release had been approved. */
function after(edit: (policy: Policy) => Policy, release: Release = good) {
  const next = world.nextPolicy(edit);
  return { ...release.evidence, policies: [policyEnvelope, next.envelope] };
}

function withRoles(id: string, roles: Policy['authorities'][number]['roles']): (policy: Policy) => Policy {
  return (p) => ({ ...p, authorities: p.authorities.map((held) => (held.id === id ? { ...held, roles } : held)) });
}

type Attack = [string, ReleaseOptions, ErrorCode, RegExp];

const deploy = good.request.predicate.action;
const ABOUT_REQUEST: Attack[] = [
  [
    'is to retire',
    { request: { action: { kind: 'retire', reason: '', noticeSeconds: 1 } } },
    'REPLAYED',
    /not for a deployment/,
  ],
  ['is for another environment', { request: { environment: 'production' } }, 'REPLAYED', /environment production/],
  ['is about another release', { request: { release: other.release } }, 'REPLAYED', /another release/],
  [
    'is of another lifecycle',
    { request: { workflowId: 'lifecycle/digits/2.0.0' } },
    'REPLAYED',
    /belongs to lifecycle\/digits\/2/,
  ],
  ['is of another version', { request: { version: '2.0.0' } }, 'REPLAYED', /belongs to/],
  ['is of another model', { request: { model: 'letters' } }, 'REPLAYED', /belongs to/],
  ['was made by an operator', { requestBy: 'oscar' }, 'NOT_AUTHORISED', /not made by control/],
  ['was made by CI', { requestBy: 'ci' }, 'NOT_AUTHORISED', /not made by control/],
  [
    'names another start request',
    { request: { evidence: { ...good.request.predicate.evidence } } },
    'REPLAYED',
    /start request is another/,
  ],
  ['names another requester', { request: { requester: 'rita' } }, 'NOT_AUTHORISED', /requester, and nobody else/],
  [
    'names another producer',
    { request: { producer: 'ci' } },
    'NOT_AUTHORISED',
    /not the release's authorised producer/,
  ],
  ['names no producer', { request: { producer: null } }, 'NOT_AUTHORISED', /not the release's authorised producer/],
  [
    'stays open for longer than the policy allows',
    { request: { expiresAt: at(561) } },
    'POLICY_REFUSED',
    /may stay open for 600 s/,
  ],
];

const ABOUT_ADMISSION: Attack[] = [
  ['asks for a deployment', { admission: { action: deploy } }, 'REPLAYED', /asks for something else/],
  ['has another release as its subject', { requested: other.release }, 'REPLAYED', /another release/],
  ['is of another lifecycle', { admission: { workflowId: 'lifecycle/digits/2.0.0' } }, 'REPLAYED', /something else/],
  ['is for another environment', { admission: { environment: 'production' } }, 'REPLAYED', /something else/],
  [
    'is signed by somebody but its requester',
    { admissionBy: 'oscar', admission: { requester: 'ci' } },
    'NOT_AUTHORISED',
    /nobody else/,
  ],
  ['is by somebody who may not ask', { admissionBy: 'oscar' }, 'NOT_AUTHORISED', /oscar may not ask/],
  ['is signed by somebody else, too', { admissionBy: ['ci', 'alice'] }, 'NOT_AUTHORISED', /nobody else/],
];

const shrunkFrom = (usual: ProvenancePredicate, release: Digest): ProvenancePredicate => {
  const parent = parentDependency({ model: 'digits', version: '0.9.0', release, how: 'pruned' });
  const { buildDefinition } = usual;
  const resolvedDependencies = [...buildDefinition.resolvedDependencies, parent];
  return { ...usual, buildDefinition: { ...buildDefinition, resolvedDependencies } };
};

/** A test result of the right suite that says these things of its isolation. */
const isolatedBy = (...claims: readonly string[]): ReleaseOptions => ({
  testResult: {
    configuration: [
      { name: 'suite own 1.0.0', digest: { sha256: policy.validation.suites[0]?.sha256 ?? '' } },
      ...claims.map((claim) => ({ name: `isolation: ${claim}`, digest: { sha256: sha256(claim) } })),
    ],
  },
});

const ABOUT_ISOLATION: Attack[] = [
  ['the test result claims nothing', isolatedBy(), 'POLICY_REFUSED', /test result does not say in what isolation/],
  ['the test result claims none', isolatedBy('none'), 'POLICY_REFUSED', /test result was made without a sandbox/],
  ['the test result claims a sandbox and none', isolatedBy('bubblewrap', 'none'), 'POLICY_REFUSED', /does not say/],
  ['the test result claims what is no sandbox', isolatedBy('chroot'), 'POLICY_REFUSED', /by chroot, which is no sandb/],
  ['the scan claims none', { scan: { isolation: 'none' } }, 'POLICY_REFUSED', /the scan was made without a sandbox/],
];

const ABOUT_VALIDATION: Attack[] = [
  ['is about another release', { tested: other.release }, 'REPLAYED', /about another release/],
  ['is by the producer', { testedBy: 'trainer' }, 'NOT_AUTHORISED', /may not sign test results/],
  ['is by control', { testedBy: 'control' }, 'NOT_AUTHORISED', /may not sign test results/],
  [
    'is of another suite',
    { testResult: { configuration: [{ name: 'suite.yaml', digest: { sha256: sha256('an easier suite') } }] } },
    'VALIDATION_FAILED',
    /another suite/,
  ],
  ['says FAILED', { testResult: { result: 'FAILED' } }, 'VALIDATION_FAILED', /did not pass/],
  ['lists a failed case', { testResult: { failedTests: ['robustness'] } }, 'VALIDATION_FAILED', /did not pass/],
  [
    'has too few cases',
    { testResult: { passedTests: ['contract/own/latency', 'safety/own/tone', 'cases/own>=3'] } },
    'VALIDATION_FAILED',
    /2 cases of own ran, 3/,
  ],
  [
    'names a case twice',
    { testResult: { passedTests: ['a', 'b', 'c', 'c'] } },
    'VALIDATION_FAILED',
    /names a case twice/,
  ],
  ['has no case at all', { testResult: { passedTests: [] } }, 'VALIDATION_FAILED', /0 cases of own ran, 3/],
  [
    'takes the cases of another suite for those of this one',
    { testResult: { passedTests: PASSED.map((name) => name.replace('/own/', '/other/')) } },
    'VALIDATION_FAILED',
    /0 cases of own ran, 3/,
  ],
  [
    'says nothing of a threshold',
    { testResult: { passedTests: PASSED.filter((name) => name !== 'accuracy/own>=0.9') } },
    'VALIDATION_FAILED',
    /does not say how the release fares at accuracy\/own>=0.9/,
  ],
  [
    'is of a lower threshold than the policy fixes',
    { testResult: { passedTests: PASSED.map((name) => name.replace('accuracy/own>=0.9', 'accuracy/own>=0.5')) } },
    'VALIDATION_FAILED',
    /does not say how the release fares at accuracy\/own>=0.9/,
  ],
  [
    'of a smaller form is not linked to the release it was made from',
    { provenance: (usual) => shrunkFrom(usual, other.release) },
    'VALIDATION_FAILED',
    /not linked to its parent, digits 0.9.0/,
  ],
  [
    'of a smaller form names its parent, and no result of it',
    {
      provenance: (usual) => shrunkFrom(usual, other.release),
      testResult: {
        configuration: [
          { name: 'suite own 1.0.0', digest: { sha256: policy.validation.suites[0]?.sha256 ?? '' } },
          { name: 'parent digits 0.9.0, pruned', digest: { sha256: other.release } },
        ],
      },
    },
    'VALIDATION_FAILED',
    /not linked to its parent, digits 0.9.0/,
  ],
  [
    'counts one case three times',
    { testResult: { passedTests: ['a', 'a', 'a'] } },
    'VALIDATION_FAILED',
    /names a case twice/,
  ],
];

/** The world's provenance with other dependencies. */
const madeFrom =
  (...resolvedDependencies: readonly BuildDependency[]): NonNullable<ReleaseOptions['provenance']> =>
  (usual) => ({ ...usual, buildDefinition: { ...usual.buildDefinition, resolvedDependencies } });

const builtAt =
  (startedOn: string, finishedOn: string): NonNullable<ReleaseOptions['provenance']> =>
  (usual) => ({
    ...usual,
    runDetails: { ...usual.runDetails, metadata: { invocationId: 'run-1', startedOn, finishedOn } },
  });

const data = dependency('training-data', 'data.csv', { sha256: sha256('x') });

const ABOUT_PROVENANCE: Attack[] = [
  ['is about another release', { made: other.release }, 'REPLAYED', /provenance is about another release/],
  ['is by the validator', { provenanceBy: 'intake' }, 'NOT_AUTHORISED', /signed by intake, not by the release's prod/],
  ['is by control', { provenanceBy: 'control' }, 'NOT_AUTHORISED', /not by the release's producer/],
  ['names no dependency', { provenance: madeFrom() }, 'PROVENANCE_INVALID', /names no training data/],
  [
    'names dependencies, and none of them as training data',
    { provenance: madeFrom({ ...data, annotations: {} }, dependency('training-code', 'a', { sha256: sha256('a') })) },
    'PROVENANCE_INVALID',
    /names no training data/,
  ],
  [
    'names a training set without a checksum beside one with it',
    { provenance: madeFrom(data, { uri: 'https://example.org/data', annotations: { kind: 'training-data' } }) },
    'PROVENANCE_INVALID',
    /training data https:\/\/example.org\/data without a SHA-256/,
  ],
  [
    'names a training set by what is no SHA-256',
    { provenance: madeFrom({ ...data, digest: { sha1: 'a'.repeat(40), sha256: 'a'.repeat(63) } }) },
    'PROVENANCE_INVALID',
    /training data data.csv without a SHA-256/,
  ],
  ['ends before it began', { provenance: builtAt(at(-60), at(-61)) }, 'PROVENANCE_INVALID', /before it began/],
  ['ends in the future', { provenance: builtAt(at(-60), at(61)) }, 'PROVENANCE_INVALID', /which is to come/],
];

const REMOVED: ReleaseChange = {
  ...{ component: 'labels', file: 'labels.json', what: 'vocabulary.removed', path: '"9"', from: 'number 9', to: null },
  ...{ measure: null, more: 0, demands: 'major' },
};
const before = { version: '0.9.0', release: sha256('0.9.0') };
const ABOUT_CHANGE: Attack[] = [
  ['is about another release', { changed: other.release }, 'REPLAYED', /changed is about another release/],
  ['is about another version', { change: { version: '2.0.0' } }, 'REPLAYED', /changed is about another release/],
  ['is by the producer', { changedBy: 'trainer' }, 'NOT_AUTHORISED', /trainer may not say what has changed/],
  ['is by control', { changedBy: 'control' }, 'NOT_AUTHORISED', /control may not say what has changed/],
  [
    'lists what the version does not say',
    { version: '0.9.1', change: { from: before, changes: [REMOVED], leastBump: 'major' } },
    'VERSION_TOO_SMALL',
    /0\.9\.1 is a patch version after 0\.9\.0, but its changes demand a major one: vocabulary\.removed .*Call it 1\.0\.0/,
  ],
  [
    'lies about the least bump, and about what each change demands',
    { version: '0.9.1', change: { from: before, changes: [{ ...REMOVED, demands: 'patch' }], leastBump: 'patch' } },
    'VERSION_TOO_SMALL',
    /demand a major one/,
  ],
  [
    'compares with a later release',
    { change: { from: { ...before, version: '1.1.0' }, leastBump: 'none' } },
    'VERSION_TOO_SMALL',
    /1\.0\.0 does not come after 1\.1\.0/,
  ],
  [
    'compares with a pre-release, which had changed it all before',
    { change: { from: { ...before, version: '1.0.0-rc.1' }, leastBump: 'none' } },
    'VERSION_TOO_SMALL',
    /a pre-release/,
  ],
  [
    'has a component that changed and kept its version',
    {
      change: {
        ...{ from: before, changes: [REMOVED], leastBump: 'major' },
        components: [{ name: 'labels', from: '0.3.0', to: '0.3.0' }],
      },
    },
    'VERSION_TOO_SMALL',
    /the component labels went from 0\.3\.0 to 0\.3\.0/,
  ],
];

const ABOUT_APPROVALS: Attack[] = [
  ['is missing', { approvals: () => [] }, 'NOT_AUTHORISED', /1 more with the role release-approver/],
  ['is of another release', { approvals: () => other.approvals }, 'NOT_AUTHORISED', /1 more/],
  ['is by an operator', { approvals: (request) => [world.approve(request, 'oscar')] }, 'NOT_AUTHORISED', /1 more/],
  [
    'is outweighed by a rejection',
    {
      approvals: (request) => [
        world.approve(request, 'alice'),
        world.approve(request, 'bob', { decision: 'reject', reason: 'too slow' }),
      ],
    },
    'POLICY_REFUSED',
    /bob rejected it: too slow/,
  ],
  [
    'is dated in the future',
    { approvals: (request) => [world.approve(request, 'alice', { issuedAt: at(61) })] },
    'EXPIRED',
    /which is to come/,
  ],
];

const ALL = [
  ...ABOUT_REQUEST.map(named('the deploy request')),
  ...ABOUT_ADMISSION.map(named('the start request')),
  ...ABOUT_PROVENANCE.map(named('the provenance')),
  ...ABOUT_ISOLATION,
  ...ABOUT_VALIDATION.map(named('the test result')),
  ...ABOUT_CHANGE.map(named('the statement of what it changes')),
  ...ABOUT_APPROVALS.map(named('the approval')),
];

function named(what: string): (attack: Attack) => Attack {
  return ([how, ...rest]) => [`${what} ${how}`, ...rest];
}

describe('signing and loading', () => {
  test.each(ALL)('attack: refused when %s', (_, options, code, reason) => {
    const { evidence } = world.release(options);
    expect(verdicts.signing(evidence)).toEqual(denial(code, reason));
    expect(verdicts.loading(evidence)).toEqual(denial(code, reason));
    // What is listed is what decides.
    const checks = checksToLoad(verifyRelease(evidence, world.root, at(0)));
    const failed = checks.find(({ ok }) => !ok);
    expect(failed).toMatchObject({ code, detail: expect.stringMatching(reason) as string });
  });

  test('every check is listed by its name, in the order in which it decides', () => {
    const checks = checksToLoad(verifyRelease(good.evidence, world.root, at(0)));
    expect(checks.map(({ name }) => name)).toEqual([
      ...[
        'policy chain',
        'statements',
        'manifest',
        'release signature',
        'not revoked',
        'deploy request',
        'start request',
      ],
      ...['producer', 'promotion', 'provenance', 'scan', 'validation', 'version', 'standing', 'approvals'],
    ]);
    expect(checks.filter(({ ok }) => !ok)).toEqual([]);
    expect(checks.at(-1)?.detail).toBe('by alice');
    expect(checks.find(({ name }) => name === 'scan')?.detail).toBe('clean, isolation: bubblewrap');
  });

  test('attack: one that fails hides none of those after it', () => {
    const { evidence } = world.release({
      scan: { isolation: 'none' },
      testResult: { result: 'FAILED' },
      approvals: () => [],
    });
    const checks = checksToLoad(verifyRelease({ ...evidence, status: null }, world.root, at(0)));
    expect(checks.flatMap(({ name, code }) => (code === null ? [] : [[name, code]]))).toEqual([
      ['not revoked', 'STATUS_STALE'],
      ['scan', 'POLICY_REFUSED'],
      ['validation', 'VALIDATION_FAILED'],
      ['approvals', 'NOT_AUTHORISED'],
    ]);
  });

  test('a policy can let count what was made without a sandbox', () => {
    const lenient = createWorld({ policy: (p) => ({ ...p, validation: { ...p.validation, allowUnisolated: true } }) });
    const { evidence } = lenient.release({ ...isolatedBy('none'), scan: { isolation: 'none' } });
    expect(verdictsOf(lenient).loading(evidence)).toMatchObject({ allowed: true });
    const silent = lenient.release(isolatedBy()).evidence;
    expect(verdictsOf(lenient).loading(silent)).toEqual(denial('POLICY_REFUSED', /does not say in what isolation/));
  });

  const moved: [string, Partial<typeof good.evidence>, ErrorCode, RegExp][] = [
    ['request', { request: other.evidence.request }, 'REPLAYED', /about another release/],
    ['start request', { admission: other.evidence.admission }, 'REPLAYED', /start request is another/],
    ['test result', { testResult: other.evidence.testResult }, 'REPLAYED', /another test result/],
    ['provenance', { provenance: other.evidence.provenance }, 'REPLAYED', /names another provenance/],
    ['statement of what it changes', { change: other.evidence.change }, 'REPLAYED', /another statement of what/],
    [
      'a second statement of what it changes',
      { change: world.release({ change: { facts: sha256('other facts') } }).evidence.change },
      'REPLAYED',
      /another statement of what/,
    ],
    ['approval', { approvals: other.evidence.approvals }, 'NOT_AUTHORISED', /1 more/],
    [
      'a second test result of the same release',
      {
        testResult: world.release({ testResult: { passedTests: [...PASSED, 'contract/own/more'] } }).evidence
          .testResult,
      },
      'REPLAYED',
      /another test result/,
    ],
    [
      'a second signature by the producer',
      { bundle: world.release().bundle },
      'REPLAYED',
      /another signature by the producer/,
    ],
  ];
  test.each(moved)('attack: refused with another %s than was approved', (_, evidence, code, reason) => {
    expect(verdicts.signing({ ...good.evidence, ...evidence })).toEqual(denial(code, reason));
    expect(verdicts.loading({ ...good.evidence, ...evidence })).toEqual(denial(code, reason));
  });

  const revoked: [string, (policy: Policy) => Policy, RegExp][] = [
    [
      'approver',
      (p) => withRoles('alice', ['reviewer'])(withRoles('rita', ['requester', 'release-approver'])(p)),
      /1 more/,
    ],
    ['requester', withRoles('ci', ['publisher']), /ci may not ask/],
    ['producer', withRoles('trainer', ['publisher']), /nobody|none of the|authorised producer/],
    ['validator', withRoles('intake', ['publisher']), /may not say what is in a release/],
    ['control', withRoles('control', ['publisher']), /not made by control|may not issue the status/],
  ];
  test.each(revoked)('attack: refused after the newest policy took the role from the %s', (_, edit, reason) => {
    const act = (judge: (evidence: Release['evidence']) => unknown) => {
      try {
        return judge(after(edit));
      } catch (error) {
        // Whoever holds no role any more has no key for it: the signature itself counts for nothing.
        return { allowed: false, code: 'NOT_AUTHORISED', reason: (error as Error).message };
      }
    };
    expect(act(verdicts.signing)).toEqual(denial('NOT_AUTHORISED', reason));
    expect(act(verdicts.loading)).toEqual(denial('NOT_AUTHORISED', reason));
  });

  test('keeps the rules that its request was made under: a greater quorum later does not undo it', () => {
    const stricter = after((p) => ({
      ...p,
      approvals: { ...p.approvals, deploy: { ...p.approvals.deploy, count: 2 } },
    }));
    expect(verdicts.loading(stricter)).toMatchObject({ allowed: true });
  });

  test('attack: a request cannot name rules that were never applied', () => {
    const lax = {
      ...policy,
      approvals: { ...policy.approvals, deploy: { ...policy.approvals.deploy, withinSeconds: 9 } },
    };
    const { evidence } = world.release({ request: { policy: policyDigest(lax) } });
    expect(() => verdicts.signing(evidence)).toThrow(expect.objectContaining({ code: 'POLICY_REFUSED' }));
  });

  test('attack: a request cannot go back to rules that had expired when it was made', () => {
    const next = world.nextPolicy((p) => ({ ...p, expires: at(200_000) }));
    const request = { issuedAt: at(86_401), expiresAt: at(86_500) };
    const { evidence } = world.release({
      request,
      approvals: (asked) => [world.approve(asked, 'alice', { issuedAt: at(86_410) })],
      evidence: { policies: [policyEnvelope, next.envelope] },
    });
    const later = verdictsOf(world, at(86_420));
    expect(later.signing(evidence)).toEqual(denial('POLICY_EXPIRED', /after its policy 1 had expired/));
  });
});

describe('signing', () => {
  test('needs no release signature and no status document', () => {
    const { evidence } = world.release({ signedBy: null, evidence: { status: null } });
    expect(verdicts.signing(evidence)).toEqual({ allowed: true, approvers: ['alice'] });
  });

  test('is refused once the newest policy has expired', () => {
    const next = world.nextPolicy((p) => ({ ...p, expires: at(-1) }));
    const { evidence } = world.release({ evidence: { policies: [policyEnvelope, next.envelope] } });
    expect(verdicts.signing(evidence)).toEqual(denial('POLICY_EXPIRED', /policy 2 expired at/));
    expect(policyInForce({ newest: policy, now: policy.expires })).toMatchObject({ allowed: true });
  });
});

describe('loading', () => {
  const second = 1000;
  const statuses: [string, Release['evidence']['status'], ErrorCode, RegExp][] = [
    ['no status document', null, 'STATUS_STALE', /there is no status/],
    ['one that has expired', world.status({ expiresAt: at(-1) }).envelope, 'STATUS_STALE', /is expired/],
    [
      'one that is still valid by its own word, but older than the policy allows',
      world.status({ issuedAt: at(-301), expiresAt: at(9999) }).envelope,
      'STATUS_STALE',
      /is expired/,
    ],
    [
      'one from the future',
      world.status({ issuedAt: at(61 + second), expiresAt: at(9999) }).envelope,
      'STATUS_STALE',
      /not yet valid/,
    ],
    [
      'one of another environment',
      world.status({ environment: 'production' }).envelope,
      'REPLAYED',
      /environment production/,
    ],
    ['one by signing', world.status({}, 'release-signer').envelope, 'NOT_AUTHORISED', /may not issue the status/],
    ['one by an operator', world.status({}, 'oscar').envelope, 'NOT_AUTHORISED', /may not issue the status/],
    [
      'one that lists it as revoked',
      world.status({ revoked: [other.release, good.release] }).envelope,
      'REVOKED',
      /has been revoked/,
    ],
  ];
  test.each(statuses)('attack: refused with %s', (_, status, code, reason) => {
    expect(verdicts.loading({ ...good.evidence, status })).toEqual(denial(code, reason));
  });

  test('goes on while another release is revoked, and while the policy has expired', () => {
    const { envelope } = world.status({ revoked: [other.release] });
    expect(verdicts.loading({ ...good.evidence, status: envelope })).toMatchObject({ allowed: true });
    expect(verdicts.loading(after((p) => ({ ...p, expires: at(-1) })))).toMatchObject({ allowed: true });
  });

  test('attack: refused without a release signature', () => {
    expect(verdicts.loading(world.release({ signedBy: null }).evidence)).toEqual(
      denial('UNSIGNED', /no release signature/),
    );
  });

  test('attack: refused where the signer was no release-signer when the release was approved', () => {
    const checked = verifyRelease(good.evidence, world.root, at(0));
    const gate = withRoles('release-signer', ['publisher'])(policy);
    expect(authoriseLoading(checked.release, { ...checked.rules, gate }, checked.status)).toEqual(
      denial('NOT_AUTHORISED', /release-signer may not sign releases/),
    );
  });

  test('attack: refused where the producer was none when the release was approved', () => {
    const checked = verifyRelease(good.evidence, world.root, at(0));
    const gate = withRoles('trainer', ['publisher'])(policy);
    expect(authoriseLoading(checked.release, { ...checked.rules, gate }, checked.status)).toEqual(
      denial('NOT_AUTHORISED', /trainer is not the release's authorised producer/),
    );
  });

  test.each(['trainer', 'control', 'mallory'] as const)('attack: a release signature by %s is none', (signedBy) => {
    const make = () => verdicts.loading(world.release({ signedBy }).evidence);
    if (signedBy === 'trainer') expect(make).toThrow(expect.objectContaining({ code: 'SIGNATURE_INVALID' }));
    else
      expect(make).toThrow(
        expect.objectContaining({ code: expect.stringMatching(/SIGNATURE_INVALID|CONFIG_INVALID/) as string }),
      );
  });
});
