import { describe, expect, test } from 'vitest';
import { personAsks } from '../../../domain/authorise.js';
import { checkDecision } from '../../../domain/approvals.js';
import { mayKill, type Policy } from '../../../domain/policy.js';
import type { RequestAction, RequestPredicate, VouchedIdentity } from '../../../domain/statements.js';
import { sha256 } from '../../../formats/sha256.js';
import { keyRing, verifyStatement } from '../../../formats/statements.js';
import { denial, verdictsOf } from '../../support/verdicts.js';
import { createWorld, PIPELINE, type ReleaseOptions, type Signers } from '../../support/world.js';

const world = createWorld();
const { policy, policyEnvelope } = world;
const verdicts = verdictsOf(world);

const identity: VouchedIdentity = {
  issuer: PIPELINE.issuer,
  subject: PIPELINE.claims['sub'] ?? '',
  audience: PIPELINE.audience,
  claims: PIPELINE.claims,
  token: sha256('a token'),
};
const vouched: ReleaseOptions = { admission: { requester: 'pipeline', identity }, admissionBy: 'api' };

function edited(edit: (authority: Policy['authorities'][number]) => Policy['authorities'][number] | null) {
  return (p: Policy): Policy => ({
    ...p,
    authorities: p.authorities.flatMap((authority) => edit(authority) ?? []),
  });
}

describe('a release that the api asks for in the name of a workload with tokens', () => {
  test('may be signed and loaded', () => {
    const { evidence } = world.release(vouched);
    expect(verdicts.signing(evidence)).toEqual({ allowed: true, approvers: ['alice'] });
    expect(verdicts.loading(evidence)).toMatchObject({ allowed: true });
  });

  const ATTACKS: [string, ReleaseOptions][] = [
    ['the api asks in the name of a person', { admission: { requester: 'alice', identity }, admissionBy: 'api' }],
    [
      'the api asks in the name of a person who may ask',
      { admission: { requester: 'rita', identity }, admissionBy: 'api' },
    ],
    [
      'the api asks for a workload that has a key and no tokens',
      { admission: { requester: 'ci', identity }, admissionBy: 'api' },
    ],
    ['the api asks in its own name', { admission: { requester: 'api' }, admissionBy: 'api' }],
    ['the api says nothing of the token', { admission: { requester: 'pipeline' }, admissionBy: 'api' }],
    [
      'the token was of another issuer',
      { ...vouched, admission: { requester: 'pipeline', identity: { ...identity, issuer: 'https://evil.example' } } },
    ],
    [
      'the token was for another audience',
      { ...vouched, admission: { requester: 'pipeline', identity: { ...identity, audience: 'sts.amazonaws.com' } } },
    ],
    [
      'a pinned claim says something else',
      {
        ...vouched,
        admission: {
          requester: 'pipeline',
          identity: { ...identity, claims: { ...identity.claims, event_name: 'pull_request' } },
        },
      },
    ],
    [
      'a pinned claim is missing',
      {
        ...vouched,
        admission: { requester: 'pipeline', identity: { ...identity, claims: { sub: identity.subject } } },
      },
    ],
    ['control vouches instead of the api', { ...vouched, admissionBy: 'control' }],
    ['CI vouches instead of the api', { ...vouched, admissionBy: 'ci' }],
    ['somebody signs beside the api', { ...vouched, admissionBy: ['api', 'ci'] }],
    ['CI claims an identity for its own signature', { admission: { requester: 'ci', identity }, admissionBy: 'ci' }],
  ];
  test.each(ATTACKS)('attack: refused when %s', (_, options) => {
    const { evidence } = world.release(options);
    expect(verdicts.signing(evidence)).toEqual(denial('NOT_AUTHORISED', /nobody else|may not ask/));
    expect(verdicts.loading(evidence)).toEqual(denial('NOT_AUTHORISED', /nobody else|may not ask/));
  });

  const LATER: [string, (p: Policy) => Policy][] = [
    ['removes the requester', edited((held) => (held.id === 'pipeline' ? null : held))],
    [
      'pins another issuer',
      edited((held) =>
        held.id === 'pipeline' ? { ...held, oidc: { ...PIPELINE, issuer: 'https://new.example' } } : held,
      ),
    ],
    [
      'pins another claim',
      edited((held) =>
        held.id === 'pipeline' ? { ...held, oidc: { ...PIPELINE, claims: { sub: 'repo:acme/other' } } } : held,
      ),
    ],
    [
      'gives the requester a key in place of tokens',
      edited((held) =>
        held.id === 'pipeline'
          ? { id: held.id, kind: held.kind, roles: held.roles, keys: [{ pem: world.pems.mallory.publicPem }] }
          : held,
      ),
    ],
  ];
  test.each(LATER)('attack: refused after the newest policy %s', (_, edit) => {
    const next = world.nextPolicy(edit);
    const { evidence } = world.release({ ...vouched, evidence: { policies: [policyEnvelope, next.envelope] } });
    expect(verdicts.signing(evidence)).toEqual(denial('NOT_AUTHORISED', /nobody else|may not ask/));
  });

  test('attack: refused after the newest policy took the role or the key from the api', () => {
    const key = { pem: world.pems.mallory.publicPem };
    const retired = edited((held) => (held.id === 'api' ? { ...held, roles: ['publisher'] } : held));
    const another = edited((held) => (held.id === 'api' ? { ...held, keys: [key] } : held));
    const under = (edit: (p: Policy) => Policy) => {
      const next = world.nextPolicy(edit);
      return world.release({ ...vouched, evidence: { policies: [policyEnvelope, next.envelope] } }).evidence;
    };
    const withoutTokens = (p: Policy): Policy => edited((held) => (held.id === 'pipeline' ? null : held))(p);
    expect(verdicts.signing(under((p) => withoutTokens(retired(p))))).toEqual(denial('NOT_AUTHORISED', /nobody else/));
    expect(() => verdicts.signing(under(another))).toThrow(expect.objectContaining({ code: 'SIGNATURE_INVALID' }));
  });
});

