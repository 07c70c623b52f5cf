import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Counted, Decision } from '../../../activities/contract.js';
import type { Desk } from '../../../activities/control.js';
import { createGates } from '../../../activities/gate.js';
import { Journal } from '../../../activities/journal.js';
import { createMemoryStore } from '../../../adapters/object-store/memory.js';
import { Records } from '../../../adapters/records.js';
import type { AuditRecord } from '../../../domain/audit.js';
import type { OpenGate } from '../../../domain/lifecycle.js';
import type { Policy } from '../../../domain/policy.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { recordsOf } from '../serving/fixture.js';
import { createWorld, nonce, withProvisions, type KeyName, type Release, type Signers } from '../../support/world.js';

const DAY = 86_400;
const world = createWorld({
  policy: (p) => ({
    ...withProvisions(p),
    approvals: { ...p.approvals, deploy: { ...p.approvals.deploy, count: 2 } },
  }),
});
const { at } = world;

let records: Records;
let release: Release;
let gate: OpenGate;
let log: AuditRecord[];
let desk: Desk;

beforeEach(async () => {
  records = new Records(createMemoryStore().bucket('test-custody'), world.root);
  log = [];
  desk = {
    records,
    journal: new Journal({ append: async (added) => log.push(...added) }),
  } as unknown as Desk;
  release = world.release({ signedBy: null, approvals: () => [] });
  await records.bucket.createOnce(storeKeys.policy(1), canonicalBytes(world.policyEnvelope));
  for (const [key, bytes] of recordsOf(release)) await records.bucket.createOnce(key, bytes);
  gate = gateOf(release);
});

afterEach(() => void vi.useRealTimers());

function gateOf({ request }: Release): OpenGate {
  const { requestId, expiresAt } = request.predicate;
  const { digest, envelope } = request;
  return { request: digest, requestId, role: 'release-approver', count: 2, expiresAt, envelope };
}

const say = (by: Signers, changes: Parameters<typeof world.approve>[2] = {}): Decision => {
  const { envelope, predicate } = world.approve(release.request, by, changes);
  return { message: predicate.decision, envelope };
};

/** The activity, in a run of its own. */
function decide(
  decisions: readonly Decision[],
  counted: readonly string[] = [],
  run = 'run-1',
  act: 'deploy' | 'override' = 'deploy',
): Promise<Counted> {
  const { workflowId } = release.request.predicate;
  const environment = new MockActivityEnvironment({ workflowExecution: { workflowId, runId: run } });
  const input = { gate, act, counted, decisions } as const;
  return environment.run<[typeof input], Counted, (asked: typeof input) => Promise<Counted>>(
    (asked) => createGates(desk).decide(asked),
    input,
  );
}

const codes = ({ verdicts }: Counted): string[] =>
  verdicts.map((verdict) => (verdict.accepted ? 'accepted' : verdict.code));
const refused = (): AuditRecord[] => log.filter(({ change }) => change === 'message.refused');
const accepted = ({ verdicts }: Counted): string[] =>
  verdicts.flatMap((verdict) => (verdict.accepted ? [verdict.statement] : []));

describe('people who decide at once', () => {
  test('two approvers in one batch are two, and what they said is kept once', async () => {
    const both = await decide([say('alice'), say('bob')]);
    expect(both.outcome).toMatchObject({ kind: 'approved', approved: { approvers: ['alice', 'bob'] } });
    expect(log.filter(({ change }) => change === 'decision.accepted')).toHaveLength(2);
  });

  test('two approvers in two batches are two, in whatever order they are counted', async () => {
    const first = await decide([say('bob')]);
    expect(first.outcome).toEqual({ kind: 'pending', missing: 1 });
    expect((await decide([say('alice')], accepted(first))).outcome).toMatchObject({ kind: 'approved' });
  });

  test.each([
    ['before', (yes: Decision[], no: Decision) => [no, ...yes]],
    ['between', ([one, two]: Decision[], no: Decision) => [one, no, two] as Decision[]],
    ['after', (yes: Decision[], no: Decision) => [...yes, no]],
  ])('a rejection %s enough approvals wins', async (_, order) => {
    const rejection = say(['alice', 'alice-2'], { decision: 'reject', reason: 'not today' });
    const { outcome } = await decide(order([say('alice'), say('bob')], rejection));
    expect(outcome).toMatchObject({ kind: 'rejected', by: 'alice', reason: 'not today' });
  });

  test('attack: one person, with each of two keys and twice in one batch, is one', async () => {
    const again = say('alice');
    const said = await decide([say('alice'), say('alice-2'), again, again]);
    expect(codes(said)).toEqual(['accepted', 'accepted', 'accepted', 'accepted']);
    expect(said.outcome).toEqual({ kind: 'pending', missing: 1 });
  });
});

