import { certificateOf } from '../adapters/certificate.js';
import { gatherRetirement } from '../adapters/dossier.js';
import { openHolds } from '../adapters/holds.js';
import { inParts } from '../adapters/in-parts.js';
import { erasedBy, signProbes, tryCiphertext } from '../adapters/probes.js';
import type { Found } from '../adapters/records.js';
import { residualOf } from '../adapters/residual.js';
import { authoriseDestruction } from '../domain/authorise-retirement.js';
import type { Digest } from '../domain/digest.js';
import type { DestructionPredicate } from '../domain/ending-predicates.js';
import { CustodyError } from '../domain/errors.js';
import type { Retirement } from '../domain/lifecycle.js';
import { lifecycleId, type ReleaseName } from '../domain/names.js';
import { probesHold } from '../domain/probes.js';
import type { ProbePredicate, RevocationPredicate } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime } from '../domain/time.js';
import { demand, verifyRetirement } from '../formats/evidence.js';
import { signStatement } from '../formats/statements.js';
import type { SigningActivities } from './contract.js';
import { keepRevocation } from './revoke.js';
import type { SigningDeps } from './sign.js';

/** The end of a release: revoked, its keys destroyed, and certified once every zone has tried to get at it and could not. */
export function createErasing({
  records,
  key,
  vault,
}: SigningDeps): Pick<SigningActivities, 'revokeRelease' | 'destroyKeys' | 'certify'> {
  return {
    revokeRelease: async (name, release, retirement) => {
      const kept = await records.find('revocation', storeKeys.revocation(release));
      if (kept !== null) return kept.verified.digest;
      const { request } = await destructionAllowed(name, release, retirement);
      const { action } = request.predicate;
      const reason = action.kind === 'retire' ? action.reason : '';
      return keepRevocation({ records, key }, { name, release, reason, ground: request.digest });
    },

    destroyKeys: async (name, release, retirement, revocation) => {
      const done = await certificateOf(records, name);
      if (done !== null) return erasureIn((await records.get('destruction', done)).verified.predicate);
      const { evidence, request } = await destructionAllowed(name, release, retirement);
      const [held] = await openHolds(records, { ...name, release });
      if (held !== undefined)
        throw new CustodyError('HELD', `held by ${held.signers.join(' and ')}: ${held.predicate.reason}`);
      const revoked = await revocationOf(release);
      if (revoked.verified.digest !== revocation) throw new CustodyError('PENDING', 'the release has not been revoked');
      const { destroyed } = await vault.destroy({ release, evidence, revocation: revoked.envelope });
      const blobs = [...new Set(destroyed.map(({ blob }) => blob))];
      const keys = await inParts(
        destroyed,
        async ({ path, blob }) => ({ kind: 'vault key', path, ...(await vault.probe(blob)) }) as const,
      );
      const probes = [...keys, await tryCiphertext(records.bucket, blobs)];
      const said = { environment: records.environment, request: request.digest, blobs, probes };
      return records.keep(signProbes(name, release, { ...said, zone: 'signing' }, key));
    },

    certify: async (name, release, retirement, probed) => {
      const done = await certificateOf(records, name);
      if (done !== null) return done;
      const { evidence, request, approvals, approvers, rules } = await destructionAllowed(name, release, retirement);
      const revoked = await revocationOf(release);
      // Decided once: this is the answer of then.
      const { destroyed, kept, destroyedAt } = await vault.destroy({ release, evidence, revocation: revoked.envelope });
      const statements = await probesOf(name, release, probed);
      const erased = { ...{ release, ...name, request: request.digest }, destroyed, destroyedAt };
      const verified = statements.map((each) => each.verified);
      demand(probesHold(verified, erased, rules));
      for (const { envelope } of statements) await records.keep(envelope);
      const predicate: DestructionPredicate = {
        ...{ environment: records.environment, ...name, ...MANNER },
        media: `the data keys of ${destroyed.length} files in the key vault; their ciphertext lies in the bucket ${records.bucket.name}`,
        orderedBy: request.predicate.requester,
        approvedBy: approvers,
        request: request.digest,
        approvals: approvals.map(({ digest }) => digest),
        revocation: revoked.verified.digest,
        destroyed,
        kept,
        probed: verified.map(({ predicate: { zone }, signers, digest }) => ({
          ...{ zone, by: signers.join(' and '), statement: digest },
        })),
        probes: verified.flatMap(({ predicate: { zone, probes } }) => probes.map((probe) => ({ zone, ...probe }))),
        remains: await remainsOf(destroyed.map(({ blob }) => blob)),
        residual: await residualOf(records, name),
        destroyedAt,
      };
      const subject = { name: lifecycleId(name), sha256: release };
      // Of attempts at the same time one signs: no two of its signatures would be alike.
      const signed = await records.recordOnce(
        storeKeys.record(name, 'certificate'),
        signStatement('destruction', subject, predicate, [key]),
      );
      const { envelope, verified: made } = await records.verify('destruction', signed);
      if (made.subject !== release || made.predicate.request !== request.digest)
        throw new CustodyError(
          'WORM_VIOLATED',
          `another certificate is in the place of that of ${name.model} ${name.version}`,
        );
      const certificate = await records.keep(envelope);
      return (await records.recordOnce(storeKeys.record(name, 'destruction'), { certificate })).certificate;
    },
  };

  async function revocationOf(release: Digest): Promise<Found<RevocationPredicate>> {
    const revoked = await records.find('revocation', storeKeys.revocation(release));
    if (revoked === null) throw new CustodyError('PENDING', 'the release has not been revoked');
    return revoked;
  }

  async function destructionAllowed(name: ReleaseName, release: Digest, retirement: Retirement) {
    const evidence = await gatherRetirement(records, { ...name, release }, retirement);
    const checked = verifyRetirement(evidence, records.root, isoTime(Date.now()));
    if (checked.retirement.model !== name.model || checked.retirement.version !== name.version)
      throw new CustodyError('DIGEST_MISMATCH', `${name.model} ${name.version} is not the release ${release}`);
    const approvers = demand(authoriseDestruction(checked.retirement, checked.rules));
    const { request, approvals } = checked.retirement;
    return { evidence, request, approvals, approvers, rules: checked.rules };
  }

  /** What each zone has signed: serving's own comes as it is, since that zone cannot write to the store. */
  async function probesOf(
    name: ReleaseName,
    release: Digest,
    { signing, serving, control }: Parameters<SigningActivities['certify']>[3],
  ): Promise<readonly Found<ProbePredicate>[]> {
    await erasedBy(records, name, release, signing);
    return Promise.all([records.get('probe', signing), records.meet('probe', serving), records.get('probe', control)]);
  }

  /** Ciphertext that nobody can read stays until its lock ends: the certificate names it. */
  async function remainsOf(blobs: readonly string[]): Promise<DestructionPredicate['remains']> {
    const stored = await records.bucket.versionsOf(blobs.map(storeKeys.blob));
    const remains = await inParts([...new Set(blobs)], async (blob) => {
      const [version] = stored.get(storeKeys.blob(blob)) ?? [];
      if (version === undefined) return [];
      const head = await records.bucket.head(storeKeys.blob(blob), version.versionId);
      return [{ blob, size: version.size, until: head?.lock?.retainUntil ?? version.lastModified }];
    });
    return remains.flat();
  }
}

/** In the words of NIST SP 800-88r2. */
const MANNER = {
  standard: 'NIST SP 800-88r2',
  method: 'cryptographic erase',
  sanitization: 'purge',
  cachesMethod: 'overwrite',
  cachesSanitization: 'clear',
  tool: 'custody: AES256-GCM-HKDF-1MB, one random key of 256 bits for each blob, overwritten in the vault and removed',
  verification: 'every path was tried afterwards, by the zone that has it',
} as const;

function erasureIn({ probed }: DestructionPredicate): Digest {
  const own = probed.find(({ zone }) => zone === 'signing');
  if (own === undefined) throw new CustodyError('WORM_VIOLATED', 'the certificate names nobody who has tried its keys');
  return own.statement;
}
