import { beforeEach, expect, test } from 'vitest';
import { createMemoryStore } from '../../../adapters/object-store/memory.js';
import { Records } from '../../../adapters/records.js';
import { readUnderWay } from '../../../adapters/under-way.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { envelopeDigest } from '../../../formats/dsse.js';
import { recordsOf } from '../serving/fixture.js';
import { createWorld, type World } from '../../support/world.js';

let world: World;
let records: Records;

beforeEach(async () => {
  world = createWorld();
  records = new Records(createMemoryStore().bucket('test-custody'), world.root);
  await put(storeKeys.policy(1), canonicalBytes(world.policyEnvelope));
});

const put = (key: string, bytes: Buffer) => records.bucket.createOnce(key, bytes);

async function released(version: string, outcome: object | null = null) {
  const release = world.release({ version });
  for (const [key, bytes] of recordsOf(release)) await put(key, bytes);
  if (outcome !== null) await put(storeKeys.record(release.name, 'outcome'), canonicalBytes(outcome));
  return release;
}

test('a lifecycle is under way from its admission to its outcome, each with the request that it was begun with', async () => {
  const standing = await released('1.0.0');
  await released('1.1.0', { kind: 'rolled back', reason: 'it is slow' });
  const { lifecycles, ended, odd } = await readUnderWay(records);
  expect(lifecycles.map(({ name }) => name)).toEqual([standing.name]);
  expect(envelopeDigest(lifecycles[0]!.request)).toBe(standing.admission.digest);
  expect({ ended, odd }).toEqual({ ended: 1, odd: [] });
});

test('an endpoint is there for each model of which something was routed or stopped', async () => {
  for (const key of [
    'routes/lingo/000001',
    'routes/digits/000001',
    'routes/digits/000002',
    'kills/chat/x',
    'routes/../1',
  ])
    await put(key, Buffer.from('{}'));
  expect((await readUnderWay(records)).models).toEqual(['chat', 'digits', 'lingo']);
});

test('attack: records that somebody has put there start nothing, and keep nothing from being started', async () => {
  const standing = await released('1.0.0');
  const { evidence } = standing;
  const admission = (version: string, value: unknown) =>
    put(storeKeys.record({ model: 'digits', version }, 'admission'), Buffer.from(JSON.stringify(value)));
  await admission('2.0.0', { request: standing.admission.digest });
  await admission('3.0.0', { request: 'f'.repeat(64) });
  await admission('4.0.0', 'no record');
  await admission('5.0.0', { request: envelopeDigest(evidence.request) });
  const { lifecycles, odd } = await readUnderWay(records);
  expect(lifecycles.map(({ name }) => name.version)).toEqual(['1.0.0']);
  expect(odd.map(({ id }) => id)).toEqual([2, 3, 4, 5].map((major) => `lifecycle/digits/${major}.0.0`));
});
