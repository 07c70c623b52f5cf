import { describe, expect, test } from 'vitest';
import { authoriseLoading } from '../../../domain/authorise.js';
import { checkDecision, tally, type TallyInput } from '../../../domain/approvals.js';
import type { Policy } from '../../../domain/policy.js';
import type { ApprovalPredicate, RequestPredicate } from '../../../domain/statements.js';
import { sha256 } from '../../../formats/sha256.js';
import { verifyRelease } from '../../../formats/evidence.js';
import type { EnvelopeSigner } from '../../../formats/keys.js';
import { keyRing, signStatement, verifyStatement } from '../../../formats/statements.js';
import { createSshKey } from '../../support/ssh.js';
import { createWorld, type KeyName, type Signed } from '../../support/world.js';

const world = createWorld();
const { policy, at } = world;
const ring = keyRing(policy);
const release = world.release();
const { request } = release;
const two = { role: 'release-approver', count: 2, withinSeconds: 600 } as const;

function input(approvals: readonly Signed<ApprovalPredicate>[], overrides: Partial<TallyInput> = {}): TallyInput {
  return {
    request: verifyStatement(request.envelope, 'request', ring),
    approvals: approvals.map(({ envelope }) => verifyStatement(envelope, 'approval', ring)),
    quorum: two,
    gate: policy,
    newest: policy,
    ...overrides,
  };
}

function check(approval: Signed<ApprovalPredicate>, overrides: Partial<TallyInput> = {}) {
  return checkDecision(input([], overrides), verifyStatement(approval.envelope, 'approval', ring));
}

function without(id: string, change: Partial<Policy['authorities'][number]> | null): Policy {
  const authorities = policy.authorities.flatMap((held) => {
    if (held.id !== id) return [held];
    return change === null ? [] : [{ ...held, ...change }];
  });
  return { ...policy, version: 2, authorities };
}

describe('one decision', () => {
  test('counts for the very request it names, by somebody of the role', () => {
    expect(check(world.approve(request, 'alice'))).toEqual({ approver: 'alice' });
  });

  const other = world.release({ version: '2.0.0' }).request;
  const attacks: [string, () => Signed<ApprovalPredicate>, string, RegExp][] = [
    ['is of another request', () => world.approve(other, 'alice'), 'REPLAYED', /another request/],
    [
      "names another request's digest",
      () => world.approve(request, 'alice', { subject: other.digest }),
      'REPLAYED',
      /another request/,
    ],
    [
      "names another request's id",
      () => world.approve(request, 'alice', { requestId: other.predicate.requestId }),
      'REPLAYED',
      /another request/,
    ],
    [
      'is of another environment',
      () => world.approve(request, 'alice', { environment: 'production' }),
      'REPLAYED',
      /for environment production/,
    ],
    [
      'is of another workflow',
      () => world.approve(request, 'alice', { workflowId: 'lifecycle/digits/9.9.9' }),
      'REPLAYED',
      /for workflow lifecycle\/digits\/9\.9\.9/,
    ],
    [
      'is older than the request',
      () => world.approve(request, 'alice', { issuedAt: at(-101) }),
      'EXPIRED',
      /older than the request/,
    ],
    [
      'came after the request had expired',
      () => world.approve(request, 'alice', { issuedAt: at(561) }),
      'EXPIRED',
      /after the request had expired/,
    ],
    ['is by an operator', () => world.approve(request, 'oscar'), 'NOT_AUTHORISED', /oscar does not hold the role/],
    ['is by a workload', () => world.approve(request, 'trainer'), 'NOT_AUTHORISED', /trainer does not hold the role/],
    ['is by the requester', () => world.approve(request, 'ci'), 'NOT_AUTHORISED', /ci does not hold the role/],
    [
      'is signed by the requester, too',
      () => world.approve(request, ['ci', 'alice']),
      'NOT_AUTHORISED',
      /ci asked for this/,
    ],
    [
      'is signed by the producer, too',
      () => world.approve(request, ['alice', 'trainer']),
      'NOT_AUTHORISED',
      /trainer produced this/,
    ],
    [
      'is signed by control, which made the request, too',
      () => world.approve(request, ['alice', 'control']),
      'NOT_AUTHORISED',
      /control asked for this/,
    ],
  ];
  test.each(attacks)('attack: one that %s counts for nothing', (_, approval, code, reason) => {
    const signed = approval();
    expect(check(signed)).toEqual({
      statement: signed.digest,
      code,
      reason: expect.stringMatching(reason) as string,
    });
    expect(tally(input([signed], { quorum: { ...two, count: 1 } }))).toMatchObject({ kind: 'pending', missing: 1 });
  });

  test('may be made a little before the request by a clock that is behind, and at the very end', () => {
    expect(check(world.approve(request, 'alice', { issuedAt: at(-99) }))).toEqual({ approver: 'alice' });
    expect(check(world.approve(request, 'alice', { issuedAt: at(560) }))).toEqual({ approver: 'alice' });
  });

  const gates: [string, Policy, Policy][] = [
    ['was removed in the newest policy', policy, without('alice', null)],
    ['lost the role in the newest policy', policy, without('alice', { roles: ['reviewer'] })],
    ['got the role only after the gate had opened', without('alice', { roles: ['reviewer'] }), policy],
  ];
  test.each(gates)('attack: somebody who %s counts for nothing', (_, gate, newest) => {
    expect(check(world.approve(request, 'alice'), { gate, newest })).toMatchObject({ code: 'NOT_AUTHORISED' });
  });

  test('attack: a person who asked cannot agree, also with another of their keys', () => {
    const asked = statement({ ...request.predicate, requester: 'alice' });
    const approval = verifyStatement(world.approve(asked, 'alice-2').envelope, 'approval', ring);
    const own = { ...input([]), request: verifyStatement(asked.envelope, 'request', ring) };
    expect(checkDecision(own, approval)).toMatchObject({
      code: 'NOT_AUTHORISED',
      reason: expect.stringMatching(/alice asked/) as string,
    });
  });

  test('attack: a person who produced the bytes cannot agree', () => {
    const asked = statement({ ...request.predicate, producer: 'bob' });
    const approval = verifyStatement(world.approve(asked, 'bob').envelope, 'approval', ring);
    const own = { ...input([]), request: verifyStatement(asked.envelope, 'request', ring) };
    expect(checkDecision(own, approval)).toMatchObject({
      code: 'NOT_AUTHORISED',
      reason: expect.stringMatching(/bob produced/) as string,
    });
  });

  test('attack: a person who has signed the request beside its requester cannot agree', () => {
    const asked = statement({ ...request.predicate, requester: 'rita' }, 'rita', 'alice');
    const approval = verifyStatement(world.approve(asked, 'alice').envelope, 'approval', ring);
    const own = { ...input([]), request: verifyStatement(asked.envelope, 'request', ring) };
    expect(checkDecision(own, approval)).toMatchObject({
      code: 'NOT_AUTHORISED',
      reason: expect.stringMatching(/alice asked/) as string,
    });
  });
});

