import { describe, expect, test } from 'vitest';
import { PREDICATES, type PredicateName, type PredicateOf } from '../../../domain/statements.js';
import { predicateSchema } from '../../../formats/predicates.js';
import { sha256 } from '../../../formats/sha256.js';
import { destructionOf } from '../../support/destruction.js';
import { createWorld } from '../../support/world.js';

const world = createWorld();
const { at } = world;
const release = world.release();
const retirement = world.retirement(release);
const digest = sha256('x');
const named = { environment: 'test', ...release.name };
const timed = { issuedAt: at(0), expiresAt: at(1) };
const NONCE = 'abcdefghijklmnop';

/** One of each kind. */
const ending = destructionOf(world, release, {
  ...{ request: digest, approvals: [digest], revocation: digest, orderedBy: 'rita', approvedBy: ['alice'] },
  destroyed: [{ path: 'a', sha256: digest, blob: 'b' }],
  kept: [{ path: 'a', sha256: digest, holders: [digest] }],
  remains: [{ blob: 'b', size: 1, until: at(0) }],
  destroyedAt: at(0),
});
const VALID: { [K in PredicateName]: PredicateOf[K] } = {
  request: release.request.predicate,
  approval: (release.approvals[0] ?? expect.fail('no approval')).predicate,
  route: world.routePlan(null, release).document,
  kill: world.kill().predicate,
  alert: world.alert().predicate,
  rollback: world.rollbackOrder().predicate,
  hold: { ...named, nonce: NONCE, reason: 'a lawsuit', ...timed },
  retention: {
    environment: 'test',
    startedAt: at(0),
    endedAt: at(1),
    ...{ checked: 2, extended: 1, earliest: at(9), troubled: 1, troubles: ['blobs/1 had no lock'] },
  },
  drill: {
    ...{ environment: 'test', model: 'digits', startedAt: at(0), endedAt: at(1), serving: digest, earlier: digest },
    steps: [{ step: 'kill', ms: 80, agreedMs: 100, trouble: null }],
    ...{ outcome: 'within', reason: 'kill 80 of 100 ms' },
  },
  stepVerdict: {
    ...{ environment: 'test', model: 'digits', version: '1.0.0', document: digest, revision: 3 },
    ...{ verdict: 'fail', reason: '7 of 20 answers failed' },
    counts: [{ release: digest, version: '1.0.0', weight: 10, requests: 20, failures: 7, slow: 0 }],
    ...{ watchedSince: at(0), issuedAt: at(1) },
  },
  dataSource: {
    ...{
      environment: 'test',
      source: 'digits',
      publisher: 'archive',
      licence: 'CC0-1.0',
      origin: 'https://example.org',
    },
    ...{ files: 1, croissant: null, chain: [digest], issuedAt: at(0) },
  },
  handover: {
    ...{ environment: 'test', source: 'digits', from: 'archive', to: 'dana', previous: null, reason: 'for training' },
    issuedAt: at(0),
  },
  review: {
    ...{ environment: 'test', repository: 'digits', commit: 'c'.repeat(40) },
    ...{ decision: 'approve', reason: 'it reads well', issuedAt: at(0) },
  },
  dossier: {
    ...{ ...named, release: digest, log: { origin: 'test-log', size: 1, root: digest }, issuedAt: at(0) },
    files: [{ path: 'evidence.json', size: 2, sha256: digest, stored: null }],
  },
  override: {
    requestId: 'override-1',
    nonce: NONCE,
    environment: 'test',
    workflowId: 'lifecycle/digits/1.0.0',
    release: digest,
    testResult: digest,
    lifts: ['accuracy/digits>=0.9'],
    justification: 'the data set is out of date',
    holdsUntil: at(1),
    ...timed,
  },
  riskAssessment: {
    ...named,
    assessment: {
      what: 'a fix of the overflow',
      whyNow: 'it is being exploited',
      risks: ['less accurate on small images'],
      mitigations: ['watched for a day by two people'],
      rollbackPlan: 'go back to 1.0.0 at once',
    },
    issuedAt: at(0),
  },
  verificationSummary: {
    verifier: { id: 'control' },
    timeVerified: at(0),
    resourceUri: 'lifecycle/digits/1.0.0',
    policy: { uri: 'policies/000000001', digest: { sha256: digest } },
    inputAttestations: [{ uri: 'requests/x', digest: { sha256: digest } }],
    verificationResult: 'FAILED',
    verifiedLevels: ['FAILED'],
  },
  status: world.status({ revoked: [digest], kills: [{ model: 'digits', order: digest }] }).predicate,
  revocation: { ...named, reason: 'old', request: digest, issuedAt: at(0) },
  replica: world.replica(release).predicate,
  incident: { ...named, kind: 'load.refused', nonce: NONCE, reason: 'REVOKED', issuedAt: at(0) },
  consumer: world.consumer({ identities: [{ kind: 'token', sha256: digest }] }).predicate,
  notice: {
    ...retirement.notice.predicate,
    consumers: [{ id: 'billing', owner: 'olga', criticality: 'critical', how: 'mail', messageId: '<1@x>' }],
  },
  acknowledgement: { ...named, consumer: 'billing', request: digest, issuedAt: at(0) },
  waiver: { ...named, consumer: 'billing', request: digest, reason: 'it is gone', issuedAt: at(0) },
  dependents: {
    ...named,
    request: digest,
    consumers: [{ id: 'billing', owner: 'olga', criticality: 'critical' }],
    releases: [{ model: 'lingo', version: '1.0.0', how: 'shares files with it', serves: true }],
    weight: 100,
    endpoints: ['lingo'],
    isDrilled: false,
    issuedAt: at(0),
  },
  vulnerability: { ...named, vulnerability: 'CVE-2026-0001', reason: 'it runs what it is told', ...timed },
  probe: ending.probes[0]!.predicate,
  destruction: ending.destruction,
  policy: world.policy,
  storeProof: {
    endpoint: 'http://x',
    checks: [{ check: 'delete', refused: true, answer: '403' }],
    holds: true,
    ...timed,
  },
  auditQuestion: {
    environment: 'test',
    nonce: NONCE,
    question: 'state',
    model: 'digits',
    at: at(0),
    version: null,
    seen: 17,
    ...timed,
  },
  scan: release.scan.predicate,
  change: release.change.predicate,
  testResult: release.testResult.predicate,
  provenance: {
    buildDefinition: {
      buildType: 'urn:x',
      externalParameters: { run: '1' },
      internalParameters: {},
      resolvedDependencies: [{ name: 'data', digest: { sha256: digest } }],
    },
    runDetails: { builder: { id: 'urn:y' }, metadata: { invocationId: 'z', startedOn: at(0), finishedOn: at(1) } },
  },
};
const KINDS = Object.keys(PREDICATES) as PredicateName[];
const accepts = (name: PredicateName, value: unknown): boolean => predicateSchema(name).safeParse(value).success;

