import { CustodyError } from '../domain/errors.js';
import type { CertificateEvidence } from '../domain/evidence.js';
import type { ReleaseName } from '../domain/names.js';
import { storeKeys } from '../domain/store-keys.js';
import { gatherRetirement, progressOf } from './dossier.js';
import type { Records } from './records.js';

/** The certificate of a retired release, with everything that it rests on. INPUT_MISSING where there is none. */
export async function gatherCertificate(records: Records, name: ReleaseName): Promise<CertificateEvidence> {
  const which = `${name.model}@${name.version}`;
  const { ingested, retirement, outcome } = await progressOf(records, name);
  if (ingested === undefined || retirement === undefined || outcome?.kind !== 'retired')
    throw new CustodyError('INPUT_MISSING', `${which} has not been retired: there is no certificate`);
  const { release } = ingested;
  const [evidence, revocation, certificate] = await Promise.all([
    gatherRetirement(records, { ...name, release }, retirement),
    records.find('revocation', storeKeys.revocation(release)),
    records.get('destruction', outcome.certificate),
  ]);
  if (revocation === null) throw new CustodyError('WORM_VIOLATED', `the revocation of ${which} is gone from the store`);
  const { probed } = certificate.verified.predicate;
  const probes = await Promise.all(probed.map(({ statement }) => records.get('probe', statement)));
  return {
    ...evidence,
    revocation: revocation.envelope,
    certificate: certificate.envelope,
    probes: probes.map(({ envelope }) => envelope),
  };
}
