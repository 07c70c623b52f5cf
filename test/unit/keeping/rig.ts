import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import type { Desk } from '../../../activities/control.js';
import { createRetirement } from '../../../activities/retire.js';
import { createHolds } from '../../../activities/hold.js';
import type { Probed } from '../../../activities/contract.js';
import { Journal } from '../../../activities/journal.js';
import { createKeeping } from '../../../activities/keeping.js';
import { createSigningActivities } from '../../../activities/sign.js';
import type { GatewayClient } from '../../../adapters/gateway/client.js';
import { createMemoryStore } from '../../../adapters/object-store/memory.js';
import { Records } from '../../../adapters/records.js';
import { orderHold, requestLift } from '../../../client/requests.js';
import type { AuditRecord } from '../../../domain/audit.js';
import type { Digest } from '../../../domain/digest.js';
import type { Approved } from '../../../domain/lifecycle.js';
import { lifecycleId } from '../../../domain/names.js';
import type { ProbePredicate, SignedEnvelope } from '../../../domain/statements.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { isoTime } from '../../../domain/time.js';
import { envelopeDigest } from '../../../formats/dsse.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { claim, stored } from '../../../vault/create.js';
import { destroy, probe } from '../../../vault/destroy.js';
import { hold, holdings, lift } from '../../../vault/hold.js';
import { openVault, type Vault } from '../../../vault/vault.js';
import { probedBy } from '../../support/destruction.js';
import { logVerifier } from '../../support/log-key.js';
import { createWorld, type KeyName, type Release } from '../../support/world.js';
import { recordsOf } from '../serving/fixture.js';

export const BUCKET = 'test-custody';
const DAY_MS = 86_400_000;