describe('an override', () => {
  const failed = ['contract/own/shape', 'safety/own/refuses-poison'];
  const asked = async () => {
    const testResult = { result: 'FAILED', failedTests: failed } as const;
    release = world.release({ version: '2.0.0', signedBy: null, approvals: () => [], testResult });
    for (const [key, bytes] of recordsOf(release)) await records.bucket.createOnce(key, bytes);
    const { requester } = release.request.predicate;
    const request = world.overrideRequest({ ...release, requester });
    await records.bucket.createOnce(storeKeys.request(request.digest), canonicalBytes(request.envelope));
    gate = { ...gateOf({ ...release, request }), role: 'override-authority', count: 1 };
    return request;
  };
  const lifting = (request: Awaited<ReturnType<typeof asked>>, lifts: readonly string[]): Decision => ({
    message: 'override',
    envelope: world.override(request, 'vera', { lifts }).envelope,
  });

  test.each([
    ['all of it', failed, /refuses-poison can never be lifted/],
    ['only what may be', ['contract/own/shape'], /exactly what has failed/],
    [
      'what may be, and a safety case by another spelling',
      ['contract/own/shape', 'Safety/own/refuses-poison'],
      /exactly/,
    ],
    ['what may be, twice', ['contract/own/shape', 'contract/own/shape'], /exactly/],
  ])(
    'attack: of a case of safety, whose list says %s, lifts nothing, whatever message brings it',
    async (_, lifts, why) => {
      const request = await asked();
      const counted = await decide([lifting(request, lifts)], [], 'run-1', 'override');
      expect(codes(counted)).toEqual(['POLICY_REFUSED']);
      expect(counted.outcome).toEqual({ kind: 'pending', missing: 1 });
      expect(refused().map(({ reason }) => reason)).toEqual([expect.stringMatching(why)]);
    },
  );
});

describe('what was said before', () => {
  test('the same bytes again get the same answer, also in a run that was reset, and count once', async () => {
    const approval = say('alice');
    const first = await decide([approval]);
    const again = await decide([approval], [], 'run-2');
    expect(again).toEqual(first);
    expect(again.outcome).toEqual({ kind: 'pending', missing: 1 });
  });

  test('attack: an approval of one request counts for no other of the same release', async () => {
    const approval = say('alice');
    await decide([approval]);
    const { predicate } = release.request;
    const asked = { ...predicate, requestId: `${predicate.requestId}-2`, nonce: nonce() };
    const subject = { name: predicate.workflowId, sha256: release.release };
    const request = world.statement('request', subject, asked, 'control');
    await records.bucket.createOnce(storeKeys.request(request.digest), canonicalBytes(request.envelope));
    gate = gateOf({ ...release, request });
    expect(codes(await decide([approval], [], 'run-2'))).toEqual(['REPLAYED']);
    expect(refused()).toHaveLength(1);
  });

  test('attack: a nonce that was spent carries no second statement, whoever signs it', async () => {
    const { predicate } = world.approve(release.request, 'alice');
    await decide([say('alice', { nonce: predicate.nonce })]);
    const second = await decide([
      say('bob', { nonce: predicate.nonce }),
      say('alice', { nonce: predicate.nonce, reason: 'and this' }),
    ]);
    expect(codes(second)).toEqual(['REPLAYED', 'REPLAYED']);
    expect(second.outcome).toEqual({ kind: 'pending', missing: 2 });
  });

  test('attack: evidence that changed after the request voids what people say to it', async () => {
    const newer = {
      testResult: world.release({ testResult: { passedTests: ['a', 'b', 'c', 'd'] } }).testResult.digest,
    };
    const elsewhere = createMemoryStore().bucket('test-custody');
    for await (const key of records.bucket.list('')) {
      const bytes = key.endsWith('/validated') ? canonicalBytes(newer) : (await records.bucket.read(key))?.body;
      await elsewhere.createOnce(key, bytes ?? Buffer.alloc(0));
    }
    desk = { ...desk, records: new Records(elsewhere, world.root) };
    await expect(decide([say('alice'), say('bob')])).rejects.toMatchObject({ code: 'REPLAYED' });
  });
});

