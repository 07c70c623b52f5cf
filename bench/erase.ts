import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createErasing } from '../activities/erase.js';
import { inParts } from '../adapters/in-parts.js';
import { tryCiphertext } from '../adapters/probes.js';
import { Records } from '../adapters/records.js';
import { developmentPolicy } from '../client/init.js';
import { decide, requestRetirement, type Signer } from '../client/requests.js';
import type { Manifest } from '../domain/manifest.js';
import { lifecycleId } from '../domain/names.js';
import type { Authority } from '../domain/policy.js';
import type { PredicateName, PredicateOf, SignedEnvelope } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime } from '../domain/time.js';
import { envelopeDigest } from '../formats/dsse.js';
import { canonicalBytes } from '../formats/jcs.js';
import { generateKey, importPrivateKey, type SigningKey } from '../formats/keys.js';
import { policyDigest, signPolicy } from '../formats/policy.js';
import { sha256 } from '../formats/sha256.js';
import { encodeVerifierKey, parseVerifierKeys } from '../formats/signed-note.js';
import { signStatement } from '../formats/statements.js';
import { claim, stored } from '../vault/create.js';
import { destroy, probe } from '../vault/destroy.js';
import { openVault } from '../vault/vault.js';
import { median, round, say, seconds } from './measure.js';
import { startBenchStore } from './store.js';

/**
 * Seconds that it takes to erase a release of so many blobs: its keys destroyed, each asked for afterwards, the ciphertext looked
 * at by every zone, and the certificate signed. Vault and store are real ones, on the disk of this machine. What the zones try
 * besides is the same for any release, and not in it.
 * Usage: erase [blobs] [times]
 */
const blobs = Number(process.argv[2] ?? 10_000);
const times = Number(process.argv[3] ?? 3);
const ENVIRONMENT = 'bench';
const NAME = { model: 'digits', version: '1.0.0' };
const LOG = encodeVerifierKey('bench', importPrivateKey(generateKey('ed25519').privatePem));

const folder = mkdtempSync(join(tmpdir(), 'custody-bench-'));
const store = await startBenchStore(join(folder, 'store'));
try {
  const took: Record<'destroyed' | 'certified', number>[] = [];
  for (let time = 0; time < times; time += 1) took.push(await erase(join(folder, String(time))));
  const of = (what: 'destroyed' | 'certified'): number => median(took.map((each) => each[what]));
  const total = round(of('destroyed') + of('certified'));
  say({ blobs, times, seconds: { destroyed: of('destroyed'), certified: of('certified'), total }, goal: 60 });
} finally {
  await store.stop();
  rmSync(folder, { recursive: true, force: true });
}

