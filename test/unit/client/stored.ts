import { createMemoryStore } from '../../../adapters/object-store/memory.js';
import { Records } from '../../../adapters/records.js';
import { recordOf } from '../../../client/record/record.js';
import type { ReleaseName } from '../../../domain/names.js';
import type { ReleaseRecord } from '../../../domain/record.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import type { Release, World } from '../../support/world.js';
import { recordsOf } from '../serving/fixture.js';

/** What the zones have left of a release in the store, and the policy and status document of the day, by key. */
export function storedOf(world: World, release: Release): Map<string, Buffer> {
  const status = world.status();
  return new Map([
    ...recordsOf(release),
    [storeKeys.version(release.name), canonicalBytes({ release: release.release })],
    [storeKeys.policy(1), canonicalBytes(world.policyEnvelope)],
    [storeKeys.status(status.predicate.version), canonicalBytes(status.envelope)],
  ]);
}

/** The record that is read from a store with nothing but these objects. */
export async function recordIn(
  world: World,
  name: ReleaseName,
  objects: ReadonlyMap<string, Buffer>,
): Promise<ReleaseRecord> {
  const bucket = createMemoryStore().bucket('test-custody');
  for (const [key, bytes] of objects) await bucket.createOnce(key, bytes);
  return recordOf(new Records(bucket, world.root), name);
}