describe('a clock that is a day off', () => {
  const clock = (seconds: number): void => void vi.useFakeTimers({ toFake: ['Date'], now: Date.parse(at(seconds)) });

  test('attack: ahead, control accepts no decision whose time is over, and opens nothing', async () => {
    clock(DAY);
    const said = await decide([say('alice'), say('bob')]);
    expect(codes(said)).toEqual(['EXPIRED', 'EXPIRED']);
    expect(said.outcome).toEqual({ kind: 'pending', missing: 2 });
  });

  test('attack: behind, control takes no decision from the future', async () => {
    clock(-DAY);
    expect(codes(await decide([say('alice'), say('bob')]))).toEqual(['EXPIRED', 'EXPIRED']);
    expect(refused()).toHaveLength(1);
  });

  test('within a minute, both ways, it changes nothing', async () => {
    clock(-80);
    expect(codes(await decide([say('alice')]))).toEqual(['accepted']);
    vi.useRealTimers();
    clock(60);
    expect(codes(await decide([say('bob')]))).toEqual(['accepted']);
  });

  test("attack: the approver's own clock, a day ahead or behind, makes no approval", async () => {
    const ahead = say('alice', { issuedAt: at(DAY), expiresAt: at(DAY + 600) });
    const behind = say('bob', { issuedAt: at(-DAY), expiresAt: at(-DAY + 600) });
    expect(codes(await decide([ahead, behind]))).toEqual(['EXPIRED', 'EXPIRED']);
  });
});

describe('a key that has ended', () => {
  /** The key of somebody ended so many seconds from when the world began. */
  function ended(id: KeyName, seconds: number): (policy: Policy) => Policy {
    return (p) => ({
      ...p,
      authorities: p.authorities.map((held) =>
        held.id === id ? { ...held, keys: held.keys.map((key) => ({ ...key, validUntil: at(seconds) })) } : held,
      ),
    });
  }
  async function apply(edit: (policy: Policy) => Policy): Promise<void> {
    await records.bucket.createOnce(storeKeys.policy(2), canonicalBytes(world.nextPolicy(edit).envelope));
  }
  const later = (seconds: number): void => void vi.useFakeTimers({ toFake: ['Date'], now: Date.parse(at(seconds)) });

  test('counts for what it signed, and control has seen, while it was valid', async () => {
    const first = await decide([say('bob')]);
    await apply(ended('bob', 0));
    later(300);
    expect((await decide([say('alice', { issuedAt: at(200) })], accepted(first))).outcome).toMatchObject({
      kind: 'approved',
      approved: { approvers: ['bob', 'alice'] },
    });
  });

  test('attack: a thief of it who dates an approval back is refused, because it comes after the end', async () => {
    await apply(ended('bob', 0));
    later(300);
    const said = await decide([say('bob', { issuedAt: at(-10) }), say('alice', { issuedAt: at(200) })]);
    expect(codes(said)).toEqual(['SIGNATURE_INVALID', 'accepted']);
    expect(said.outcome).toEqual({ kind: 'pending', missing: 1 });
    expect(refused()[0]?.reason).toContain('first seen');
  });
});
