import type { Gone } from '../domain/certificate.js';
import type { CertificateEvidence } from '../domain/evidence.js';
import type { Rules } from '../domain/permission.js';
import { verifyRetirement } from './evidence.js';
import type { PinnedRoot } from './policy.js';
import { keyRing, verifyStatement } from './statements.js';

/** A certificate of destruction, with all that it rests on, every signature checked from the pinned root on. */
export function verifyCertificate(
  evidence: CertificateEvidence,
  root: PinnedRoot,
  now: string,
): { readonly gone: Gone; readonly rules: Rules } {
  const { retirement, manifest, rules } = verifyRetirement(evidence, root, now);
  const ring = keyRing(rules.newest);
  const revocation = verifyStatement(evidence.revocation, 'revocation', ring);
  const certificate = verifyStatement(evidence.certificate, 'destruction', ring);
  const probes = evidence.probes.map((probe) => verifyStatement(probe, 'probe', ring));
  return { gone: { retirement, manifest, revocation, certificate, probes }, rules };
}
