import { mkdtemp, mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { createIngestActivities } from '../../activities/ingest.js';
import { createValidateActivities } from '../../activities/validate.js';
import type { Bucket } from '../../adapters/object-store/port.js';
import { Records } from '../../adapters/records.js';
import type { Inspector } from '../../adapters/scan/inspect.js';
import { packRelease, type ReleaseDescription } from '../../adapters/source/pack.js';
import { provenanceBeside } from '../../client/provenance.js';
import { baseDependency } from '../../domain/base.js';
import type { Digest } from '../../domain/digest.js';
import type { Admission, Ingested } from '../../domain/lifecycle.js';
import type { Manifest } from '../../domain/manifest.js';
import { lifecycleId, type ReleaseName } from '../../domain/names.js';
import type { NamedRelease } from '../../domain/named-release.js';
import type { SignedEnvelope } from '../../domain/statements.js';
import { storeKeys } from '../../domain/store-keys.js';
import type { ClaimAnswer, OpenAnswer, OpenedFile, ReopenRequest } from '../../domain/vault.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { omsResources } from '../../formats/manifest.js';
import { signOms } from '../../formats/oms.js';
import { sha256 } from '../../formats/sha256.js';
import { operationsOf } from '../../vault/requests.js';
import { openVault } from '../../vault/vault.js';
import { createIntake, provenanceOf, signPacked, writeFiles, type Intake } from '../unit/ingest/intake.js';
import { logVerifier } from './log-key.js';
import { inspectHere } from './scan.js';

/** The vault itself, asked as over its socket: in JSON. */
export async function vaultHere(root: Intake['world']['root']) {
  const vault = await openVault({
    state: await mkdtemp(join(tmpdir(), 'custody-vault-')),
    root,
    log: logVerifier,
  });
  const operations = operationsOf(vault);
  const ask = async <T>(name: string, body: unknown, at: 'create' | 'open' | 'destroy' = 'create'): Promise<T> =>
    JSON.parse(JSON.stringify(await operations[at][name]?.answer(JSON.parse(JSON.stringify(body))))) as T;
  const opened = ({ files }: OpenAnswer<string>): OpenedFile<Buffer>[] =>
    files.map((file) => ({ ...file, key: Buffer.from(file.key, 'base64') }));
  return {
    vault,
    ask,
    /** Every request to reopen, as it was sent. */
    reopened: [] as ReopenRequest[],
    async claim(request: object): Promise<ClaimAnswer<Buffer>> {
      const answer = await ask<ClaimAnswer<string>>('claim', request);
      return answer.state === 'new' ? { ...answer, key: Buffer.from(answer.key, 'base64') } : answer;
    },
    stored: (request: object) => ask('stored', request),
    async reopen(request: ReopenRequest): Promise<readonly OpenedFile<Buffer>[]> {
      this.reopened.push(request);
      return opened(await ask('reopen', request));
    },
    async holders(digest: Digest): Promise<readonly Digest[]> {
      return (await vault.ledger.living(digest))?.holders ?? [];
    },
  };
}

export interface Made {
  readonly name: ReleaseName;
  readonly release: Digest;
  readonly manifest: Manifest;
  readonly admission: Admission;
  readonly ingested: Ingested;
}

export type Admitted = Omit<Made, 'ingested'> & { readonly source: string };

export interface BuildOn {
  readonly base: NamedRelease & { readonly manifest: Manifest };
  /** Files of the base that are not in it. */
  readonly removed?: readonly string[];
  /** What its producer names instead. */
  readonly named?: NamedRelease | null;
}

/** Intake with a real vault, and everybody else who brings a release into service, on any store. */
export async function createSite(bucket?: Bucket) {
  const intake = await createIntake(
    (policy) => ({ ...policy, validation: { ...policy.validation, allowUnisolated: true } }),
    bucket,
  );
  const { world, records } = intake;
  const vault = await vaultHere(world.root);
  const site = {
    ...{ world, records, vault, intake, bucket: intake.bucket, store: intake.store },
    /** Paths that a scan has read, since it was last emptied. */
    read: [] as string[],
    inspect: inspectHere,
    status: (said: Parameters<typeof world.status>[0] = {}) => issue(records, world.status(said).envelope),

    async admit(
      files: Readonly<Record<string, Buffer | string>>,
      description: ReleaseDescription,
      on: BuildOn | null = null,
    ): Promise<Admitted> {
      const parent = await intake.folder();
      const source = join(parent, 'release');
      await mkdir(source);
      await writeFiles(source, files);
      const own = new Set([...Object.keys(files), ...(on?.removed ?? [])]);
      const kept = on === null ? [] : on.base.manifest.files.filter(({ path }) => !own.has(path));
      const packed = await packRelease(source, description, kept);
      const bundle = join(parent, 'release.sig.json');
      await writeFile(bundle, signPacked(world, packed));
      const named = on === null ? null : on.named === undefined ? on.base : on.named;
      const made = provenanceOf(world, packed, 'trainer', {
        provenance: (usual) => ({
          ...usual,
          buildDefinition: {
            ...usual.buildDefinition,
            resolvedDependencies: [
              ...usual.buildDefinition.resolvedDependencies,
              ...(named === null ? [] : [baseDependency(named)]),
            ],
          },
        }),
      });
      await writeFile(provenanceBeside(bundle), canonicalBytes(made));
      const name = { model: description.model, version: description.version };
      const admission = await intake.admit(name, source, bundle);
      return { name, admission, release: packed.release, manifest: packed.manifest, source };
    },

    async ingest({ name, admission }: { name: ReleaseName; admission: Admission }): Promise<Ingested> {
      const { ingest } = createIngestActivities({ ...deps(), records: new Records(site.bucket, world.root) });
      return run(ingest, name, admission);
    },

    validate({ name, admission }: { name: ReleaseName; admission: Admission }, ingested: Ingested): Promise<unknown> {
      const { validate } = createValidateActivities({ ...deps(), isolate: async () => 'none' });
      return run(validate, name, admission, ingested);
    },

    /** Brings what was ingested as far as service: tested, approved, signed, by everybody whose turn it is. */
    async release(admitted: Admitted, ingested: Ingested, change: { readonly scan?: Digest } = {}): Promise<Made> {
      const { name, admission, manifest } = admitted;
      const { release } = ingested;
      const like = world.release({ version: name.version, model: name.model, tested: release });
      const testResult = await records.keep(like.testResult.envelope);
      const { bundle, provenance, change: changed } = ingested;
      const scan = change.scan ?? ingested.scan;
      const evidence = { admission: admission.request, manifest: release, bundle, provenance, testResult, scan };
      const request = world.request(
        { name: lifecycleId(name), sha256: release },
        {
          ...{ ...name, workflowId: lifecycleId(name), release, requester: 'ci', producer: 'trainer' },
          action: like.request.predicate.action,
          evidence: { ...evidence, change: changed },
        },
      );
      await records.keep(request.envelope, storeKeys.request(request.digest));
      const approvals = [await records.keep(world.approve(request, 'alice').envelope)];
      const text = await records.getBytes(release, storeKeys.manifest);
      const signature = await records.keepBytes(
        signOms(name.model, omsResources(manifest, text), world.keys['release-signer']),
      );
      const parts = { admission, ingested, validated: { testResult }, signed: { signature } };
      const approved = { request: request.digest, approvals, approvers: ['alice'] };
      for (const [part, value] of Object.entries({ ...parts, approved }))
        await records.recordOnce(storeKeys.record(name, part), value);
      return { name, release, manifest, admission, ingested };
    },
  };
  const inspect: Inspector = async (source, options) => {
    site.read.push(...source.manifest.files.map(({ path }) => path));
    return site.inspect(source, options);
  };
  const work = await mkdtemp(join(tmpdir(), 'custody-work-'));
  const deps = () => ({
    ...{ records, vault, validatorKey: world.keys.intake, inspect, work },
    scanners: async () => [],
    repositories: {},
    further: async () => [],
  });
  await site.status();
  return site;
}
export type Site = Awaited<ReturnType<typeof createSite>>;

async function issue(records: Records, envelope: SignedEnvelope): Promise<void> {
  const { verified } = await records.verify('status', envelope);
  await records.keep(envelope, storeKeys.status(verified.predicate.version));
}

function run<A extends unknown[], R>(act: (...args: A) => Promise<R>, ...args: A): Promise<R> {
  const environment = new MockActivityEnvironment(undefined, { logger: new DefaultLogger('ERROR') });
  return environment.run<A, R, typeof act>(act, ...args);
}

/** `sha256` of one of its files. */
export function digestOf({ manifest }: { readonly manifest: Manifest }, path: string): Digest {
  return manifest.files.find((file) => file.path === path)?.sha256 ?? sha256(`there is no ${path}`);
}
