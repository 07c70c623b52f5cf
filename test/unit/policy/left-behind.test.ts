import { beforeEach, describe, expect, test } from 'vitest';
import { createMemoryStore } from '../../../adapters/object-store/memory.js';
import { Records } from '../../../adapters/records.js';
import { leftBehind } from '../../../client/left-behind.js';
import { adviseOnChange } from '../../../domain/policy-advice.js';
import type { Authority, AuthorityKey, Policy } from '../../../domain/policy.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { generateKey, importPrivateKey } from '../../../formats/keys.js';
import { omsResources } from '../../../formats/manifest.js';
import { signOms } from '../../../formats/oms.js';
import { sha256 } from '../../../formats/sha256.js';
import { createWorld, type Release } from '../../support/world.js';
import { recordsOf } from '../serving/fixture.js';

const world = createWorld();
const { policy } = world;
const fresh = generateKey('ecdsa-p256');

function having(id: string, change: (held: Authority) => Partial<Authority>): Policy {
  const authorities = policy.authorities.map((held) => (held.id === id ? { ...held, ...change(held) } : held));
  return { ...policy, version: 2, authorities };
}
const newKey = (id: string): Policy => having(id, () => ({ keys: [{ pem: fresh.publicPem }] }));
const alsoKey = (id: string): Policy => having(id, ({ keys }) => ({ keys: [...keys, { pem: fresh.publicPem }] }));
const until = (id: string, validUntil: string): Policy =>
  having(id, ({ keys }) => ({ keys: keys.map((key): AuthorityKey => ({ ...key, validUntil })) }));

describe('the releases that a policy leaves behind', () => {
  let records: Records;
  let release: Release;
  const put = (key: string, bytes: Buffer) => records.bucket.createOnce(key, bytes);

  beforeEach(async () => {
    records = new Records(createMemoryStore().bucket('test-custody'), world.root);
    release = world.release();
    await put(storeKeys.policy(1), canonicalBytes(world.policyEnvelope));
    for (const [key, bytes] of recordsOf(release)) await put(key, bytes);
    await put(storeKeys.version(release.name), canonicalBytes({ release: release.release }));
  });

  const told = async (next: Policy): Promise<string[]> =>
    (await leftBehind({ records }, next)).map(({ version, why }) => `${version} ${why}`);

  const harmless: [string, Policy][] = [
    ['changes nothing', { ...policy, version: 2 }],
    ['adds a release key', alsoKey('release-signer')],
    ['takes a key out that no release rests on', newKey('olga')],
    ["lets an approver's key end after the approval", until('alice', world.at(0))],
  ];
  test.each(harmless)('are none where it %s', async (_, next) => {
    expect(await told(next)).toEqual([]);
  });

  const harmful: [string, Policy, RegExp][] = [
    ['takes out the release key', newKey('release-signer'), /^1\.0\.0 SIGNATURE_INVALID/],
    ["takes out the approver's key", newKey('alice'), /^1\.0\.0 SIGNATURE_INVALID/],
    ["takes out the validator's key", newKey('intake'), /^1\.0\.0 SIGNATURE_INVALID/],
    ['takes the role from its approver', having('alice', () => ({ roles: ['auditor'] })), /^1\.0\.0 NOT_AUTHORISED/],
    ["dates the approver's key back", until('alice', world.at(-3600)), /^1\.0\.0 SIGNATURE_INVALID/],
  ];
  test.each(harmful)('are named with the reason where it %s', async (_, next, reason) => {
    expect(await told(next)).toEqual([expect.stringMatching(reason)]);
  });

  test('are none once each was signed by the new key', async () => {
    const resources = omsResources(release.manifest, Buffer.from(release.manifestText));
    const again = signOms('digits 1.0.0', resources, importPrivateKey(fresh.privatePem));
    await put(storeKeys.statement(sha256(again)), again);
    await put(storeKeys.resigned(release.name, Date.now(), sha256(again)), Buffer.from('{}'));
    expect(await told(newKey('release-signer'))).toEqual([]);
  });

  test('are only those that live, and that could be loaded before', async () => {
    await put(storeKeys.record(release.name, 'outcome'), canonicalBytes({ kind: 'retired', certificate: '' }));
    const unapproved = world.release({ version: '2.0.0', approvals: () => [] });
    for (const [key, bytes] of recordsOf(unapproved)) await put(key, bytes);
    await put(storeKeys.version(unapproved.name), canonicalBytes({ release: unapproved.release }));
    expect(await told(newKey('release-signer'))).toEqual([]);
  });

  test('attack: junk among the signatures hides none of them, and stops no policy', async () => {
    await put(storeKeys.resigned(release.name, Date.now(), sha256('nothing there')), Buffer.from('{}'));
    await put(storeKeys.statement(sha256('junk')), Buffer.from('junk'));
    await put(storeKeys.resigned(release.name, Date.now() + 1, sha256('junk')), Buffer.from('{}'));
    expect(await told({ ...policy, version: 2 })).toEqual([]);
    expect(await told(newKey('release-signer'))).toHaveLength(1);
  });
});

describe('advice on a change of policy, without a store', () => {
  test('names keys that are taken out where releases may rest on them, and what to do instead', () => {
    expect(adviseOnChange(policy, newKey('release-signer'))).toEqual([expect.stringContaining('custody resign --all')]);
    expect(adviseOnChange(policy, newKey('alice'))).toEqual([expect.stringContaining('`validUntil`')]);
    const gone = { ...policy, authorities: policy.authorities.filter(({ id }) => id !== 'bob') };
    expect(adviseOnChange(policy, gone)).toEqual([expect.stringContaining('a key of bob')]);
  });

  test('says nothing of keys that stay, end by time, or vouch for nothing', () => {
    for (const after of [policy, alsoKey('release-signer'), until('alice', world.at(0)), newKey('ada')])
      expect(adviseOnChange(policy, after)).toEqual([]);
  });
});
