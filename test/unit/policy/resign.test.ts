import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Resigned } from '../../../activities/contract.js';
import { createResigning } from '../../../activities/resign.js';
import { checkRelease } from '../../../adapters/dossier.js';
import { createMemoryStore } from '../../../adapters/object-store/memory.js';
import type { Bucket } from '../../../adapters/object-store/port.js';
import { Records } from '../../../adapters/records.js';
import { requestResign } from '../../../client/requests.js';
import type { ReleaseName } from '../../../domain/names.js';
import type { Policy } from '../../../domain/policy.js';
import { authoriseLoading } from '../../../domain/authorise.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { envelopeDigest } from '../../../formats/dsse.js';
import { demand } from '../../../formats/evidence.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { generateKey, importPrivateKey } from '../../../formats/keys.js';
import { sha256 } from '../../../formats/sha256.js';
import { recordsOf } from '../serving/fixture.js';
import { createWorld, type KeyName, type Release } from '../../support/world.js';

const world = createWorld();
const { keys, pems } = world;
const fresh = generateKey('ecdsa-p256');
const freshKey = importPrivateKey(fresh.privatePem);
const withSigners =
  (...listed: readonly string[]) =>
  (p: Policy): Policy => ({
    ...p,
    authorities: p.authorities.map((held) =>
      held.id === 'release-signer' ? { ...held, keys: listed.map((pem) => ({ pem })) } : held,
    ),
  });
const both = world.nextPolicy(withSigners(pems['release-signer'].publicPem, fresh.publicPem));
const onlyNew = world.nextPolicy(withSigners(fresh.publicPem), both.policy);

let bucket: Bucket;
let records: Records;
let release: Release;

beforeEach(async () => {
  bucket = createMemoryStore().bucket('test-custody');
  records = new Records(bucket, world.root);
  release = world.release();
  await put(storeKeys.policy(1), canonicalBytes(world.policyEnvelope));
  for (const [key, bytes] of recordsOf(release)) await put(key, bytes);
});

const put = (key: string, bytes: Buffer): Promise<unknown> => bucket.createOnce(key, bytes);
const applied = (version: 2 | 3): Promise<unknown> =>
  put(storeKeys.policy(version), canonicalBytes((version === 2 ? both : onlyNew).envelope));

async function asked(by: KeyName = 'oscar', about: Release = release): Promise<string> {
  const { newestDigest } = await records.policies();
  const signer = { key: keys[by], id: by, environment: 'test', policy: newestDigest };
  const envelope = requestResign(signer, about.name, about.release);
  await put(storeKeys.request(envelopeDigest(envelope)), canonicalBytes(envelope));
  return envelopeDigest(envelope);
}

function resign(request: string, key = freshKey) {
  const { resignRelease } = createResigning({ records, key });
  const environment = new MockActivityEnvironment(undefined, { logger: new DefaultLogger('ERROR') });
  return environment.run<[ReleaseName, string], Resigned, typeof resignRelease>(resignRelease, release.name, request);
}

/** As serving and the vault decide it. */
async function load(): Promise<string> {
  const { status } = release.evidence;
  const checked = await checkRelease(records, release.name, release.release, status);
  demand(authoriseLoading(checked.release, checked.rules, checked.status));
  return sha256(checked.evidence.signature ?? '');
}

describe('a release is signed once more', () => {
  test('and loads under the policy that has only the new key; the old signature stays where it was', async () => {
    await applied(2);
    const { signature, already } = await resign(await asked());
    expect(already).toBe(false);
    expect(await load()).toBe(signature);
    await applied(3);
    expect(await load()).toBe(signature);
    expect(await bucket.read(storeKeys.statement(sha256(release.evidence.signature ?? '')))).not.toBeNull();
  });

  test('by one key once: the same request, and another, get the same answer', async () => {
    await applied(2);
    const request = await asked();
    const first = await resign(request);
    expect(await resign(request)).toEqual({ ...first, already: true });
    expect(await resign(await asked('olga'))).toEqual({ ...first, already: true });
  });

  test('also where the old key has left the policy before', async () => {
    await applied(2);
    await applied(3);
    await expect(load()).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
    const { signature } = await resign(await asked());
    expect(await load()).toBe(signature);
  });

  test('not by the key that has signed it first', async () => {
    expect(await resign(await asked(), keys['release-signer'])).toMatchObject({ already: true });
  });
});

describe('attack', () => {
  test('without it, a release by a key that the newest policy lacks is not loaded', async () => {
    await applied(2);
    await load();
    await applied(3);
    await expect(load()).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
  });

  test('junk and foreign signatures in the store do not count, and do not keep the good one from counting', async () => {
    await applied(2);
    const { signature } = await resign(await asked());
    const other = world.release({ version: '9.9.9' }).evidence.signature ?? '';
    for (const [at, text] of [
      [9, 'junk'],
      [8, other],
    ] as const) {
      await put(storeKeys.statement(sha256(text)), Buffer.from(text));
      await put(storeKeys.resigned(release.name, Date.now() + at * 1e6, sha256(text)), Buffer.from('{}'));
    }
    await put(storeKeys.resigned(release.name, Date.now() + 1e8, sha256('nothing there')), Buffer.from('{}'));
    await put(`${storeKeys.resignedOf(release.name)}999-../../x`, Buffer.from('{}'));
    await applied(3);
    expect(await load()).toBe(signature);
  });

  const people: [KeyName, string][] = [
    ['alice', 'NOT_AUTHORISED'],
    ['control', 'NOT_AUTHORISED'],
    ['mallory', 'SIGNATURE_INVALID'],
  ];
  test.each(people)('a request by %s gets no signature', async (who, code) => {
    await applied(2);
    await expect(resign(await asked(who))).rejects.toMatchObject({ code });
    expect(await load()).toBe(sha256(release.evidence.signature ?? ''));
  });

  test('a request for another release gets none', async () => {
    await applied(2);
    const other = world.release({ version: '9.9.9' });
    await expect(resign(await asked('oscar', other))).rejects.toMatchObject({ code: 'REPLAYED' });
  });

  test('a key that is in no policy gives none', async () => {
    await expect(resign(await asked())).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
  });

  test('what nobody has approved gets none, whatever control has recorded', async () => {
    await applied(2);
    release = world.release({ version: '2.0.0', approvals: () => [] });
    for (const [key, bytes] of recordsOf(release)) await put(key, bytes);
    await expect(resign(await asked())).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
  });

  test('what has never been signed gets none', async () => {
    await applied(2);
    release = world.release({ version: '3.0.0', signedBy: null });
    for (const [key, bytes] of recordsOf(release)) await put(key, bytes);
    await expect(resign(await asked())).rejects.toMatchObject({ code: 'UNSIGNED' });
  });

  test('what has been revoked gets none', async () => {
    await applied(2);
    await put(storeKeys.revocation(release.release), Buffer.from('{}'));
    await expect(resign(await asked())).rejects.toMatchObject({ code: 'REVOKED' });
  });
});
