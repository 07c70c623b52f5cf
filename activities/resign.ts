import { checkForSigning, progressOf, signaturesOf } from '../adapters/dossier.js';
import type { Records } from '../adapters/records.js';
import { authoriseSigning } from '../domain/authorise.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import { resignId, type ReleaseName } from '../domain/names.js';
import { storeKeys } from '../domain/store-keys.js';
import { demand } from '../formats/evidence.js';
import type { SigningKey } from '../formats/keys.js';
import { omsResources } from '../formats/manifest.js';
import { signOms, verifyOms } from '../formats/oms.js';
import type { Desk } from './control.js';
import type { ResignControl, SigningActivities } from './contract.js';
import { admitAsked, demandAsked, demandSigner, type AskedOfSigning } from './person-asks.js';

const asked = (name: ReleaseName): AskedOfSigning => ({
  kind: 'resign',
  workflowId: resignId(name),
  what: 'one more signature',
});

/** Control's part: the request of a person is verified, kept and spent, and what came of it is in the log. */
export function createResignDesk(desk: Desk): Omit<ResignControl, 'refuse'> {
  const { records, journal } = desk;
  return {
    // A new signature can make loadable again what no longer was.
    admitResign: (name, envelope) => admitAsked(desk, name, asked(name), envelope),

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
      await demandAsked(records, asked(name), verified);
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
      await demandSigner(records, key);
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
