import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Promoted } from '../../../activities/contract.js';
import { createPromoting } from '../../../activities/promote.js';
import { createMemoryStore } from '../../../adapters/object-store/memory.js';
import type { Bucket } from '../../../adapters/object-store/port.js';
import { Records } from '../../../adapters/records.js';
import { requestPromotion, requestResign } from '../../../client/requests.js';
import type { ReleaseName } from '../../../domain/names.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { envelopeDigest } from '../../../formats/dsse.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { generateKey, importPrivateKey } from '../../../formats/keys.js';
import { recordsOf } from '../serving/fixture.js';
import { createWorld, PASSED, withProvisions, type KeyName, type Release, type Route } from '../../support/world.js';

const world = createWorld({ policy: withProvisions });
const { keys } = world;

let bucket: Bucket;
let records: Records;
let release: Release;

const put = (key: string, bytes: Buffer): Promise<unknown> => bucket.createOnce(key, bytes);

/** The release as the records have it, in service unless they say otherwise. */
async function kept(
  of: Release = world.release(),
  rollout: object = { kind: 'promoted', revision: 1 },
  status: Parameters<typeof world.status>[0] = {},
  routes: readonly Route[] = world.inService(of),
): Promise<void> {
  bucket = createMemoryStore().bucket('test-custody');
  records = new Records(bucket, world.root);
  release = of;
  await put(storeKeys.policy(1), canonicalBytes(world.policyEnvelope));
  for (const [key, bytes] of recordsOf(of)) await put(key, bytes);
  await put(storeKeys.record(of.name, 'rollout'), canonicalBytes(rollout));
  for (const { document, envelope } of routes)
    await put(storeKeys.route(of.name.model, document.revision), canonicalBytes(envelope));
  await put(storeKeys.status(Date.now()), canonicalBytes(world.status(status).envelope));
}

beforeEach(() => kept());

async function asked(by: KeyName = 'oscar', about: Release = release, make = requestPromotion): Promise<string> {
  const { newestDigest } = await records.policies();
  const envelope = make(
    { key: keys[by], id: by, environment: 'test', policy: newestDigest },
    about.name,
    about.release,
  );
  await put(storeKeys.request(envelopeDigest(envelope)), canonicalBytes(envelope));
  return envelopeDigest(envelope);
}

function summarise(request: string, key = keys['release-signer']): Promise<Promoted> {
  const { summariseRelease } = createPromoting({ records, key });
  const environment = new MockActivityEnvironment(undefined, { logger: new DefaultLogger('ERROR') });
  return environment.run<[ReleaseName, string], Promoted, typeof summariseRelease>(
    summariseRelease,
    release.name,
    request,
  );
}

/** Nothing is said of it. */
async function unsaid(): Promise<void> {
  for await (const key of bucket.list(storeKeys.recordsOf(release.name))) expect(key).not.toContain('promotions');
}

describe('the signing zone verifies what serves', () => {
  test('and says what it has found, by everything that it rests on', async () => {
    const { summary, release: digest } = await summarise(await asked());
    const { verified } = await records.get('verificationSummary', summary);
    expect(verified).toMatchObject({ subject: release.release, signers: ['release-signer'] });
    expect(digest).toBe(release.release);
    const { predicate } = verified;
    expect(predicate).toMatchObject({
      verifier: { id: 'urn:custody:verifier:test' },
      resourceUri: 'lifecycle/digits/1.0.0',
      policy: { uri: 'policies/000000001', digest: { sha256: world.policyDigest } },
      verificationResult: 'PASSED',
      verifiedLevels: ['CUSTODY_MAY_SERVE'],
    });
    const { provenance, scan, testResult, change, request, admission, approvals } = release;
    const named = predicate.inputAttestations.map(({ digest: { sha256 } }) => sha256);
    for (const each of [provenance, scan, testResult, change, request, admission, ...approvals])
      expect(named).toContain(each.digest);
    for (const { uri } of predicate.inputAttestations) expect(await bucket.read(uri), uri).not.toBeNull();
  });

  test('once for a request, and anew for the next', async () => {
    const request = await asked();
    const first = await summarise(request);
    expect(await summarise(request)).toEqual(first);
    expect((await summarise(await asked('rita'))).summary).not.toBe(first.summary);
  });
});

