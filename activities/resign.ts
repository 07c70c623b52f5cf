import { checkForSigning, progressOf, signaturesOf } from '../adapters/dossier.js';
import type { Records } from '../adapters/records.js';
import { authoriseSigning, personAsks, type Rules } from '../domain/authorise.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import { resignId, type ReleaseName } from '../domain/names.js';
import type { RequestPredicate, Verified } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime, outsideValidity } from '../domain/time.js';
import { demand, rulesFor } from '../formats/evidence.js';
import type { SigningKey } from '../formats/keys.js';
import { omsResources } from '../formats/manifest.js';
import { signOms, verifyOms } from '../formats/oms.js';
import { keysOfRole } from '../formats/statements.js';
import type { Desk } from './control.js';
import type { ResignControl, SigningActivities } from './contract.js';

/** Control's part: the request of a person is verified, kept and spent, and what came of it is in the log. */
export function createResignDesk({ records, journal }: Desk): Omit<ResignControl, 'refuse'> {
  return {
    admitResign: (name, envelope) =>
      journal.refusing({ name: 'resign', envelope, subject: { ...name, release: null } }, async () => {
        const { envelope: request, verified } = await records.receive('request', envelope);
        await demandAsked(records, name, verified);
        await records.keep(request, storeKeys.request(verified.digest));
        const { nonce, requester, release, policy } = verified.predicate;
        await records.spend(nonce, { statement: verified.digest, request: verified.digest });
        // A new signature can make loadable again what no longer was.
        await journal.note({
          change: 'decision.accepted',
          key: verified.digest,
          actor: { id: requester, statement: verified.digest },
          subject: { ...name, release },
          after: verified.digest,
          policy,
          reason: `${requester} asks for one more signature`,
        });
        return verified.digest;
      }),

    recordResigned: async (name, digest, { release, signature, already }) => {
      const { verified } = await records.get('request', digest);
      await journal.note({
        change: 'release.resigned',
        key: digest,
        actor: { id: verified.predicate.requester, statement: digest },
        subject: { ...name, release },
        after: signature,
        policy: verified.predicate.policy,
        reason: already ? 'the key of today had signed it before' : 'signed once more, by the key of today',
      });
    },
  };
}

/** The signing zone's part. Whoever asks, nothing is signed that people have not approved: all evidence is checked again. */
export function createResigning({
  records,
  key,
}: {
  readonly records: Records;
  readonly key: SigningKey;
}): Pick<SigningActivities, 'resignRelease'> {
  return {
    resignRelease: async (name, digest) => {
      const { verified } = await records.get('request', digest);
      await demandAsked(records, name, verified);
      const { ingested, signed } = await progressOf(records, name);
      if (ingested === undefined || signed === undefined)
        throw new CustodyError('UNSIGNED', `${name.model} ${name.version} has never been signed: it needs an approval`);
      const { release } = ingested;
      if (verified.predicate.release !== release)
        throw new CustodyError('REPLAYED', `the request is about another release than ${name.model} ${name.version}`);
      if ((await records.bucket.read(storeKeys.revocation(release))) !== null)
        throw new CustodyError('REVOKED', 'the release has been revoked: it is not signed again');
      const { release: checked, manifest, rules, evidence } = await checkForSigning(records, name, release);
      demand(authoriseSigning(checked, rules));
      if (!keysOfRole(rules.newest, 'release-signer').some((held) => held.key.keyId === key.keyId))
        throw new CustodyError(
          'NOT_AUTHORISED',
          'the key of this signing zone is no release signer in the policy: apply one that lists it first',
        );
      const resources = omsResources(manifest, Buffer.from(evidence.manifest, 'utf8'));
      for (const signature of await signaturesOf(records, name, signed))
        if (await isOurs(signature, resources)) return { release, signature, already: true };
      const signature = await records.keepBytes(signOms(`${name.model} ${name.version}`, resources, key));
      await records.recordOnce(storeKeys.resigned(name, Date.now(), signature), { request: digest });
      return { release, signature, already: false };
    },
  };

  async function isOurs(signature: Digest, resources: Parameters<typeof verifyOms>[2]): Promise<boolean> {
    try {
      verifyOms(await records.getBytes(signature), [key], resources);
      return true;
    } catch (error) {
      if (error instanceof CustodyError && (isPermanent(error.code) || error.code === 'PENDING')) return false;
      throw error;
    }
  }
}

async function demandAsked(records: Records, name: ReleaseName, request: Verified<RequestPredicate>): Promise<void> {
  const now = isoTime(Date.now());
  const rules: Rules = rulesFor(await records.policies(), request, now);
  demand(personAsks(rules, request, 'resign', resignId(name)));
  const outside = outsideValidity(request.predicate, now);
  if (outside !== null) throw new CustodyError('EXPIRED', `the request is ${outside}`);
}