async function erase(state: string): Promise<Record<'destroyed' | 'certified', number>> {
  const newKey = (): SigningKey => importPrivateKey(generateKey('ed25519').privatePem);
  const ids = ['root', 'rita', 'alice', 'bob', 'sam', 'olga', 'otto', 'rex', 'release-signer', 'control', 'serving'];
  const keys = Object.fromEntries(ids.map((id) => [id, newKey()])) as Record<string, SigningKey>;
  const roles: Record<string, Authority['roles']> = {
    ...{ root: ['root'], rita: ['requester'], alice: ['release-approver'], bob: ['release-approver'] },
    ...{ sam: ['security-authority', 'override-authority'], olga: ['operator'], otto: ['operator'], rex: ['reviewer'] },
    ...{ 'release-signer': ['release-signer'], control: ['control'], serving: ['serving'] },
  };
  const keyOf = (id: string): SigningKey => keys[id] ?? newKey();
  const authorities = ids.map((id): Authority => {
    const isWorkload = ['release-signer', 'control', 'serving'].includes(id);
    return { id, kind: isWorkload ? 'workload' : 'person', roles: roles[id] ?? [], keys: [{ pem: keyOf(id).pem }] };
  });
  const suites = [{ suite: 'bench', version: '1.0.0', sha256: sha256('the suite'), minimumCases: 20 }];
  const policy = developmentPolicy(ENVIRONMENT, authorities, suites);
  const root = { environment: ENVIRONMENT, rootKeys: [keyOf('root').pem], threshold: 1 };
  const records = new Records(await store.newBucket(), root);
  const vault = await openVault({ state, root, log: parseVerifierKeys(LOG) });

  const put = (key: string, bytes: Buffer) =>
    records.bucket.createOnce(key, bytes, { retainUntil: isoTime(Date.now() + 86_400_000) });
  await put(storeKeys.policy(1), canonicalBytes(signPolicy(policy, [keyOf('root')])));
  const manifest: Manifest = {
    ...{ schema: 'https://custody.dev/manifest/v1', ...NAME },
    files: Array.from({ length: blobs }, (_, at) => ({
      path: `weights/part-${String(at).padStart(6, '0')}.safetensors`,
      size: 16,
      sha256: sha256(`part ${at}`),
    })),
    components: [],
    serving: { protocol: 'open-inference-v2', command: ['serve'] },
  };
  const text = canonicalBytes({
    ...manifest,
    components: [{ name: 'weights', kind: 'weights', version: '1.0.0', files: manifest.files.map(({ path }) => path) }],
  });
  const release = sha256(text);
  await put(storeKeys.manifest(release), text);
  await inParts(manifest.files, async ({ sha256: file, size }) => {
    const claimed = await claim(vault, { sha256: file, size, release });
    const { versionId } = await put(storeKeys.blob(claimed.blob), Buffer.from(file));
    await stored(vault, {
      sha256: file,
      blob: claimed.blob,
      versionId: versionId ?? '',
      ciphertext: file,
      ciphertextSize: 64,
    });
  });

  const ago = (secondsAgo: number): string => isoTime(Date.now() - secondsAgo * 1000);
  const signer = (id: string): Signer => ({
    key: keyOf(id),
    id,
    environment: ENVIRONMENT,
    policy: policyDigest(policy),
  });
  const { noticeSeconds } = policy.retirement;
  const asked = requestRetirement(signer('rita'), NAME, { release, reason: 'replaced', noticeSeconds }, 3600);
  const request = (await records.verify('request', asked)).verified;
  await records.keep(asked, storeKeys.request(request.digest));
  const approvals = ['alice', 'bob'].map((by) => decide(signer(by), request, 'approve', ''));
  const agreed = await Promise.all(approvals.map((approval) => records.keep(approval)));
  const subject = { name: lifecycleId(NAME), sha256: release };
  const sign = <K extends PredicateName>(kind: K, said: PredicateOf[K], by: string): SignedEnvelope =>
    signStatement(kind, subject, said, [keyOf(by)]);
  // As if the notice period had passed.
  const told = { environment: ENVIRONMENT, ...NAME, consumers: [], request: request.digest };
  const notice = await records.keep(
    sign('notice', { ...told, retiresAt: isoTime(Date.now()), issuedAt: isoTime(Date.now()) }, 'control'),
  );
  const retirement = { request: request.digest, approvals: agreed, notice, retiresAt: isoTime(Date.now()) };
  const later = Date.now() + (noticeSeconds + 1) * 1000;
  const now = Date.now.bind(Date);
  const startedAt = now();
  Date.now = () => later + now() - startedAt;
  try {
    const key = keyOf('release-signer');
    const asVault = {
      destroy: (what: Parameters<typeof destroy>[1]) => destroy(vault, what),
      probe: (blob: string) => probe(vault, { blob }),
    };
    const { revokeRelease, destroyKeys, certify } = createErasing({ records, key, vault: asVault });
    const revocation = await revokeRelease(NAME, release, retirement);
    let signing = '';
    const destroyed = await seconds(async () => {
      signing = await destroyKeys(NAME, release, retirement, revocation);
    });
    const certified = await seconds(async () => {
      const { blobs: gone } = (await records.get('probe', signing)).verified.predicate;
      const tried = [await tryCiphertext(records.bucket, gone)];
      const said = { environment: ENVIRONMENT, ...NAME, request: request.digest, blobs: gone, issuedAt: ago(0) };
      const refused = { path: 'digits 1.0.0', refused: true, answer: 'ERASED' } as const;
      const kinds = ['loader', 'vault open', 'copy', 'port'] as const;
      const serving = sign(
        'probe',
        { ...said, zone: 'serving', probes: [...kinds.map((kind) => ({ kind, ...refused })), ...tried] },
        'serving',
      );
      const gateways = [{ kind: 'gateway', ...refused } as const, ...tried];
      const control = await records.keep(sign('probe', { ...said, zone: 'control', probes: gateways }, 'control'));
      const certificate = await certify(NAME, release, retirement, { signing, serving, control });
      if (envelopeDigest((await records.get('destruction', certificate)).envelope) !== certificate)
        throw new Error('there is no certificate');
    });
    return { destroyed, certified };
  } finally {
    Date.now = now;
  }
}