/** A release in a store, its bytes in a real vault, and the zones that keep it: all but Temporal and the network. */
export async function startKeeping(openKeys?: Parameters<typeof openVault>[1]) {
  const world = createWorld();
  const store = createMemoryStore();
  const records = new Records(store.bucket(BUCKET), world.root);
  const state = await mkdtemp(join(tmpdir(), 'custody-keeping-'));
  const opened = await openVault({ state, root: world.root, log: logVerifier }, openKeys);
  const log: AuditRecord[] = [];
  const audit = { append: async (added: readonly AuditRecord[]) => log.push(...added) };
  const clientOf = (opened: Vault) => ({
    destroy: (request: Parameters<typeof destroy>[1]) => destroy(opened, request),
    probe: (blob: string) => probe(opened, { blob }),
    hold: (request: Parameters<typeof hold>[1]) => hold(opened, request),
    lift: (request: Parameters<typeof lift>[1]) => lift(opened, request),
    holdings: async (request: Parameters<typeof holdings>[1]) => (await holdings(opened, request)).blobs,
  });
  const vault = clientOf(opened);
  const woken: string[] = [];
  const getHandle = (id: string) => ({
    signal: async ({ name }: { name: string }) => void woken.push(`${id} ${name}`),
  });
  const desk = {
    ...{ records, journal: new Journal(audit), temporal: { workflow: { getHandle } } },
    ...{ key: world.keys.control, gateways: [] as readonly Pick<GatewayClient, 'state'>[] },
  } as unknown as Omit<Desk, 'gateways'> & { gateways: readonly Pick<GatewayClient, 'state'>[] };
  const control = createHolds(desk as Desk);
  const keeping = createKeeping({ records, vault });
  const signing = createSigningActivities({ records, key: world.keys['release-signer'], vault });
  const put = (key: string, bytes: Buffer) => records.bucket.createOnce(key, bytes, inDays(7));
  await put(storeKeys.policy(1), canonicalBytes(world.policyEnvelope));

  /** Puts all of a release where intake and control leave it. */
  async function keep(release: Release): Promise<Release> {
    for (const [key, bytes] of recordsOf(release)) await put(key, bytes);
    await put(storeKeys.version(release.name), Buffer.from(release.release));
    for (const { sha256, size } of release.manifest.files) {
      const claimed = await claim(opened, { sha256, size, release: release.release });
      if (claimed.state === 'stored') continue;
      const { versionId } = await put(storeKeys.blob(claimed.blob), Buffer.from(sha256));
      const place = { versionId: versionId ?? '', ciphertext: sha256, ciphertextSize: 64 };
      await stored(opened, { sha256, blob: claimed.blob, ...place });
    }
    return release;
  }

  /** As a worker runs it, whose clock is right. */
  function run<T>(act: () => Promise<T>, info: Partial<MockActivityEnvironment['context']['info']> = {}): Promise<T> {
    const environment = new MockActivityEnvironment(
      {
        workflowExecution: { workflowId: 'hold/digits/1.0.0', runId: 'run-1' },
        currentAttemptScheduledTimestampMs: Date.now(),
        ...info,
      },
      { logger: new DefaultLogger('ERROR') },
    );
    return environment.run<[], T, () => Promise<T>>(act);
  }

  const signer = (by: KeyName) => ({
    ...{ key: world.keys[by], id: by },
    ...{ environment: world.environment, policy: world.policyDigest },
  });
  const orderOf = (release: Release, by: KeyName = 'sam') =>
    orderHold(signer(by), release.name, release.release, 'a lawsuit');

  async function place(release: Release, envelope: SignedEnvelope = orderOf(release)) {
    const held = await run(() => control.admitHold(release.name, envelope));
    return run(() => keeping.holdRelease(release.name, held));
  }

  async function agree(
    release: Release,
    holds: readonly Digest[],
    by: readonly KeyName[] = ['oscar', 'olga'],
    asker: KeyName = 'otto',
  ): Promise<Approved> {
    const request = requestLift(
      signer(asker),
      release.name,
      { release: release.release, holds, reason: 'closed' },
      600,
    );
    const { digest, predicate } = (await records.verify('request', request)).verified;
    await run(() => control.openLiftGate(release.name, request));
    const approvals: Digest[] = [];
    for (const person of by) {
      const approval = world.approve({ envelope: request, digest, predicate }, person, {
        issuedAt: isoTime(Date.now()),
      });
      approvals.push(await records.keep(approval.envelope));
    }
    return { request: digest, approvals, approvers: by };
  }

  /** All that speaks for the destruction of a release, and does but for a hold. */
  async function condemn(release: Release) {
    const { evidence, request, approvals, notice } = world.retirement(release);
    await records.keep(request.envelope, storeKeys.request(request.digest));
    for (const { envelope } of [...approvals, notice]) await records.keep(envelope);
    const said = {
      ...{ environment: world.environment, ...release.name, reason: 'replaced' },
      ...{ request: request.digest, issuedAt: isoTime(Date.now()) },
    };
    const subject = { name: lifecycleId(release.name), sha256: release.release };
    const revocation = world.statement('revocation', subject, said, 'release-signer').envelope;
    await records.keep(revocation, storeKeys.revocation(release.release));
    const retirement = {
      ...{ request: request.digest, approvals: approvals.map(({ digest }) => digest) },
      ...{ notice: notice.digest, retiresAt: notice.predicate.retiresAt },
    };
    const { name, release: digest } = release;
    /** The keys alone, as if the signing zone were killed after it. */
    const erase = (): Promise<Digest> =>
      run(() => signing.destroyKeys(name, digest, retirement, envelopeDigest(revocation)));
    /** What the zone serving says that has tried everything. */
    const served = async (erased: Digest, change: Partial<ProbePredicate> = {}, by: KeyName = 'serving') => {
      const { request: asked, blobs } = (await records.get('probe', erased)).verified.predicate;
      const about = { zone: 'serving', request: asked, blobs, issuedAt: isoTime(Date.now()), files: [] } as const;
      return probedBy(world, release, about, change, by).envelope;
    };
    const probeGateways = (erased: Digest): Promise<Digest> =>
      run(() => createRetirement(desk as Desk).probeGateways(name, digest, erased));
    const certify = async (erased: Digest, given: Partial<Probed> = {}): Promise<Digest> => {
      const control = given.control ?? (await probeGateways(erased));
      const probed = { signing: erased, serving: await served(erased), ...given, control };
      return run(() => signing.certify(name, digest, retirement, probed));
    };
    return {
      straight: () => vault.destroy({ release: release.release, evidence, revocation }),
      ...{ erase, served, probeGateways, certify, retirement, evidence: { ...evidence, revocation } },
      bySigning: async () => certify(await erase()),
    };
  }

  async function objects(): Promise<{ key: string; hold: boolean; until: number; versionId: string | null }[]> {
    const found = [];
    for await (const key of records.bucket.list(''))
      for (const { versionId } of await records.bucket.versions(key)) {
        const head = await records.bucket.head(key, versionId);
        if (head === null) continue;
        found.push({ key, versionId, hold: head.legalHold, until: Date.parse(head.lock?.retainUntil ?? '') });
      }
    return found;
  }

  /** Answers the vault as it was at this moment, for whenever it is restored. */
  async function backUp() {
    const folder = `${state}-backup`;
    // This process has both vaults, and is the owner of the first one only.
    await cp(state, folder, { recursive: true, filter: (path) => basename(path) !== 'lock' });
    return async () => {
      const vault = clientOf(await openVault({ state: folder, root: world.root, log: logVerifier }, openKeys));
      return { vault, keeping: createKeeping({ records, vault }) };
    };
  }

  const stop = async () => {
    for (const folder of [state, `${state}-backup`]) await rm(folder, { recursive: true, force: true });
  };
  return {
    ...{ world, state, store, records, log, audit, woken, vault, control, keeping, signing, desk },
    ...{ put, keep, run, orderOf, place, agree, condemn, objects, backUp, stop },
  };
}

export type Keeping = Awaited<ReturnType<typeof startKeeping>>;

export function inDays(days: number): { readonly retainUntil: string } {
  return { retainUntil: isoTime(Date.now() + days * DAY_MS) };
}
