import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { createIngestActivities } from '../../activities/ingest.js';
import { createGatewayClient, type GatewayClient } from '../../adapters/gateway/client.js';
import { openBucket } from '../../adapters/object-store/s3.js';
import type { KeyOpener } from '../../adapters/serving/ports.js';
import { provenanceBeside } from '../../client/provenance.js';
import { storeKeys } from '../../domain/store-keys.js';
import { isoTime } from '../../domain/time.js';
import type { StoredRequest } from '../../domain/vault.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { sha256 } from '../../formats/sha256.js';
import { compileInto, startProcess } from '../support/build.js';
import { largeSafetensors } from '../support/large.js';
import { startStore, type TestStore } from '../support/store.js';
import type { Release, ReleaseOptions } from '../support/world.js';
import { ask } from '../unit/gateway/rig.js';
import { pidOf, recordsOf, Site, trainedFiles, type Running } from '../unit/serving/fixture.js';
import { inspectHere } from '../support/scan.js';
import { VaultBench, type VaultProcess } from './vault-process.js';

const MIB = 1024 * 1024;
const LARGE_MIB = 300;
const HEADER_ROOM = 1024;
/** What a load may add to the memory of its process, whatever the size of a file. */
const MEMORY_MIB = 150;

let store: TestStore;
let bench: VaultBench;
let built: string;
beforeAll(async () => {
  store = await startStore();
  bench = await VaultBench.create();
  built = await mkdtemp(join(tmpdir(), 'custody-build-'));
  compileInto(built, ['domain', 'formats', 'gateway']);
});
afterAll(async () => {
  await store.stop();
  await bench.close();
  await rm(built, { recursive: true, force: true });
});

let site: Site;
let vault: VaultProcess;
let folder: string;
let host: Running;
let told: StoredRequest[];
let name: string;
beforeEach(async () => {
  name = `serving-${randomUUID()}`;
  await store.admin.createBucket(name, { objectLock: true, versioning: true });
  site = await Site.open(openBucket(store.config, name));
  vault = await bench.start(await bench.state(), site.world.root);
  folder = await mkdtemp(join(tmpdir(), 'custody-source-'));
  told = [];
});
afterEach(async () => {
  await site.close();
  await vault.stop();
  await rm(folder, { recursive: true, force: true });
});

/** A release that real intake has encrypted and uploaded, and that is signed and approved. */
async function admit(files: Readonly<Record<string, Buffer | string>>, options: ReleaseOptions = {}): Promise<Release> {
  const version = options.version ?? '1.0.0';
  const [source, bundle] = [join(folder, version), join(folder, `${version}.sig.json`)];
  const provenance = provenanceBeside(bundle);
  const places = {
    source: pathToFileURL(source).href,
    bundle: pathToFileURL(bundle).href,
    provenance: pathToFileURL(provenance).href,
  };
  const action = { kind: 'release' as const, ...places };
  const release = site.world.release({ ...options, files, admission: { action } });
  for (const [path, bytes] of [...release.files, ['custody.json', Buffer.from(release.manifestText)] as const]) {
    await mkdir(dirname(join(source, path)), { recursive: true });
    await writeFile(join(source, path), bytes);
  }
  await writeFile(bundle, release.bundle);
  await writeFile(provenance, canonicalBytes(release.provenance.envelope));
  await site.put(recordsOf(release));
  const { client } = vault;
  const keys = {
    claim: client.claim,
    reopen: client.reopen,
    stored: async (request: StoredRequest) => {
      told.push(request);
      return client.stored(request);
    },
  };
  const { ingest } = createIngestActivities({
    ...{
      records: site.records,
      vault: keys,
      validatorKey: site.world.keys.intake,
      inspect: inspectHere,
      repositories: {},
      further: async () => [],
      scanners: async () => [],
      work: tmpdir(),
    },
  });
  const admission = { request: release.admission.digest, requester: 'ci', ...places, policy: site.world.policyDigest };
  const environment = new MockActivityEnvironment(undefined, { logger: new DefaultLogger('ERROR') });
  const ingested = await environment.run(ingest, release.name, admission);
  expect(ingested).toMatchObject({ release: release.release });
  return release;
}

const opener = (): KeyOpener => ({ open: (sha256s, evidence) => vault.client.open({ sha256s, evidence }) });

