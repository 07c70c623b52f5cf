import { comesRightly } from '../../../domain/promotion.js';
import { rulesFor } from '../../../formats/evidence.js';
import { fails, holds, noEvidence, type Facts, type Finding } from '../facts.js';

/** Where it comes from, by the rules that its deployment was asked for under. That nothing else crosses over is no release's to show. */
export function promoted({ name, release, progress, documents, policies, now }: Facts): Finding {
  const asked = progress.approved?.request ?? progress.gate?.request;
  const request = asked === undefined ? null : documents.stated('request', asked);
  if (request === null || release === null) return noEvidence('nobody has been asked to deploy it');
  const rules = rulesFor(policies, request, now);
  const { promotion } = rules.gate;
  if (promotion === undefined)
    return noEvidence('its policy lets releases in as they are: nothing shows that it comes from another environment');
  const named = request.predicate.evidence['promotion'];
  const summary = named === undefined ? null : documents.stated('verificationSummary', named);
  const basis = {
    checked: `the verification summary of environment ${promotion.from}: its signature and the role verifier, that it is about this release, PASSED, and its age`,
    documents: documents.among(request.digest, named),
  };
  const permission = comesRightly({ ...name, release, at: request.predicate.issuedAt }, rules, summary);
  if (!permission.allowed) return fails(`${permission.code}: ${permission.reason}`, basis);
  const by = `verified in ${promotion.from} at ${summary?.predicate.timeVerified ?? ''}, by ${summary?.signers.join(' and ') ?? ''}`;
  return holds(
    `${by}; \`custody doctor --isolation\` shows that credentials of one environment count in no other`,
    basis,
  );
}