describe.each(KINDS)('a %s', (name) => {
  const valid: object = VALID[name];

  test('is read as it was written', () => {
    expect(predicateSchema(name).parse(valid)).toEqual(valid);
  });

  test('is refused with any member left out, unless there is no telling', () => {
    for (const member of Object.keys(valid)) {
      const rest = Object.fromEntries(Object.entries(valid).filter(([key]) => key !== member));
      expect([member, accepts(name, rest)]).toEqual([member, false]);
    }
  });

  // SLSA's own provenance is a foreign standard, whose unknown members are passed over.
  test.runIf(name !== 'provenance')('is refused with any member more', () => {
    expect(accepts(name, { ...valid, comment: '' })).toBe(false);
  });

  test('is refused with a member of another type', () => {
    for (const member of Object.keys(valid))
      expect([member, accepts(name, { ...valid, [member]: Symbol('no JSON has this') })]).toEqual([member, false]);
  });
});

describe('the parts of predicates', () => {
  const deploy = VALID.request.action;
  const bad: [string, PredicateName, object][] = [
    ['a time without milliseconds', 'kill', { issuedAt: '2026-01-31T12:00:00Z' }],
    ['a time of another zone', 'kill', { issuedAt: '2026-01-31T12:00:00.000+01:00' }],
    ['a day that does not exist', 'kill', { issuedAt: '2026-02-30T12:00:00.000Z' }],
    ['a short nonce', 'kill', { nonce: 'abc' }],
    ['a nonce that is a path', 'kill', { nonce: '../../policies/000001' }],
    ['a reason of 4,001 characters', 'kill', { reason: 'x'.repeat(4001) }],
    ['an environment that is a path', 'kill', { environment: '../x' }],
    ['a model in upper case', 'kill', { model: 'Digits' }],
    ['a version with build metadata', 'revocation', { version: '1.0.0+1' }],
    ['a digest in upper case', 'revocation', { request: digest.toUpperCase() }],
    ['a weight above 100', 'route', { releases: [{ release: digest, version: '1.0.0', weight: 101 }] }],
    ['a weight below 0', 'route', { releases: [{ release: digest, version: '1.0.0', weight: -1 }] }],
    ['half a percent', 'route', { releases: [{ release: digest, version: '1.0.0', weight: 0.5 }] }],
    ['revision 0', 'route', { revision: 0 }],
    ['a revision of 2^53', 'route', { revision: 2 ** 53 }],
    ['an unknown change', 'route', { change: 'override' }],
    ['an error rate above 1', 'route', { triggers: { minimumSamples: 1, maxErrorRate: 1.1, maxLatencyMs: 1 } }],
    ['no samples', 'route', { triggers: { minimumSamples: 0, maxErrorRate: 1, maxLatencyMs: 1 } }],
    ['an infinite latency', 'route', { triggers: { minimumSamples: 1, maxErrorRate: 1, maxLatencyMs: Infinity } }],
    ['an unknown decision', 'approval', { decision: 'maybe' }],
    ['an unknown action', 'request', { action: { kind: 'override' } }],
    ['a plan without steps', 'request', { action: { ...deploy, plan: [] } }],
    ['a step of weight 0', 'request', { action: { ...deploy, plan: [{ weight: 0, bakeSeconds: 1 }] } }],
    ['a step without time', 'request', { action: { ...deploy, plan: [{ weight: 100, bakeSeconds: 0 }] } }],
    ['evidence that is no digest', 'request', { evidence: { testResult: 'PASSED' } }],
    ['a restore of nothing', 'request', { action: { kind: 'restore', kills: [], revision: 1 } }],
    ['notice below zero', 'request', { action: { kind: 'retire', reason: '', noticeSeconds: -1 } }],
    ['port 0', 'replica', { port: 0 }],
    ['an unknown result', 'testResult', { result: 'MAYBE' }],
    ['a result of no suite', 'testResult', { configuration: [] }],
    ['a destruction nobody agreed to', 'destruction', { approvals: [] }],
    ['a destruction that nobody has tried', 'destruction', { probed: [] }],
    ['a probe of nothing', 'probe', { probes: [] }],
    ['a probe by no zone', 'probe', { zone: 'intake' }],
    ['a proof of nothing', 'storeProof', { checks: [] }],
  ];
  test.each(bad)('refuse %s', (_, name, change) => {
    expect(accepts(name, { ...VALID[name], ...change })).toBe(false);
  });
});
