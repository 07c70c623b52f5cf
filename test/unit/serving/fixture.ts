import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { startServing } from '../../../activities/serve.js';
import { createMemoryStore, type MemoryStore } from '../../../adapters/object-store/memory.js';
import type { Bucket } from '../../../adapters/object-store/port.js';
import { Records } from '../../../adapters/records.js';
import type { KeyOpener, Log, ModelUser, ServingDeps } from '../../../adapters/serving/ports.js';
import type { Digest } from '../../../domain/digest.js';
import { CustodyError } from '../../../domain/errors.js';
import type { ReleaseName } from '../../../domain/names.js';
import type { IncidentPredicate, ReplicaPredicate, SignedEnvelope, Verified } from '../../../domain/statements.js';
import { storeKeys } from '../../../domain/store-keys.js';
import type { OpenedFile } from '../../../domain/vault.js';
import { envelopeDigest } from '../../../formats/dsse.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { sha256 } from '../../../formats/sha256.js';
import { keyRing, verifyStatement } from '../../../formats/statements.js';
import { encryptStream } from '../../../formats/streaming-aead.js';
import { shippedFolder } from '../../../examples/digits/ship.js';
import { createWorld, type Release, type ReleaseOptions, type World } from '../../support/world.js';

export const BUCKET = 'test-custody';

/** Everything in WORM that a release leaves behind, as key and bytes, but for its blobs. */
function placesOf({ admission }: Release): object {
  const { action } = admission.predicate;
  return action.kind === 'release'
    ? { source: action.source, bundle: action.bundle, provenance: action.provenance }
    : {};
}

export function recordsOf(release: Release): [key: string, bytes: Buffer][] {
  const { name, evidence } = release;
  const statement = (envelope: SignedEnvelope): [string, Buffer] => {
    const bytes = canonicalBytes(envelope);
    return [storeKeys.statement(sha256(bytes)), bytes];
  };
  const request = (envelope: SignedEnvelope): [string, Buffer] => {
    const bytes = canonicalBytes(envelope);
    return [storeKeys.request(sha256(bytes)), bytes];
  };
  const text = (content: string): [string, Buffer] => [storeKeys.statement(sha256(content)), Buffer.from(content)];
  const part = (what: string, value: object): [string, Buffer] => [storeKeys.record(name, what), canonicalBytes(value)];
  const { signature } = evidence;
  return [
    [storeKeys.manifest(release.release), Buffer.from(evidence.manifest)],
    text(evidence.bundle),
    request(evidence.admission),
    statement(evidence.provenance),
    statement(evidence.testResult),
    statement(evidence.scan),
    statement(evidence.change),
    ...(evidence.promotion === null ? [] : [statement(evidence.promotion)]),
    request(evidence.request),
    ...evidence.approvals.map(statement),
    part('admission', { request: release.admission.digest, ...placesOf(release) }),
    part('ingested', {
      release: release.release,
      bundle: sha256(evidence.bundle),
      provenance: release.provenance.digest,
      scan: release.scan.digest,
      change: release.change.digest,
      ...(evidence.promotion === null ? {} : { promotion: envelopeDigest(evidence.promotion) }),
    }),
    part('validated', { testResult: release.testResult.digest }),
    part('approved', {
      request: release.request.digest,
      approvals: evidence.approvals.map((approval) => sha256(canonicalBytes(approval))),
    }),
    ...(signature === null ? [] : [text(signature), part('signed', { signature: sha256(signature) })]),
  ];
}

