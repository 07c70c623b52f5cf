import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Desk } from '../../../activities/control.js';
import { Journal } from '../../../activities/journal.js';
import { createPolicies } from '../../../activities/policy.js';
import { createMemoryStore } from '../../../adapters/object-store/memory.js';
import type { Bucket } from '../../../adapters/object-store/port.js';
import { Records } from '../../../adapters/records.js';
import type { AuditRecord } from '../../../domain/audit.js';
import type { Policy } from '../../../domain/policy.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { policyDigest, signPolicy } from '../../../formats/policy.js';
import { createWorld } from '../../support/world.js';

const world = createWorld();
const { keys } = world;
const second = world.nextPolicy((p) => ({ ...p, rollback: { warmReleases: 1 } }));
const third = world.nextPolicy((p) => ({ ...p, rollback: { warmReleases: 3 } }), second.policy);

let bucket: Bucket;
let records: Records;
let log: AuditRecord[];
let told: number[];
let gatewayFails: boolean;

beforeEach(async () => {
  bucket = createMemoryStore().bucket('test-custody');
  records = new Records(bucket, world.root);
  await bucket.createOnce(storeKeys.policy(1), canonicalBytes(world.policyEnvelope));
  log = [];
  told = [];
  gatewayFails = false;
});

async function apply(version: number, envelope: unknown) {
  const audit = {
    append: async (entries: readonly AuditRecord[]) =>
      log.push(...entries.filter(({ id }) => !log.some((known) => known.id === id))),
  };
  const gateway = {
    deliverPolicies: async (envelopes: readonly unknown[]) => {
      if (gatewayFails) throw new Error('it hangs');
      told.push(envelopes.length);
    },
  };
  const desk = { records, audit, journal: new Journal(audit), gateways: [gateway] } as unknown as Desk;
  const { applyPolicy } = createPolicies(desk);
  return new MockActivityEnvironment(undefined, { logger: new DefaultLogger('ERROR') }).run(
    applyPolicy,
    version,
    envelope,
  );
}

const changes = (): string[] => log.map(({ change, reason }) => `${change} ${reason.slice(0, 8)}`);

describe('applying a policy', () => {
  test('keeps it, has it in the log with what was before, and tells the gateways', async () => {
    const applied = await apply(2, second.envelope);
    const digest = policyDigest(second.policy);
    expect(applied).toEqual({ version: 2, digest, signers: ['root-a', 'root-b'], already: false });
    expect((await records.policies()).newest).toEqual(second.policy);
    expect(told).toEqual([2]);
    expect(changes()).toEqual(['policy.accepted policy 2', 'policy.applied policy 1', 'policy.applied policy 2']);
    expect(log[2]).toMatchObject({ before: world.policyDigest, after: digest, actor: { id: 'root-a and root-b' } });
  });

  test('again changes nothing and gets the same answer', async () => {
    await apply(2, second.envelope);
    const before = log.length;
    expect(await apply(2, second.envelope)).toMatchObject({ version: 2, already: true });
    expect(log).toHaveLength(before);
  });

  test('does not wait for a gateway that hangs: the loop tells it later', async () => {
    gatewayFails = true;
    expect(await apply(2, second.envelope)).toMatchObject({ version: 2 });
  });

  test('is taken up by every other reader of the store without a restart', async () => {
    const other = new Records(bucket, world.root);
    expect((await other.policies()).newest.version).toBe(1);
    await apply(2, second.envelope);
    expect((await other.policies()).newest.version).toBe(2);
    await apply(3, third.envelope);
    expect((await other.policies()).newest.rollback.warmReleases).toBe(3);
  });

  test('follows an expired policy: that is the way out', async () => {
    const past = (p: Policy): Policy => ({ ...p, expires: world.at(-60) });
    const expired = createWorld({ policy: past });
    bucket = createMemoryStore().bucket('test-custody');
    records = new Records(bucket, expired.root);
    await bucket.createOnce(storeKeys.policy(1), canonicalBytes(expired.policyEnvelope));
    const next = expired.nextPolicy((p) => ({ ...p, expires: world.at(3600) }));
    expect(await apply(2, next.envelope)).toMatchObject({ version: 2, already: false });
  });
});

