import type { Digest } from './digest.js';
import { lifecycleId, type ReleaseName } from './names.js';
import { denied, isToCome, signedInRole, type Permission, type Rules } from './permission.js';
import type { VerificationSummaryPredicate } from './provisional-predicates.js';
import type { Verified } from './statements.js';

/** From where releases come into an environment. */
export interface PromotionRule {
  /** The environment before. Whoever holds the role `verifier` speaks for it, and for no other. */
  readonly from: string;
  /** How old its verification may be when deployment is asked for. */
  readonly maxAgeSeconds?: number;
}

/** How a summary names who has verified. */
export const verifierId = (environment: string): string => `urn:custody:verifier:${environment}`;

/** What a summary says of a release that passed all that is checked before it is loaded. */
export const MAY_SERVE = 'CUSTODY_MAY_SERVE';

/** Where a release was verified, and when, for people. */
export const sayVerified = ({ verifier, timeVerified }: VerificationSummaryPredicate): string =>
  `${verifier.id} verified it at ${timeVerified}`;

/** The release that is to come in, and when. */
export interface Coming extends ReleaseName {
  readonly release: Digest;
  readonly at: string;
}

/** Whether a release comes from where the policy says, by the summary of that environment's verifier about these very bytes. */
export function comesRightly(
  { release, at, ...name }: Coming,
  rules: Pick<Rules, 'gate' | 'newest'>,
  summary: Verified<VerificationSummaryPredicate> | null,
): Permission {
  const rule = rules.gate.promotion;
  if (rule === undefined)
    return summary === null
      ? { allowed: true, approvers: [] }
      : denied('POLICY_REFUSED', 'the policy takes releases over from no other environment: ask without a summary');
  if (summary === null)
    return denied('POLICY_REFUSED', `a release comes in only with a verification summary of environment ${rule.from}`);
  const { verifier, timeVerified, resourceUri, verificationResult, verifiedLevels } = summary.predicate;
  if (summary.subject !== release || resourceUri !== lifecycleId(name))
    return denied('REPLAYED', `the verification summary is about another release (${resourceUri})`);
  if (!signedInRole(rules, summary, 'verifier'))
    return denied('NOT_AUTHORISED', `${summary.signers.join(', ')} may not verify for another environment`);
  if (verifier.id !== verifierId(rule.from))
    return denied('REPLAYED', `the verification summary is by ${verifier.id}, not of environment ${rule.from}`);
  if (verificationResult !== 'PASSED' || !verifiedLevels.includes(MAY_SERVE) || verifiedLevels.includes('FAILED'))
    return denied('POLICY_REFUSED', `environment ${rule.from} has not found that the release may serve`);
  if (isToCome(timeVerified, at))
    return denied('EXPIRED', `the verification summary says it was made at ${timeVerified}, which is to come`);
  const { maxAgeSeconds = Infinity } = rule;
  return Date.parse(at) - Date.parse(timeVerified) <= maxAgeSeconds * 1000
    ? { allowed: true, approvers: [] }
    : denied('EXPIRED', `the verification of ${timeVerified} is older than ${maxAgeSeconds} s: have it made anew`);
}