export async function encrypt(plain: Buffer, key: Buffer, associated = sha256(plain)): Promise<Buffer> {
  const source = async function* (): AsyncGenerator<Buffer> {
    yield plain;
  };
  const chunks: Buffer[] = [];
  for await (const chunk of encryptStream(source(), key, Buffer.from(associated, 'hex'))) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** A vault without its process: it knows the keys, and counts how often it was asked. */
export class FakeVault implements KeyOpener {
  readonly files = new Map<Digest, OpenedFile<Buffer>>();
  opened = 0;
  refuse: CustodyError | null = null;

  async open(sha256s: readonly Digest[]): Promise<readonly OpenedFile<Buffer>[]> {
    this.opened += 1;
    const { refuse } = this;
    this.refuse = null;
    if (refuse !== null) throw refuse;
    return sha256s.map((digest) => {
      const file = this.files.get(digest);
      if (file === undefined) throw new CustodyError('NOT_AUTHORISED', `no key for ${digest}`);
      return { ...file, key: Buffer.from(file.key) };
    });
  }
}

/** A gateway that keeps what it hears and checks it as a real one would. */
export class FakeGateway {
  readonly heard: Verified<ReplicaPredicate>[] = [];
  readonly isHere: boolean = true;
  isDown = false;
  tried = 0;
  readonly #world: World;
  #wake: (() => void)[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  async deliverReplica(envelope: SignedEnvelope): Promise<void> {
    this.tried += 1;
    this.#turn();
    if (this.isDown) throw new CustodyError('GATEWAY_UNAVAILABLE', 'the gateway does not answer');
    this.heard.push(verifyStatement(envelope, 'replica', keyRing(this.#world.policy)));
    this.#turn();
  }

  /** The first replica from now on that is what the test waits for. */
  async hears(wanted: (replica: Verified<ReplicaPredicate>) => boolean): Promise<Verified<ReplicaPredicate>> {
    for (let at = this.heard.length; ; at += 1) {
      while (at >= this.heard.length) await this.happens();
      const replica = this.heard[at] as Verified<ReplicaPredicate>;
      if (wanted(replica)) return replica;
    }
  }

  /** The next time somebody calls. */
  happens(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  #turn(): void {
    const woken = this.#wake;
    this.#wake = [];
    for (const wake of woken) wake();
  }
}

/** Control's desk: takes incidents, or refuses them while it is down. */
export class FakeDesk {
  readonly incidents: Verified<IncidentPredicate>[] = [];
  isDown = false;
  readonly #world: World;
  #wake: (() => void)[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  readonly report = async (envelope: SignedEnvelope): Promise<void> => {
    const incident = verifyStatement(envelope, 'incident', keyRing(this.#world.policy));
    const woken = this.#wake;
    this.#wake = [];
    if (!this.isDown) this.incidents.push(incident);
    for (const wake of woken) wake();
    if (this.isDown) throw new CustodyError('STORE_UNAVAILABLE', 'the audit log does not answer');
  };

  happens(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  /** Waits until so many incidents are in the log. */
  async holds(count: number): Promise<readonly Verified<IncidentPredicate>[]> {
    while (this.incidents.length < count) await this.happens();
    return this.incidents;
  }
}

export interface Running {
  start(name: ReleaseName, release: Digest): Promise<void>;
  stop(name: ReleaseName, release: Digest): Promise<void>;
  probe(name: ReleaseName, release: Digest, erased: Digest): Promise<SignedEnvelope>;
  /** As a worker that shuts down. */
  end(): Promise<void>;
}

/** The files of a release that was really trained. */
export async function trainedFiles(version: string): Promise<Record<string, Buffer>> {
  const folder = shippedFolder(version);
  const names = (await readdir(folder)).filter((name) => name !== 'custody.json');
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name))] as const)),
  );
}

export class Site {
  readonly world: World = createWorld();
  readonly store: MemoryStore = createMemoryStore();
  readonly records: Records;
  readonly vault = new FakeVault();
  readonly gateway = new FakeGateway(this.world);
  readonly desk = new FakeDesk(this.world);
  readonly logged: { level: string; message: string; fields: object }[] = [];
  readonly state: string;
  #running: Running[] = [];

  private constructor(state: string, bucket: Bucket | null) {
    this.state = state;
    this.records = new Records(bucket ?? this.store.bucket(BUCKET), this.world.root);
  }

  /** Policy and a fresh status document in WORM, and nothing else. By default the store is in memory. */
  static async open(bucket: Bucket | null = null): Promise<Site> {
    const site = new Site(join(await mkdtemp(join(tmpdir(), 'custody-serving-')), 'serving'), bucket);
    await chmod(join(site.state, '..'), 0o711);
    await site.put([[storeKeys.policy(1), canonicalBytes(site.world.policyEnvelope)]]);
    await site.issueStatus();
    return site;
  }

  get bucket(): Bucket {
    return this.records.bucket;
  }

  get releases(): string {
    return join(this.state, 'releases');
  }

  async put(objects: readonly (readonly [string, Buffer])[]): Promise<void> {
    for (const [key, bytes] of objects) await this.bucket.createOnce(key, bytes);
  }