describe('attack', () => {
  const people: [KeyName, string][] = [
    ['alice', 'NOT_AUTHORISED'],
    ['control', 'NOT_AUTHORISED'],
    ['mallory', 'SIGNATURE_INVALID'],
  ];
  test.each(people)('a request by %s gets no summary', async (who, code) => {
    await expect(summarise(await asked(who))).rejects.toMatchObject({ code });
    await unsaid();
  });

  test('a request for something else, or for another release, gets none', async () => {
    await expect(summarise(await asked('oscar', release, requestResign))).rejects.toMatchObject({ code: 'REPLAYED' });
    const other = world.release({ version: '9.9.9' });
    await expect(summarise(await asked('oscar', other))).rejects.toMatchObject({ code: 'REPLAYED' });
    await unsaid();
  });

  test('a key that may not sign releases says nothing', async () => {
    const stranger = importPrivateKey(generateKey('ecdsa-p256').privatePem);
    for (const key of [stranger, keys.control])
      await expect(summarise(await asked(), key)).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
    await unsaid();
  });

  test('of what nobody has approved, whatever control has recorded', async () => {
    await kept(world.release({ approvals: () => [] }));
    await expect(summarise(await asked())).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
    await unsaid();
  });

  test('of what failed its suites', async () => {
    await kept(world.release({ testResult: { result: 'FAILED' } }));
    await expect(summarise(await asked())).rejects.toMatchObject({ code: 'VALIDATION_FAILED' });
  });

  test('of what bears no release signature', async () => {
    await kept(world.release({ signedBy: null }));
    await expect(summarise(await asked())).rejects.toMatchObject({ code: 'UNSIGNED' });
  });

  test('of what is not in service', async () => {
    await kept(world.release(), { kind: 'rolled back', revision: 2, reason: 'slow' });
    await expect(summarise(await asked())).rejects.toMatchObject({ code: 'POLICY_REFUSED' });
    await kept();
    await put(storeKeys.record(release.name, 'outcome'), canonicalBytes({ kind: 'retired', certificate: 'x' }));
    await expect(summarise(await asked())).rejects.toMatchObject({ code: 'POLICY_REFUSED' });
  });

  test('of what was promoted once, and is not what callers reach any more', async () => {
    const before = world.release({ version: '0.9.0' });
    const first = world.inService(before);
    const next = world.release({ after: first.at(-1) ?? null });
    const then = world.inService(next, first.at(-1));
    await kept(next, undefined, {}, [...first, ...then]);
    await expect(summarise(await asked())).resolves.toBeDefined();
    await kept(next, undefined, {}, [...first, ...then, world.rollback(then.at(-1)!, before.release)]);
    await expect(summarise(await asked())).rejects.toMatchObject({ code: 'POLICY_REFUSED' });
    await kept(world.release(), undefined, {}, []);
    await expect(summarise(await asked())).rejects.toMatchObject({ code: 'POLICY_REFUSED' });
    await unsaid();
  });

  test('of what has been killed, by the order itself, though somebody has put back an older status document', async () => {
    const order = world.kill('oscar');
    await put(storeKeys.kill('digits', order.digest), canonicalBytes(order.envelope));
    await expect(summarise(await asked())).rejects.toMatchObject({ code: 'POLICY_REFUSED' });
    await unsaid();
  });

  test('of what has been revoked, also before any status document says so', async () => {
    await kept(world.release(), undefined, { revoked: [release.release] });
    await expect(summarise(await asked())).rejects.toMatchObject({ code: 'REVOKED' });
    await kept();
    await put(storeKeys.revocation(release.release), Buffer.from('{}'));
    await expect(summarise(await asked())).rejects.toMatchObject({ code: 'REVOKED' });
  });

  test('of what is killed here', async () => {
    const kills = [{ model: 'digits', order: release.release }];
    await kept(world.release(), undefined, { kills });
    await expect(summarise(await asked())).rejects.toMatchObject({ code: 'POLICY_REFUSED' });
  });

  test('without a fresh status document', async () => {
    await kept(world.release(), undefined, { issuedAt: world.at(-900), expiresAt: world.at(-600) });
    await expect(summarise(await asked())).rejects.toMatchObject({ code: 'STATUS_STALE' });
  });

  test('of what stands only for a time', async () => {
    const further: [string, object][] = [];
    const lifted = world.release({
      testResult: {
        result: 'FAILED',
        passedTests: PASSED.filter((name) => name !== 'quality/own/tone'),
        failedTests: ['quality/own/tone'],
      },
      rests: (made) => {
        const asking = world.overrideRequest(made);
        const said = world.override(asking);
        further.push([storeKeys.request(asking.digest), asking.envelope]);
        further.push([storeKeys.override(asking.digest, said.digest), said.envelope]);
        return {
          names: { override: asking.digest, 'override/1': said.digest },
          provisional: { override: { request: asking.envelope, statements: [said.envelope] }, emergency: null },
        };
      },
    });
    await kept(lifted);
    for (const [key, envelope] of further) await put(key, canonicalBytes(envelope));
    await expect(summarise(await asked())).rejects.toMatchObject({
      code: 'POLICY_REFUSED',
      message: expect.stringMatching(/it stands until .* alone/) as string,
    });
  });
});
