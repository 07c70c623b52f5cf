import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { createIngestActivities } from '../../../activities/ingest.js';
import type { BlobKeys } from '../../../activities/store-blob.js';
import type { Reopening } from '../../../activities/take-over.js';
import { createMemoryStore, type MemoryStore } from '../../../adapters/object-store/memory.js';
import type { Bucket } from '../../../adapters/object-store/port.js';
import { Records } from '../../../adapters/records.js';
import type { Scanners } from '../../../adapters/scan/external.js';
import { packRelease, type PackedRelease, type ReleaseDescription } from '../../../adapters/source/pack.js';
import { provenanceBeside } from '../../../client/provenance.js';
import type { Digest } from '../../../domain/digest.js';
import type { Admission, Ingested } from '../../../domain/lifecycle.js';
import { lifecycleId, type ReleaseName } from '../../../domain/names.js';
import type { Policy } from '../../../domain/policy.js';
import type { SignedEnvelope } from '../../../domain/statements.js';
import { storeKeys } from '../../../domain/store-keys.js';
import type { ClaimAnswer, StoredRequest } from '../../../domain/vault.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { omsResources } from '../../../formats/manifest.js';
import { signOms } from '../../../formats/oms.js';
import { writeSafetensors } from '../../../formats/safetensors.js';
import { sha256 } from '../../../formats/sha256.js';
import { inspectHere } from '../../support/scan.js';
import { createWorld, type KeyName, type ReleaseOptions, type World } from '../../support/world.js';

/** A vault's promises without its process: the same bytes get the same blob and key until they are stored. */
export class FakeVault implements BlobKeys, Reopening {
  readonly open = new Map<Digest, { blob: string; key: Buffer }>();
  readonly done = new Map<Digest, StoredRequest>();
  claims = 0;

  async claim({ sha256: digest }: { sha256: Digest }): Promise<ClaimAnswer<Buffer>> {
    this.claims += 1;
    const done = this.done.get(digest);
    if (done !== undefined) return { state: 'stored', ...done };
    const open = this.open.get(digest) ?? { blob: randomBytes(16).toString('hex'), key: randomBytes(32) };
    this.open.set(digest, open);
    return { state: 'new', ...open };
  }

  async stored(request: StoredRequest): Promise<void> {
    this.done.set(request.sha256, this.done.get(request.sha256) ?? request);
  }

  /** What builds on another release is tried with a real one. */
  async reopen(): Promise<never> {
    throw new Error('nothing builds on another release here');
  }
}

export interface Intake {
  readonly world: World;
  readonly store: MemoryStore;
  readonly bucket: Bucket;
  readonly records: Records;
  readonly vault: FakeVault;
  /** Where the repositories of the policy are: empty, to be filled. */
  readonly repositories: Record<string, string>;
  /** A new private folder. */
  folder(): Promise<string>;
  /** What admission leaves behind for this source: a signed request in WORM, under the world's policy or a later one. */
  admit(name: ReleaseName, source: string, bundle: string, policy?: Digest, promotion?: string): Promise<Admission>;
  ingest(name: ReleaseName, admission: Admission): Promise<Ingested>;
}

export const NAME: ReleaseName = { model: 'digits', version: '1.0.0' };

export async function createIntake(
  change?: (policy: Policy) => Policy,
  bucket?: Bucket,
  scanners: Scanners = async () => [],
): Promise<Intake> {
  const world = createWorld(change === undefined ? {} : { policy: change });
  const store = createMemoryStore();
  const used = bucket ?? store.bucket('test-custody');
  const records = new Records(used, world.root);
  await used.createOnce(storeKeys.policy(1), canonicalBytes(world.policyEnvelope));
  const vault = new FakeVault();
  const repositories: Record<string, string> = {};
  const { ingest } = createIngestActivities({
    records,
    vault,
    validatorKey: world.keys.intake,
    inspect: inspectHere,
    scanners,
    repositories,
    further: async () => [],
    work: await mkdtemp(join(tmpdir(), 'custody-work-')),
  });
  return {
    ...{ world, store, bucket: used, records, vault, repositories },
    folder: () => mkdtemp(join(tmpdir(), 'custody-intake-')),
    admit: (name, source, signature, policy = world.policyDigest, promotion) =>
      admit(world, records, name, source, signature, policy, promotion),
    ingest: (name, admission) =>
      new MockActivityEnvironment(undefined, { logger: new DefaultLogger('ERROR') }).run(ingest, name, admission),
  };
}

async function admit(
  world: World,
  records: Records,
  name: ReleaseName,
  source: string,
  bundle: string,
  policy: Digest,
  promotion?: string,
): Promise<Admission> {
  const id = lifecycleId(name);
  const places = {
    source: pathToFileURL(source).href,
    bundle: pathToFileURL(bundle).href,
    provenance: pathToFileURL(provenanceBeside(bundle)).href,
    ...(promotion === undefined ? {} : { promotion: pathToFileURL(promotion).href }),
  };
  const request = world.request(
    { name: id, sha256: sha256(id) },
    { ...name, workflowId: id, action: { kind: 'release', ...places }, requester: 'ci', policy },
    'ci',
  );
  await records.keep(request.envelope, storeKeys.request(request.digest));
  return { request: request.digest, requester: 'ci', ...places, policy };
}

export const FILES: Readonly<Record<string, Buffer | string>> = {
  'weights.safetensors': writeSafetensors([{ name: 'w', dtype: 'F32', shape: [4], data: Buffer.alloc(16, 7) }]),
  'config.json': '{"hidden":4}\n',
  'nested/labels.json': '["0","1"]\n',
};

export async function writeFiles(folder: string, files: Readonly<Record<string, Buffer | string>>): Promise<void> {
  for (const [path, bytes] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), bytes);
  }
}

export const DESCRIPTION: ReleaseDescription = {
  ...NAME,
  components: [
    { name: 'weights', kind: 'weights', files: ['weights.safetensors'] },
    { name: 'config', kind: 'config', files: ['config.json', 'nested/labels.json'] },
  ],
  serving: { protocol: 'open-inference-v2', command: ['node', 'serve.mjs'] },
};

/** A signed release folder; answers its place and that of its bundle, which lies outside, the provenance beside it. */
export async function signedRelease(
  { world, folder }: Pick<Intake, 'world' | 'folder'>,
  files: Readonly<Record<string, Buffer | string>> = FILES,
  description: ReleaseDescription = DESCRIPTION,
  by: KeyName = 'trainer',
): Promise<{ source: string; bundle: string; packed: PackedRelease }> {
  const parent = await folder();
  const source = join(parent, 'release');
  await mkdir(source);
  await writeFiles(source, files);
  const packed = await packRelease(source, description);
  const bundle = join(parent, 'release.sig.json');
  await writeFile(bundle, signPacked(world, packed, by));
  await writeFile(provenanceBeside(bundle), canonicalBytes(provenanceOf(world, packed, by)));
  return { source, bundle, packed };
}

/** What its producer says of how it was made; `options` as of the world's releases. */
export function provenanceOf(
  world: World,
  { manifest, release }: PackedRelease,
  by: KeyName = 'trainer',
  options: Pick<ReleaseOptions, 'provenance' | 'made'> = {},
): SignedEnvelope {
  const { model, version } = manifest;
  return world.release({ model, version, made: release, provenanceBy: by, ...options }).provenance.envelope;
}

export function signPacked(world: World, { manifest, text }: PackedRelease, by: KeyName = 'trainer'): Buffer {
  return signOms(manifest.model, omsResources(manifest, text), world.keys[by]);
}