  async issueStatus(
    overrides: Parameters<World['status']>[0] = {},
    by: Parameters<World['status']>[1] = 'control',
    key?: number,
  ): Promise<number> {
    const { envelope, predicate } = this.world.status(overrides, by);
    await this.put([[storeKeys.status(key ?? predicate.version), canonicalBytes(envelope)]]);
    return predicate.version;
  }

  /** Makes a release, by default one that was really trained, and puts all of it into WORM and its keys into the vault. */
  async admit(options: ReleaseOptions = {}): Promise<Release> {
    const files = options.files ?? { ...(await trainedFiles(options.version ?? '1.0.0')), 'notes/why.md': '# Why\n' };
    const release = this.world.release({ ...options, files });
    await this.put(recordsOf(release));
    for (const plain of release.files.values()) await this.storeBlob(plain);
    return release;
  }

  async storeBlob(plain: Buffer): Promise<void> {
    const digest = sha256(plain);
    if (this.vault.files.has(digest)) return;
    const [blob, key] = [randomBytes(16).toString('hex'), randomBytes(32)];
    const cipher = await encrypt(plain, key);
    const { versionId } = await this.bucket.createOnce(storeKeys.blob(blob), cipher);
    this.refer(digest, { blob, key, versionId: versionId ?? '' }, cipher);
  }

  refer(digest: Digest, at: Pick<OpenedFile<Buffer>, 'blob' | 'key' | 'versionId'>, cipher: Buffer): void {
    this.vault.files.set(digest, {
      sha256: digest,
      ...at,
      ciphertext: sha256(cipher),
      ciphertextSize: cipher.length,
    });
  }

  deps(overrides: Partial<ServingDeps> = {}): ServingDeps {
    return {
      records: this.records,
      vault: this.vault,
      gateways: [this.gateway],
      relay: null,
      report: this.desk.report,
      key: this.world.keys.serving,
      state: this.state,
      modelUser: null,
      log: this.#log(),
      ...overrides,
    };
  }

  /** Starts the zone, as its worker does. */
  async begin(overrides: Partial<ServingDeps> = {}): Promise<Running> {
    const { activities, stop } = await startServing(this.deps(overrides));
    const environment = () => new MockActivityEnvironment(undefined, { logger: new DefaultLogger('ERROR') });
    let ended: Promise<void> | null = null;
    const running: Running = {
      start: (name, release) => environment().run(activities.startRelease, name, release),
      stop: (name, release) => environment().run(activities.stopRelease, name, release),
      probe: (name, release, erased) => environment().run(activities.probeHost, name, release, erased),
      end: () => (ended ??= stop()),
    };
    this.#running.push(running);
    return running;
  }

  async close(): Promise<void> {
    for (const running of this.#running) await running.end();
    await rm(join(this.state, '..'), { recursive: true, force: true });
  }

  /** Names in the folder of copies. */
  async copies(): Promise<string[]> {
    return readdir(this.releases);
  }

  async spooled(): Promise<string[]> {
    return readdir(join(this.state, 'incidents'));
  }

  #log(): Log {
    const at =
      (level: string) =>
      (fields: object, message: string): void => {
        this.logged.push({ level, message, fields });
      };
    return { info: at('info'), warn: at('warn'), error: at('error') };
  }
}

/** What the model server on this port says an image of nothing is. */
export async function infer(port: number, model = 'digits'): Promise<{ status: number; version: string }> {
  const body = JSON.stringify({
    inputs: [{ name: 'image', shape: [1, 64], datatype: 'FP32', data: Array(64).fill(0) }],
  });
  const answer = await fetch(`http://127.0.0.1:${port}/v2/models/${model}/infer`, { method: 'POST', body });
  const { model_version: version = '' } = (await answer.json()) as { model_version?: string };
  return { status: answer.status, version };
}

/** The process that serves this release: the one whose working directory is its copy. */
export async function pidOf(folder: string): Promise<number | null> {
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const cwd = await readlink(`/proc/${name}/cwd`).catch(() => null);
    if (cwd === folder) return Number(name);
  }
  return null;
}

export const user: ModelUser = { uid: 65_534, gid: 65_534 };
export const isRoot = process.geteuid?.() === 0;
