import { afterEach, describe, expect, it, vi } from 'vitest';
import { demandGround, demandUnchanged } from '../../../activities/ground.js';
import { createSigningActivities } from '../../../activities/sign.js';
import { checkRelease } from '../../../adapters/dossier.js';
import { createMemoryStore } from '../../../adapters/object-store/memory.js';
import { Records } from '../../../adapters/records.js';
import { CustodyError } from '../../../domain/errors.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { FORGERIES } from '../../support/forgeries.js';
import { PASSED, createWorld, type Release } from '../../support/world.js';
import { recordsOf } from '../serving/fixture.js';

const world = createWorld();
const approvedAndSigned = [storeKeys.record({ model: 'digits', version: '1.0.0' }, 'approved')];

async function recordsWith(
  release: Release,
  without: readonly string[] = [],
  instead: Readonly<Record<string, object>> = {},
): Promise<Records> {
  const bucket = createMemoryStore().bucket('test-custody');
  await bucket.createOnce(storeKeys.policy(1), canonicalBytes(world.policyEnvelope));
  for (const [key, bytes] of recordsOf(release))
    if (!without.includes(key)) await bucket.createOnce(key, key in instead ? canonicalBytes(instead[key]) : bytes);
  return new Records(bucket, world.root);
}

const ask = (records: Records, { name, request }: Release) => demandGround(records, name, request.envelope);

function sign(records: Records, { name, release, evidence, provenance, scan, change }: Release) {
  const nothing = (): never => {
    throw new CustodyError('INTERNAL', 'signing has no business with the vault');
  };
  const vault = { destroy: nothing, probe: nothing };
  const { signRelease } = createSigningActivities({ records, key: world.keys['release-signer'], vault });
  const ingested = {
    release,
    producer: 'trainer',
    bundle: evidence.bundle,
    provenance: provenance.digest,
    scan: scan.digest,
    change: change.digest,
  };
  return signRelease(name, { ingested: { ...ingested, files: 4, bytes: 4 } });
}

describe('before people are asked, and before the release key signs', () => {
  it('everything that the request names is there and holds', async () => {
    const release = world.release({ signedBy: null });
    await ask(await recordsWith(release, approvedAndSigned), release);
    expect(await sign(await recordsWith(release), release)).toMatchObject({ signature: expect.any(String) as string });
  });

  it.each(FORGERIES)('attack: %s: nobody is asked, nothing is signed', async (_, options, code) => {
    const release = world.release({ signedBy: null, ...options });
    await expect(ask(await recordsWith(release, approvedAndSigned), release)).rejects.toMatchObject({ code });
    await expect(sign(await recordsWith(release), release)).rejects.toMatchObject({ code });
  });

  it.each(['provenance', 'testResult'] as const)(
    'attack: without its %s nobody is asked, nothing signed',
    async (part) => {
      const release = world.release({ signedBy: null });
      const without = [storeKeys.statement(release[part].digest)];
      await expect(ask(await recordsWith(release, without), release)).rejects.toMatchObject({ code: 'PENDING' });
      await expect(sign(await recordsWith(release, without), release)).rejects.toMatchObject({ code: 'PENDING' });
    },
  );

  it.each([
    ['of another request', (): Release['approvals'] => world.release({ version: '2.0.0' }).approvals, 'NOT_AUTHORISED'],
    ['that nobody gave', (): Release['approvals'] => [], 'NOT_AUTHORISED'],
  ] as const)('attack: with an approval %s nothing is signed', async (_, approvals, code) => {
    const release = world.release({ signedBy: null, approvals });
    await expect(sign(await recordsWith(release), release)).rejects.toMatchObject({ code });
  });
});

describe('a key that has ended', () => {
  const HOUR = 3600;
  const until = (validUntil: string) =>
    world.nextPolicy((policy) => ({
      ...policy,
      authorities: policy.authorities.map((held) =>
        held.id === 'alice' ? { ...held, keys: held.keys.map((key) => ({ ...key, validUntil })) } : held,
      ),
    }));
  const ended = until(world.at(0));
  /** The store took all this when its clock said so. */
  async function storedAt(seconds: number, release: Release): Promise<Records> {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.parse(world.at(seconds)) });
    const records = await recordsWith(release);
    await records.bucket.createOnce(storeKeys.policy(2), canonicalBytes(ended.envelope));
    vi.setSystemTime(Date.parse(world.at(HOUR)));
    return records;
  }
  afterEach(() => void vi.useRealTimers());

  it('counts for an approval that the store had before', async () => {
    const release = world.release({ signedBy: null });
    expect(await sign(await storedAt(0, release), release)).toHaveProperty('signature');
  });

  it('attack: its thief dates an approval back, and the signing zone asks the store when it came', async () => {
    const release = world.release({ signedBy: null });
    await expect(sign(await storedAt(HOUR, release), release)).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
  });

  it('attack: nor does a serving zone load what was signed upon it', async () => {
    const release = world.release();
    const check = async (records: Records) => checkRelease(records, release.name, release.release, null);
    expect((await check(await storedAt(0, release))).release.signer).toBe('release-signer');
    await expect(check(await storedAt(HOUR, release))).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
  });
});

describe('an open request', () => {
  const release = world.release({ signedBy: null });
  const newer = world.release({ signedBy: null, testResult: { passedTests: [...PASSED, 'contract/own/more'] } });
  const part = (name: string): string => storeKeys.record(release.name, name);
  const { predicate } = release.request;

  it('stands while its evidence is what it was', async () => {
    await demandUnchanged(await recordsWith(release, approvedAndSigned), predicate);
  });

  it.each([
    ['test result', part('validated'), { testResult: newer.testResult.digest }],
    ['provenance', part('ingested'), { ...ingestedOf(release), provenance: newer.provenance.digest }],
    ['signature by the producer', part('ingested'), { ...ingestedOf(release), bundle: 'a'.repeat(64) }],
    ['scan', part('ingested'), { ...ingestedOf(release), scan: 'a'.repeat(64) }],
    ['statement of what has changed', part('ingested'), { ...ingestedOf(release), change: 'a'.repeat(64) }],
    ['start request', part('admission'), { request: newer.admission.digest }],
  ])('attack: is void once there is a newer %s', async (_, key, value) => {
    const records = await recordsWith(release, approvedAndSigned, { [key]: value });
    await expect(demandUnchanged(records, predicate)).rejects.toMatchObject({
      code: 'REPLAYED',
      message: expect.stringContaining('is void') as string,
    });
  });

  it('attack: is void where a record is gone', async () => {
    const records = await recordsWith(release, [...approvedAndSigned, part('validated')]);
    await expect(demandUnchanged(records, predicate)).rejects.toMatchObject({ code: 'REPLAYED' });
  });

  function ingestedOf({ request }: Release): object {
    const { manifest, bundle, provenance, scan, change } = request.predicate.evidence;
    return { release: manifest, bundle, provenance, scan, change };
  }
});
