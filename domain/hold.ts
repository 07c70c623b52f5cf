import { denied, personAsks, quorumReached, signedInRole, type Permission, type Rules } from './authorise.js';
import type { Digest } from './digest.js';
import { liftId, type ReleaseName } from './names.js';
import { isToCome } from './permission.js';
import type { Policy, Quorum } from './policy.js';
import type { ApprovalPredicate, RequestPredicate, Verified } from './statements.js';

/** One person's order that nothing of a release may be erased. Subject: the release. Expiry bounds its acceptance, never its effect. */
export interface HoldPredicate {
  readonly environment: string;
  readonly model: string;
  readonly version: string;
  readonly nonce: string;
  readonly reason: string;
  readonly issuedAt: string;
  readonly expiresAt: string;
}

export interface HeldRelease extends ReleaseName {
  readonly release: Digest;
}

/** What ends holds, every signature checked. */
export interface VerifiedLift extends HeldRelease {
  readonly request: Verified<RequestPredicate>;
  readonly approvals: readonly Verified<ApprovalPredicate>[];
}

/** Who may put a release on hold: it keeps, and takes nothing from anybody, so that one person is enough. */
const MAY_HOLD = ['operator', 'security-authority'] as const;

/** Whoever agrees that a hold ends: those who agree that an endpoint is restored. */
export function liftQuorum({ approvals }: Policy): Quorum {
  return approvals.restore;
}

/** Before a release is held: by this one order, of one person who may give it, about this very release. */
export function authoriseHold(about: HeldRelease, hold: Verified<HoldPredicate>, rules: Rules): Permission {
  const { environment, model, version, issuedAt } = hold.predicate;
  if (environment !== rules.environment) return denied('REPLAYED', `the hold is for environment ${environment}`);
  if (hold.subject !== about.release || model !== about.model || version !== about.version)
    return denied('REPLAYED', `the hold is about ${model} ${version}, or other bytes of it`);
  if (!MAY_HOLD.some((role) => signedInRole(rules, hold, role)))
    return denied('NOT_AUTHORISED', `${hold.signers.join(', ')} may not hold releases: ${MAY_HOLD.join(' or ')} may`);
  if (isToCome(issuedAt, rules.now))
    return denied('EXPIRED', `the hold says it was made at ${issuedAt}, which is to come`);
  return { allowed: true, approvers: hold.signers };
}

/** Before holds end: asked by a person, agreed to by a quorum, about this release. It ends those that the request names. */
export function authoriseLift(lift: VerifiedLift, rules: Rules): Permission {
  const { request, release } = lift;
  const asked = request.predicate;
  const admissible = personAsks(rules, request, 'lift', liftId(lift));
  if (!admissible.allowed) return admissible;
  if (asked.release !== release || asked.model !== lift.model || asked.version !== lift.version)
    return denied('REPLAYED', 'the request is about another release');
  return quorumReached(rules, request, lift.approvals, liftQuorum(rules.gate));
}

/** The holds that a request is to end. */
export function namedHolds({ action }: RequestPredicate): readonly Digest[] {
  return action.kind === 'lift' ? action.holds : [];
}
