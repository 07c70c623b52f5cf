import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { CertificateEvidence, RetirementEvidence } from '../domain/evidence.js';
import type { HeldRelease } from '../domain/hold.js';
import type { Retirement } from '../domain/lifecycle.js';
import type { ReleaseName } from '../domain/names.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { gatherRetirement, progressOf } from './dossier.js';
import type { Records } from './records.js';

/** The certificate that a release was erased; `null`: there is none. */
export async function certificateOf(records: Records, name: ReleaseName): Promise<Digest | null> {
  const done = (await records.record(storeKeys.record(name, 'destruction'))) as { certificate: Digest } | null;
  return done?.certificate ?? null;
}

/** What the erasure of a release rests on: its retirement, and its revocation. */
export async function gatherErasure(
  records: Records,
  about: HeldRelease,
  retirement: Retirement,
): Promise<{ readonly evidence: RetirementEvidence; readonly revocation: SignedEnvelope }> {
  const [evidence, revocation] = await Promise.all([
    gatherRetirement(records, about, retirement),
    records.find('revocation', storeKeys.revocation(about.release)),
  ]);
  if (revocation === null)
    throw new CustodyError('WORM_VIOLATED', `the revocation of ${about.model}@${about.version} is gone from the store`);
  return { evidence, revocation: revocation.envelope };
}

/** The certificate of a retired release, with everything that it rests on. INPUT_MISSING where there is none. */
export async function gatherCertificate(records: Records, name: ReleaseName): Promise<CertificateEvidence> {
  const which = `${name.model}@${name.version}`;
  const { ingested, retirement, outcome } = await progressOf(records, name);
  if (ingested === undefined || retirement === undefined || outcome?.kind !== 'retired')
    throw new CustodyError('INPUT_MISSING', `${which} has not been retired: there is no certificate`);
  const { release } = ingested;
  const [{ evidence, revocation }, certificate] = await Promise.all([
    gatherErasure(records, { ...name, release }, retirement),
    records.get('destruction', outcome.certificate),
  ]);
  const { probed } = certificate.verified.predicate;
  const probes = await Promise.all(probed.map(({ statement }) => records.get('probe', statement)));
  return {
    ...evidence,
    revocation,
    certificate: certificate.envelope,
    probes: probes.map(({ envelope }) => envelope),
  };
}