describe('the key of the api', () => {
  const ask = (
    kind: RequestAction['kind'],
    about: Partial<RequestPredicate> & { action: RequestAction },
    by: Signers = 'api',
  ) => {
    const workflowId = about.workflowId ?? 'lifecycle/digits/1.0.0';
    const asked = world.request(
      { name: workflowId, sha256: sha256(workflowId) },
      { model: 'digits', requester: 'pipeline', identity, ...about, workflowId },
      by,
    );
    const verified = verifyStatement(asked.envelope, 'request', keyRing(policy));
    const rules = { environment: 'test', gate: policy, newest: policy, now: world.at(0) };
    return personAsks(rules, verified, kind, workflowId);
  };
  const hyperparameters = sha256('{}');

  test('asks for a release and for training in the name of a workload with tokens', () => {
    expect(
      ask('release', {
        action: { kind: 'release', source: 'file:///a', bundle: 'file:///b', provenance: 'file:///c' },
      }),
    ).toMatchObject({
      allowed: true,
    });
    expect(ask('train', { action: { kind: 'train', run: 'r1', trainer: 't', hyperparameters } })).toMatchObject({
      allowed: true,
    });
  });

  test.each<[string, RequestAction]>([
    ['a kill to be lifted', { kind: 'restore', kills: [sha256('order')], revision: 1 }],
    ['a release to be retired', { kind: 'retire', reason: 'because', noticeSeconds: 10 }],
    ['a deployment', world.release().request.predicate.action],
  ])('attack: cannot ask for %s, whoever is to have asked', (_, action) => {
    for (const requester of ['pipeline', 'otto', 'rita', 'api'])
      expect(ask(action.kind, { action, requester })).toEqual(denial('NOT_AUTHORISED', /nobody else|may not ask/));
  });

  test('attack: approves nothing, its own requests least of all', () => {
    const release = world.release(vouched);
    const decide = (by: Signers) =>
      checkDecision(
        {
          request: verifyStatement(release.request.envelope, 'request', keyRing(policy)),
          quorum: policy.approvals.deploy,
          gate: policy,
          newest: policy,
        },
        verifyStatement(world.approve(release.request, by).envelope, 'approval', keyRing(policy)),
      );
    expect(decide('api')).toMatchObject({ code: 'NOT_AUTHORISED' });
    expect(decide('alice')).toEqual({ approver: 'alice' });
  });

  test('attack: stops nothing and issues no status', () => {
    expect(mayKill(policy, 'api', 'digits')).toBe(false);
    const { evidence } = world.release({ ...vouched, evidence: { status: world.status({}, 'api').envelope } });
    expect(verdicts.loading(evidence)).toEqual(denial('NOT_AUTHORISED', /may not issue the status/));
  });
});