describe('serving with a real store, a real vault and a real gateway', () => {
  it('brings what intake stored to callers: loaded, started, announced and routed', async () => {
    const release = await admit({ ...(await trainedFiles('1.0.0')), 'notes/why.md': '# Why\n' });
    const gateway = await startGateway();
    host = await site.begin({ vault: opener(), gateways: [{ ...gateway.client, isHere: true }] });
    await host.start(release.name, release.release);
    // A gateway takes the next document once the step before has baked on its own clock.
    for (const { delivery } of site.world.inService(release))
      await vi.waitFor(() => gateway.client.deliverRoute(delivery), 45_000);
    await gateway.client.deliverStatus(site.world.status().envelope);

    const inputs = [{ name: 'image', shape: [1, 64], datatype: 'FP32', data: Array(64).fill(0) as number[] }];
    const answer = await ask(gateway.port, { body: JSON.stringify({ inputs }) });
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toMatchObject({ model_name: 'digits', model_version: '1.0.0' });
    await host.end();
    await gateway.stop();
  });

  it('refuses a blob of which one bit was flipped on the disk of the store', async () => {
    const release = await admit(await trainedFiles('1.0.0'));
    const weights = told.find((each) => each.sha256 === sha256(release.files.get('weights.safetensors') ?? ''));
    await flipOnDisk(storeKeys.blob(weights?.blob ?? ''));
    host = await site.begin({ vault: opener() });
    await expect(host.start(release.name, release.release)).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
      message: expect.stringContaining('weights.safetensors') as string,
    });
    expect(await site.copies()).toEqual([]);
    expect(await pidOf(join(site.releases, release.release))).toBeNull();
    expect(await site.desk.holds(1)).toMatchObject([{ subject: release.release, signers: ['serving'] }]);
  });

  it('reads the version that intake stored, whatever is written over it', async () => {
    const release = await admit(await trainedFiles('1.0.0'));
    for (const { blob } of told) {
      const key = storeKeys.blob(blob);
      const head = await site.bucket.head(key, null);
      expect(await site.bucket.compareAndSet(key, Buffer.from('forged'), head?.etag ?? null)).not.toBeNull();
      expect(await site.bucket.versions(key)).toHaveLength(2);
    }
    host = await site.begin({ vault: opener() });
    await host.start(release.name, release.release);
    expect(site.gateway.heard).toHaveLength(1);
  });

  it('waits, unreported, while the vault is down, and does not wait for it once the release is revoked', async () => {
    const release = await admit(await trainedFiles('1.0.0'));
    host = await site.begin({ vault: opener() });
    await vault.stop();
    await expect(host.start(release.name, release.release)).rejects.toMatchObject({ code: 'VAULT_UNAVAILABLE' });
    expect(await site.copies()).toEqual([]);
    expect(await site.spooled()).toEqual([]);
    await site.issueStatus({ revoked: [release.release], version: Date.now() + 1, issuedAt: isoTime(Date.now()) });
    await expect(host.start(release.name, release.release)).rejects.toMatchObject({ code: 'REVOKED' });
  });

  it(`loads a file of ${LARGE_MIB} MiB in bounded memory`, async () => {
    // Filled in place: no second copy of the whole in this process.
    const large = Buffer.alloc(LARGE_MIB * MIB + HEADER_ROOM);
    let end = 0;
    for (const part of largeSafetensors(LARGE_MIB)) end += part.copy(large, end);
    const release = await admit({
      ...(await trainedFiles('1.0.0')),
      'large.safetensors': large.subarray(0, end),
    });
    (release.files as Map<string, Buffer>).clear();
    host = await site.begin({ vault: opener() });
    global.gc?.();
    const before = process.memoryUsage.rss();
    let peak = before;
    const meter = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 20);
    await host.start(release.name, release.release);
    clearInterval(meter);
    expect((peak - before) / MIB).toBeLessThan(MEMORY_MIB);
    await host.stop(release.name, release.release);
    expect(await site.copies()).toEqual([]);
  });
});

/** The store keeps objects as files; the bucket's name says which store of this machine is ours. */
async function fileOf(key: string): Promise<string> {
  for (const entry of await readdir(tmpdir())) {
    const path = join(tmpdir(), entry, 'objects', name, key);
    if (entry.startsWith('custody-store-') && (await stat(path).catch(() => null)) !== null) return path;
  }
  throw new Error(`no store holds ${key}`);
}

async function flipOnDisk(key: string): Promise<void> {
  const path = await fileOf(key);
  const bytes = await readFile(path);
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 100) ^ 1, bytes.length - 100);
  await writeFile(path, bytes);
}

async function startGateway(): Promise<{ client: GatewayClient; port: number; stop: () => Promise<unknown> }> {
  const [socket, root, config] = ['admin.sock', 'root.json', 'gateway.json'].map((file) => join(folder, file)) as [
    string,
    string,
    string,
  ];
  await writeFile(root, JSON.stringify(site.world.root));
  const listen = { host: '127.0.0.1', port: 0 };
  const state = join(folder, 'gateway');
  await writeFile(config, JSON.stringify({ environment: 'test', root, state, listen, admin: { socket } }));
  const started = await startProcess<{ port: number }>(join(built, 'dist', 'gateway', 'main.js'), config);
  const client = createGatewayClient(socket);
  await client.deliverPolicies([site.world.policyEnvelope]);
  return { client, port: started.ready.port, stop: () => started.end('SIGTERM') };
}