describe('the tally', () => {
  test('is pending while people are missing, and says how many', () => {
    expect(tally(input([]))).toEqual({ kind: 'pending', missing: 2, approvers: [] });
    expect(tally(input([world.approve(request, 'alice')]))).toEqual({
      kind: 'pending',
      missing: 1,
      approvers: ['alice'],
    });
  });

  test('approves with so many people, and names their statements', () => {
    const approvals = [world.approve(request, 'alice'), world.approve(request, 'bob')];
    expect(tally(input(approvals))).toEqual({
      kind: 'approved',
      approvals: approvals.map(({ digest }) => digest),
      approvers: ['alice', 'bob'],
    });
  });

  const alice = () => world.approve(request, 'alice');
  const once: [string, () => readonly Signed<ApprovalPredicate>[]][] = [
    ['approves twice', () => [alice(), alice()]],
    ['approves with each of two keys', () => [alice(), world.approve(request, 'alice-2')]],
    ['signs one approval with two keys', () => [world.approve(request, ['alice', 'alice-2'])]],
    ['sends the same approval twice', () => [alice()].flatMap((approval) => [approval, approval])],
  ];
  test.each(once)('attack: one person who %s is one person', (_, approvals) => {
    expect(tally(input(approvals()))).toEqual({ kind: 'pending', missing: 1, approvers: ['alice'] });
  });

  test('counts one approval that two people have signed as one', () => {
    const joint = world.approve(request, ['alice', 'bob']);
    expect(tally(input([joint]))).toMatchObject({ kind: 'pending', missing: 1 });
  });

  test('lets one rejection outweigh any number of approvals, whenever it came', () => {
    const no = world.approve(request, 'bob', { decision: 'reject', reason: 'too slow' });
    const yes = [alice(), world.approve(request, 'alice-2')];
    for (const approvals of [
      [no, ...yes],
      [...yes, no],
    ])
      expect(tally(input(approvals, { quorum: { ...two, count: 1 } }))).toEqual({
        kind: 'rejected',
        by: 'bob',
        statement: no.digest,
        reason: 'too slow',
      });
  });

  test('attack: a rejection by somebody without the role stops nothing', () => {
    const no = world.approve(request, 'oscar', { decision: 'reject' });
    expect(tally(input([alice(), no], { quorum: { ...two, count: 1 } }))).toMatchObject({ kind: 'approved' });
  });
});

