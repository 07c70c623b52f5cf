import { beforeEach, expect, test, vi } from 'vitest';
import { createMemoryStore } from '../../../adapters/object-store/memory.js';
import type { Bucket } from '../../../adapters/object-store/port.js';
import { Records } from '../../../adapters/records.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { createWorld, type World } from '../../support/world.js';

let world: World;
let bucket: Bucket;
let records: Records;

beforeEach(async () => {
  world = createWorld();
  bucket = createMemoryStore().bucket('test-custody');
  records = new Records(bucket, world.root);
  await bucket.createOnce(storeKeys.policy(1), canonicalBytes(world.policyEnvelope));
});

test('many who ask for the policies in one turn of the event loop share one look at the store', async () => {
  await records.policies();
  const list = vi.spyOn(bucket, 'list');
  const all = await Promise.all(Array.from({ length: 20 }, () => records.policies()));
  expect(new Set(all).size).toBe(1);
  expect(list).toHaveBeenCalledTimes(1);
});

test('attack: whoever asks while somebody else is being answered is not given that answer, which may be older', async () => {
  await records.policies();
  const { list } = bucket;
  let begun = (): void => undefined;
  let answer = (): void => undefined;
  const answered = new Promise<void>((resolve) => (answer = resolve));
  vi.spyOn(bucket, 'list').mockImplementationOnce(async function* (prefix, options) {
    const keys: string[] = [];
    for await (const key of list.call(bucket, prefix, options)) keys.push(key);
    begun();
    await answered;
    yield* keys;
  });
  const looked = new Promise<void>((resolve) => (begun = resolve));
  const before = records.policies();
  await looked;
  const second = world.nextPolicy((policy) => policy);
  await bucket.createOnce(storeKeys.policy(2), canonicalBytes(second.envelope));
  const after = records.policies();
  answer();
  expect((await before).newest.version).toBe(1);
  expect((await after).newest.version).toBe(2);
});
