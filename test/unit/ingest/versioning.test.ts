import { randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { factsOf, keepFacts, readFacts } from '../../../adapters/release-facts.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { signOms } from '../../../formats/oms.js';
import { omsResources } from '../../../formats/manifest.js';
import { sha256 } from '../../../formats/sha256.js';
import { storeKeys } from '../../../domain/store-keys.js';
import type { Ingested } from '../../../domain/lifecycle.js';
import type { KeyName } from '../../support/world.js';
import { factsOf as factsOfParts, weights } from '../../support/facts.js';
import { createIntake, DESCRIPTION, FILES, signedRelease, type Intake } from './intake.js';

let intake: Intake;
beforeEach(async () => {
  intake = await createIntake();
});

type Files = Readonly<Record<string, Buffer | string>>;
const MOVED: Files = { ...FILES, 'weights.safetensors': weights({ w: [1, 2, 3, 4] }) };
const CARD: Files = { ...FILES, 'config.json': '{"hidden":4,"note":"x"}\n' };

async function ingest(version: string, files: Files = FILES, components = DESCRIPTION.components): Promise<Ingested> {
  const name = { model: 'digits', version };
  const { source, bundle } = await signedRelease(intake, files, { ...DESCRIPTION, version, components });
  return intake.ingest(name, await intake.admit(name, source, bundle));
}

/** Ingests, and signs it as the signing zone does. */
async function release(version: string, files?: Files, by: KeyName = 'release-signer'): Promise<Ingested> {
  const ingested = await ingest(version, files);
  const name = { model: 'digits', version };
  await intake.records.recordOnce(storeKeys.record(name, 'ingested'), ingested);
  const text = await intake.records.getBytes(ingested.release, storeKeys.manifest);
  const manifest = JSON.parse(text.toString('utf8')) as Parameters<typeof omsResources>[0];
  const signature = await intake.records.keepBytes(signOms('x', omsResources(manifest, text), intake.world.keys[by]));
  await intake.records.recordOnce(storeKeys.record(name, 'signed'), { signature });
  return ingested;
}

const changeOf = async ({ change }: Ingested) => (await intake.records.get('change', change)).verified;
const tooSmall = (message: RegExp): unknown =>
  expect.objectContaining({ code: 'VERSION_TOO_SMALL', message: expect.stringMatching(message) as string });

describe('what a release changes', () => {
  it('is stated at ingest, signed by the validator, against the highest released version below it', async () => {
    const first = await release('1.0.0');
    expect((await changeOf(first)).predicate).toMatchObject({ from: null, changes: [], leastBump: 'none' });
    const second = await release('1.1.0', MOVED);
    const { predicate, subject, signers } = await changeOf(second);
    expect({ subject, signers }).toEqual({ subject: second.release, signers: ['intake'] });
    expect(predicate).toMatchObject({
      ...{ version: '1.1.0', from: { version: '1.0.0', release: first.release }, leastBump: 'minor' },
      changes: [{ component: 'weights', what: 'weights', path: 'w', demands: 'minor' }],
    });
    const hotfix = await changeOf(await release('1.0.1', FILES));
    expect(hotfix.predicate.from?.version).toBe('1.0.0');
    const next = await changeOf(await release('1.2.0', MOVED));
    expect(next.predicate).toMatchObject({ from: { version: '1.1.0' }, changes: [] });
  });

  it('attack: a version that says less is refused, and nothing of the release is stored', async () => {
    await release('1.0.0');
    const before: string[] = [];
    for await (const key of intake.bucket.list('')) before.push(key);
    await expect(ingest('1.0.1', MOVED)).rejects.toEqual(
      tooSmall(
        /1\.0\.1 is a patch version after 1\.0\.0, but its changes demand a minor one: weights weights w .*1\.1\.0/,
      ),
    );
    const after: string[] = [];
    for await (const key of intake.bucket.list('')) after.push(key);
    expect(after.filter((key) => !before.includes(key)).map((key) => key.split('/')[0])).toEqual(['requests']);
    await expect(ingest('1.1.0', MOVED)).resolves.toMatchObject({ producer: 'trainer' });
  });

  it('attack: words in another order demand what the policy says, though the set is the same', async () => {
    const components = [
      { name: 'weights', kind: 'weights' as const, files: ['weights.safetensors'] },
      { name: 'labels', kind: 'vocabulary' as const, files: ['labels.txt'] },
    ];
    const files = (labels: string): Files => ({
      'weights.safetensors': FILES['weights.safetensors'] as Buffer,
      'labels.txt': labels,
    });
    const name = { model: 'digits', version: '1.0.0' };
    const first = await ingest('1.0.0', files('cat\ndog\n'), components);
    await intake.records.recordOnce(storeKeys.record(name, 'ingested'), first);
    const text = await intake.records.getBytes(first.release, storeKeys.manifest);
    const resources = omsResources(JSON.parse(text.toString('utf8')) as Parameters<typeof omsResources>[0], text);
    const signature = await intake.records.keepBytes(signOms('x', resources, intake.world.keys['release-signer']));
    await intake.records.recordOnce(storeKeys.record(name, 'signed'), { signature });
    await expect(ingest('1.1.0', files('dog\ncat\n'), components)).rejects.toEqual(
      tooSmall(/demand a major one: vocabulary\.reordered labels "cat" \(number 0 → number 1\)/),
    );
  });

  it('attack: a component that changed keeps no version of its own', async () => {
    const own = DESCRIPTION.components.map((component) => ({ ...component, version: '1.0.0' }));
    await release('1.0.0');
    await expect(ingest('1.1.0', MOVED, own)).rejects.toEqual(
      tooSmall(/component weights went from 1\.0\.0 to 1\.0\.0/),
    );
  });

  it('attack: a chain of pre-releases hides nothing', async () => {
    await release('1.0.0');
    await release('1.1.0-rc.1', MOVED);
    const { predicate } = await changeOf(await ingest('1.1.0', MOVED));
    expect(predicate).toMatchObject({ from: { version: '1.0.0' }, leastBump: 'minor' });
    await expect(ingest('1.0.1-rc.1', MOVED)).rejects.toEqual(tooSmall(/minor/));
  });

  it('attack: a record of a signature that is none, or by another than the release signer, releases nothing', async () => {
    await release('1.0.0');
    await release('1.1.0', MOVED, 'trainer');
    const name = { model: 'digits', version: '1.2.0' };
    await intake.records.recordOnce(storeKeys.record(name, 'ingested'), await ingest('1.2.0', CARD));
    await intake.records.recordOnce(storeKeys.record(name, 'signed'), {
      signature: await intake.records.keepBytes(Buffer.from('{}')),
    });
    expect((await changeOf(await ingest('1.3.0', MOVED))).predicate.from?.version).toBe('1.0.0');
  });

  it('attack: a statement of what another release changes is not what the next one is compared with', async () => {
    const first = await release('1.0.0');
    const second = await ingest('1.1.0', MOVED);
    const name = { model: 'digits', version: '1.1.0' };
    await intake.records.recordOnce(storeKeys.record(name, 'ingested'), { ...second, change: first.change });
    await expect(factsOf(intake.records, name)).rejects.toMatchObject({ code: 'REPLAYED' });
  });

  it('attack: a statement that the producer signed is believed by nobody', async () => {
    const first = await ingest('1.0.0');
    const { predicate } = await changeOf(first);
    const { digest, envelope } = intake.world.statement(
      'change',
      { name: 'x', sha256: first.release },
      predicate,
      'trainer',
    );
    await intake.records.keep(envelope);
    const name = { model: 'digits', version: '1.0.0' };
    await intake.records.recordOnce(storeKeys.record(name, 'ingested'), { ...first, change: digest });
    await expect(factsOf(intake.records, name)).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
  });

  it('of a tensor with NaN is seen, and measured by nothing', async () => {
    await release('1.0.0', MOVED);
    const { predicate } = await changeOf(
      await ingest('1.1.0', { ...FILES, 'weights.safetensors': weights({ w: [1, NaN, 3, Infinity] }) }),
    );
    expect(predicate.changes).toMatchObject([{ what: 'weights', to: 'norm 3.162, 2 NaN or infinite', measure: null }]);
  });
});

describe('facts', () => {
  it('that were read once are not read again, and attack: count no more once who stated them may state nothing', async () => {
    await release('1.0.0');
    const name = { model: 'digits', version: '1.0.0' };
    const first = await factsOf(intake.records, name);
    const read = vi.spyOn(intake.records.bucket, 'read');
    expect(await factsOf(intake.records, name)).toEqual(first);
    expect(read).not.toHaveBeenCalled();
    const { envelope } = intake.world.nextPolicy((policy) => ({
      ...policy,
      authorities: policy.authorities.map((each) => ({
        ...each,
        roles: each.roles.map((role) => (role === 'validator' ? 'producer' : role)),
      })),
    }));
    await intake.records.bucket.createOnce(storeKeys.policy(2), canonicalBytes(envelope));
    await expect(factsOf(intake.records, name)).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
  });

  it('that are larger than one object lie in parts, and are read back as they were', async () => {
    const words = Array.from({ length: 100_000 }, () => randomBytes(24).toString('hex'));
    const facts = factsOfParts({ words: { kind: 'vocabulary', files: { 'w.txt': words.join('\n') } } });
    const digest = await keepFacts(intake.records, facts);
    expect(canonicalBytes(facts).length).toBeGreaterThan(4 * 2 ** 20);
    expect(await readFacts(intake.records, digest)).toEqual(facts);
    await expect(readFacts(intake.records, sha256('nothing'))).rejects.toMatchObject({ code: 'PENDING' });
  });
});