describe('people with SSH keys', () => {
  const [laptop, device, bobs] = [
    createSshKey('ssh-ed25519'),
    createSshKey('sk-ssh-ed25519@openssh.com'),
    createSshKey('ecdsa-sha2-nistp384'),
  ];
  const enrolled: Readonly<Record<string, Policy['authorities'][number]['keys']>> = {
    alice: [{ ssh: laptop.line }, { ssh: `${device.line} alice's key ring` }, { pem: world.pems.alice.publicPem }],
    bob: [{ ssh: bobs.line }],
  };
  const modern = createWorld({
    policy: (p) => ({
      ...p,
      authorities: p.authorities.map((held) => ({ ...held, keys: enrolled[held.id] ?? held.keys })),
    }),
    signers: { alice: laptop, 'alice-2': device, bob: bobs },
  });
  const asked = modern.release().request;
  const counted = (approvals: readonly Signed<ApprovalPredicate>[]) => {
    const theirs = keyRing(modern.policy);
    return tally({
      request: verifyStatement(asked.envelope, 'request', theirs),
      approvals: approvals.map(({ envelope }) => verifyStatement(envelope, 'approval', theirs)),
      quorum: two,
      gate: modern.policy,
      newest: modern.policy,
    });
  };

  test('approve a release, from their envelopes to the count and to the release', () => {
    const approvals = [modern.approve(asked, 'alice'), modern.approve(asked, 'bob')];
    expect(counted(approvals)).toMatchObject({ kind: 'approved', approvers: ['alice', 'bob'] });
    const release = modern.release({ approvals: (request) => [modern.approve(request, 'alice-2')] });
    const { release: verified, rules, status } = verifyRelease(release.evidence, modern.root, modern.at(0));
    expect(authoriseLoading(verified, rules, status)).toMatchObject({ allowed: true, approvers: ['alice'] });
  });

  test('attack: one person with a laptop, a device and a PEM key is one person', () => {
    const pem = signStatement(
      'approval',
      { name: asked.predicate.requestId, sha256: asked.digest },
      modern.approve(asked, 'alice').predicate,
      [world.keys.alice],
    );
    const approvals = [modern.approve(asked, 'alice'), modern.approve(asked, 'alice-2')];
    expect(counted([...approvals, { ...approvals[0], envelope: pem } as Signed<ApprovalPredicate>])).toEqual({
      kind: 'pending',
      missing: 1,
      approvers: ['alice'],
    });
  });

  test('attack: an approval by an untouched device, or by a stranger under her keyid, is no statement at all', () => {
    const { predicate } = modern.approve(asked, 'alice');
    const by = (signer: EnvelopeSigner): unknown => {
      const about = { name: asked.predicate.requestId, sha256: asked.digest };
      return verifyStatement(signStatement('approval', about, predicate, [signer]), 'approval', keyRing(modern.policy));
    };
    expect(by(device)).toMatchObject({ signers: ['alice'] });
    const none: unknown = expect.objectContaining({ code: 'SIGNATURE_INVALID' });
    expect(() => by({ ...device, sign: (message) => device.sshsig(message, { flags: 0 }) })).toThrow(none);
    const stranger = createSshKey('ssh-ed25519');
    expect(() => by({ ...laptop, sign: (message) => stranger.sign(message) })).toThrow(none);
    expect(() => by({ ...laptop, sign: (message) => laptop.sshsig(message, { namespace: 'file' }) })).toThrow(none);
  });
});

function statement(predicate: RequestPredicate, ...by: KeyName[]): Signed<RequestPredicate> {
  return world.request({ name: 'x', sha256: sha256('x') }, predicate, by.length === 0 ? 'control' : by);
}

test('an approval by a key of nobody is no statement at all', () => {
  const predicate = world.approve(request, 'alice').predicate;
  const forged = signStatement('approval', { name: 'x', sha256: request.digest }, predicate, [world.keys.mallory]);
  expect(() => verifyStatement(forged, 'approval', ring)).toThrow(
    expect.objectContaining({ code: 'SIGNATURE_INVALID' }),
  );
});
