import { checkForSigning, gatherRetirement } from '../adapters/dossier.js';
import { openHolds } from '../adapters/holds.js';
import type { Records } from '../adapters/records.js';
import type { VaultClient } from '../adapters/vault/client.js';
import { authoriseSigning } from '../domain/authorise.js';
import { authoriseDestruction } from '../domain/authorise-retirement.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { Retirement } from '../domain/lifecycle.js';
import { lifecycleId, type ReleaseName } from '../domain/names.js';
import type { DestructionPredicate } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime } from '../domain/time.js';
import { demand, verifyRetirement } from '../formats/evidence.js';
import type { SigningKey } from '../formats/keys.js';
import { omsResources } from '../formats/manifest.js';
import { signOms } from '../formats/oms.js';
import { signStatement } from '../formats/statements.js';
import type { SigningActivities } from './contract.js';
import type { EmergencySigning } from './emergency-contract.js';
import { createPromoting } from './promote.js';
import { createResigning } from './resign.js';
import { createRevoking } from './revoke.js';

export interface SigningDeps {
  readonly records: Records;
  /** ECDSA: model signatures have no Ed25519 in key mode. */
  readonly key: SigningKey;
  readonly vault: Pick<VaultClient, 'destroy' | 'probe'>;
}

/** Signs and destroys, each only after it has checked for itself that people agreed to it. */
export function createSigningActivities({ records, key, vault }: SigningDeps): SigningActivities & EmergencySigning {
  return {
    ...createRevoking({ records, key }),
    ...createResigning({ records, key }),
    ...createPromoting({ records, key }),

    signRelease: async (name, progress) => {
      const release = progress.ingested?.release;
      if (release === undefined) throw new CustodyError('PENDING', 'the release has not been ingested');
      const { release: checked, manifest, rules, evidence } = await checkForSigning(records, name, release);
      demand(authoriseSigning(checked, rules));
      const signature = signOms(
        `${name.model} ${name.version}`,
        omsResources(manifest, Buffer.from(evidence.manifest, 'utf8')),
        key,
      );
      return { signature: await records.keepBytes(signature) };
    },

    revokeRelease: async (name, release, retirement) => {
      const kept = await records.find('revocation', storeKeys.revocation(release));
      if (kept !== null) return kept.verified.digest;
      const { request } = await destructionAllowed(name, release, retirement);
      const { action } = request.predicate;
      const predicate = {
        environment: records.environment,
        ...name,
        reason: action.kind === 'retire' ? action.reason : '',
        request: request.digest,
        issuedAt: isoTime(Date.now()),
      };
      const subject = { name: lifecycleId(name), sha256: release };
      const envelope = signStatement('revocation', subject, predicate, [key]);
      return records.keep(envelope, storeKeys.revocation(release));
    },

    destroyKeys: async (name, release, retirement, revocation) => {
      const done = (await records.record(storeKeys.record(name, 'destruction'))) as { certificate: Digest } | null;
      if (done !== null) return done.certificate;
      const { evidence, approvals, request } = await destructionAllowed(name, release, retirement);
      const [held] = await openHolds(records, { ...name, release });
      if (held !== undefined)
        throw new CustodyError('HELD', `held by ${held.signers.join(' and ')}: ${held.predicate.reason}`);
      const revoked = await records.find('revocation', storeKeys.revocation(release));
      if (revoked === null || revoked.verified.digest !== revocation)
        throw new CustodyError('PENDING', 'the release has not been revoked');
      const { destroyed, kept, destroyedAt } = await vault.destroy({ release, evidence, revocation: revoked.envelope });
      const predicate: DestructionPredicate = {
        environment: records.environment,
        ...name,
        method: 'cryptographic erase',
        request: request.digest,
        approvals: approvals.map(({ digest }) => digest),
        revocation,
        destroyed,
        kept,
        probes: await Promise.all(
          destroyed.map(async ({ path, blob }) => ({ path: `vault key of ${path}`, ...(await vault.probe(blob)) })),
        ),
        remains: await remainsOf(destroyed.map(({ blob }) => blob)),
        destroyedAt,
      };
      const alive = predicate.probes.find(({ refused }) => !refused);
      if (alive !== undefined) throw new CustodyError('INTERNAL', `the ${alive.path} still answers: ${alive.answer}`);
      const subject = { name: lifecycleId(name), sha256: release };
      const certificate = await records.keep(signStatement('destruction', subject, predicate, [key]));
      return (await records.recordOnce(storeKeys.record(name, 'destruction'), { certificate })).certificate;
    },
  };

  async function destructionAllowed(name: ReleaseName, release: Digest, retirement: Retirement) {
    const evidence = await gatherRetirement(records, { ...name, release }, retirement);
    const checked = verifyRetirement(evidence, records.root, isoTime(Date.now()));
    if (checked.retirement.model !== name.model || checked.retirement.version !== name.version)
      throw new CustodyError('DIGEST_MISMATCH', `${name.model} ${name.version} is not the release ${release}`);
    demand(authoriseDestruction(checked.retirement, checked.rules));
    return { evidence, request: checked.retirement.request, approvals: checked.retirement.approvals };
  }

  /** Ciphertext that nobody can read stays until its lock ends: the certificate names it. */
  async function remainsOf(blobs: readonly string[]): Promise<DestructionPredicate['remains']> {
    const remains: DestructionPredicate['remains'][number][] = [];
    for (const blob of new Set(blobs)) {
      const [version] = await records.bucket.versions(storeKeys.blob(blob));
      if (version === undefined) continue;
      const head = await records.bucket.head(storeKeys.blob(blob), version.versionId);
      remains.push({ blob, size: version.size, until: head?.lock?.retainUntil ?? version.lastModified });
    }
    return remains;
  }
}