describe('attack: a policy that may not come into force is refused and audited, and changes nothing', () => {
  const unsigned = { ...second.envelope, signatures: [{ keyid: '', sig: Buffer.from('nobody').toString('base64') }] };
  const edited = (edit: (policy: Policy) => Policy) => world.nextPolicy(edit).envelope;
  const cases: [string, number, unknown, string][] = [
    ['unsigned', 2, unsigned, 'SIGNATURE_INVALID'],
    ['no envelope at all', 2, 'apply it', 'MALFORMED'],
    ['nothing', 2, null, 'MALFORMED'],
    ['a version skipped', 3, third.envelope, 'POLICY_REFUSED'],
    ['a version skipped, under the id of the next', 2, third.envelope, 'POLICY_REFUSED'],
    ['signed by one root key of two', 2, signPolicy(second.policy, [keys['root-a']]), 'POLICY_REFUSED'],
    ['signed by a stranger', 2, signPolicy(second.policy, [keys.mallory, keys['root-a']]), 'POLICY_REFUSED'],
    ['of another environment', 2, edited((p) => ({ ...p, environment: 'prod' })), 'POLICY_REFUSED'],
    ['expired already', 2, edited((p) => ({ ...p, expires: world.at(-1) })), 'POLICY_EXPIRED'],
    [
      'other bytes under the version in force',
      1,
      signPolicy({ ...world.policy, rollback: { warmReleases: 9 } }, [keys['root-a'], keys['root-b']]),
      'VERSION_TAKEN',
    ],
    [
      'a request instead of a policy',
      2,
      world.statement(
        'status',
        { name: 'x', sha256: world.policyDigest },
        { environment: 'test', version: 1, issuedAt: world.at(0), expiresAt: world.at(9), revoked: [], kills: [] },
        'root-a',
      ).envelope,
      'MALFORMED',
    ],
  ];
  test.each(cases)('%s', async (_, version, envelope, code) => {
    await expect(apply(version, envelope)).rejects.toMatchObject({ code });
    expect(log.map(({ change }) => change)).toEqual(['message.refused']);
    expect(log[0]?.reason).toContain(code);
    expect((await records.policies()).chain).toEqual([world.policy]);
    expect(told).toEqual([]);
  });

  test('the old version again, once a newer one is in force', async () => {
    await apply(2, second.envelope);
    await expect(apply(1, world.policyEnvelope)).rejects.toMatchObject({ code: 'POLICY_REFUSED', message: /older/ });
    expect((await records.policies()).newest).toEqual(second.policy);
  });

  test('another policy under a version that is taken', async () => {
    await apply(2, second.envelope);
    const other = world.nextPolicy((p) => ({ ...p, rollback: { warmReleases: 7 } }));
    await expect(apply(2, other.envelope)).rejects.toMatchObject({ code: 'VERSION_TAKEN' });
    expect((await records.policies()).newest).toEqual(second.policy);
  });

  test('the loser of two that came at once', async () => {
    await records.policies();
    const other = world.nextPolicy((p) => ({ ...p, rollback: { warmReleases: 7 } }));
    const list = bucket.list.bind(bucket);
    let first = true;
    // Between the look at what is there and the write, somebody else writes.
    bucket.list = async function* (prefix, options) {
      yield* list(prefix, options);
      if (first) await bucket.createOnce(storeKeys.policy(2), canonicalBytes(other.envelope));
      first = false;
    };
    await expect(apply(2, second.envelope)).rejects.toMatchObject({ code: 'VERSION_TAKEN' });
    expect((await records.policies()).newest).toEqual(other.policy);
  });
});
