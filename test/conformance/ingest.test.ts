import { tmpdir } from 'node:os';
import { open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createIngestActivities } from '../../activities/ingest.js';
import { openBucket } from '../../adapters/object-store/s3.js';
import { packRelease } from '../../adapters/source/pack.js';
import { provenanceBeside } from '../../client/provenance.js';
import type { Ingested } from '../../domain/lifecycle.js';
import { storeKeys } from '../../domain/store-keys.js';
import type { StoredRequest } from '../../domain/vault.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { ciphertextSize } from '../../formats/streaming-aead.js';
import { startStore, type TestStore } from '../support/store.js';
import {
  createIntake,
  DESCRIPTION,
  FILES,
  NAME,
  provenanceOf,
  signedRelease,
  signPacked,
  type Intake,
} from '../unit/ingest/intake.js';
import { largeSafetensors } from '../support/large.js';
import { inspectHere } from '../support/scan.js';
import { VaultBench, type VaultProcess } from './vault-process.js';

const MIB = 1024 * 1024;
const LARGE_MIB = 300;
/** What ingest may add to the memory of its process, whatever the size of a file. */
const MEMORY_MIB = 200;

let store: TestStore;
let bench: VaultBench;
let vault: VaultProcess;
let intake: Intake;

beforeAll(async () => {
  store = await startStore();
  await store.admin.createBucket('test-custody', { objectLock: true, versioning: true });
  intake = await createIntake(undefined, openBucket(store.config, 'test-custody'));
  bench = await VaultBench.create();
  vault = await bench.start(await bench.state(), intake.world.root);
});
afterAll(async () => {
  await store.stop();
  await bench.close();
});

/** Ingests through the real vault; `told` sees what the vault is told before it is. */
async function ingest(
  release: { source: string; bundle: string },
  version = NAME.version,
  told: (request: StoredRequest) => void = () => undefined,
): Promise<Ingested> {
  const name = { ...NAME, version };
  const { client } = vault;
  const keys = {
    claim: client.claim,
    reopen: client.reopen,
    stored: async (request: StoredRequest) => {
      told(request);
      return client.stored(request);
    },
  };
  const { ingest: act } = createIngestActivities({
    ...{
      records: intake.records,
      vault: keys,
      validatorKey: intake.world.keys.intake,
      inspect: inspectHere,
      repositories: {},
      further: async () => [],
      scanners: async () => [],
      work: tmpdir(),
    },
  });
  const environment = new MockActivityEnvironment(undefined, { logger: new DefaultLogger('ERROR') });
  return environment.run(act, name, await intake.admit(name, release.source, release.bundle));
}

it('ingests into a real store with keys of a real vault; a second release stores only what is new', async () => {
  const told: StoredRequest[] = [];
  const ingested = await ingest(await signedRelease(intake), '1.0.0', (request) => told.push(request));
  expect(ingested.files).toBe(3);
  expect(told.length).toBe(3);
  for (const { blob, versionId, ciphertextSize: size } of told) {
    const head = await intake.bucket.head(storeKeys.blob(blob), versionId);
    expect(head).toMatchObject({ size, lock: { mode: 'COMPLIANCE' } });
  }
  const next = { ...FILES, 'config.json': '{"hidden":8}\n' };
  const second = await signedRelease(intake, next, { ...DESCRIPTION, version: '1.1.0' });
  const toldAgain: StoredRequest[] = [];
  await ingest(second, '1.1.0', (request) => toldAgain.push(request));
  expect(toldAgain.length).toBe(1);
});

it('goes on after a kill between upload and report, with the blob that is there', async () => {
  const release = await signedRelease(
    intake,
    { ...FILES, 'config.json': '{"hidden":16}\n' },
    { ...DESCRIPTION, version: '1.2.0' },
  );
  let lost: StoredRequest | undefined;
  const killed = ingest(release, '1.2.0', (request) => {
    lost = request;
    throw new Error('killed');
  });
  await expect(killed).rejects.toThrow('killed');
  const told: StoredRequest[] = [];
  await ingest(release, '1.2.0', (request) => told.push(request));
  expect(told).toEqual([lost]);
});

it(`ingests a file of ${LARGE_MIB} MiB in bounded memory`, async () => {
  const description = {
    ...DESCRIPTION,
    version: '2.0.0',
    components: [...DESCRIPTION.components, { name: 'large', kind: 'weights' as const, files: ['large.safetensors'] }],
  };
  const release = await signedRelease(intake, { ...FILES, 'large.safetensors': 'x' }, description);
  const large = join(release.source, 'large.safetensors');
  const handle = await open(large, 'w');
  for (const part of largeSafetensors(LARGE_MIB)) await handle.write(part);
  const { size } = await handle.stat();
  await handle.close();
  const packed = await packRelease(release.source, description);
  await writeFile(release.bundle, signPacked(intake.world, packed));
  await writeFile(provenanceBeside(release.bundle), canonicalBytes(provenanceOf(intake.world, packed)));

  global.gc?.();
  const before = process.memoryUsage.rss();
  let peak = before;
  const meter = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 20);
  const told: StoredRequest[] = [];
  await ingest(release, '2.0.0', (request) => told.push(request));
  clearInterval(meter);
  expect(told.map((request) => request.ciphertextSize)).toContain(ciphertextSize(size));
  expect((peak - before) / MIB).toBeLessThan(MEMORY_MIB);
  await rm(release.source, { recursive: true });
});
