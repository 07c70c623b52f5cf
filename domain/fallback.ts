import type { Digest } from './digest.js';
import { denied, type Permission } from './permission.js';
import type { Policy } from './policy.js';
import { establishedOf, rollbackTo, weightOf, withdraw, type RouteIntent, type RoutingDocument } from './routing.js';
import type { RequestAction } from './statements.js';

export type Retiring = Pick<Extract<RequestAction, { kind: 'retire' }>, 'fallback'>;

/** Whether the callers of a release that is to end have somewhere to go: where the policy demands it, or the request says so. */
export function mayLeave(
  document: RoutingDocument | null,
  release: Digest,
  { fallback }: Retiring,
  { retirement }: Pick<Policy, 'retirement'>,
): Permission {
  if (fallback !== undefined) return mayFallBack(document, release, fallback);
  const hasCallers = document !== null && weightOf(document, release) > 0;
  return hasCallers && retirement.fallback === 'required'
    ? denied('POLICY_REFUSED', 'its callers would be left with nothing: name the release that they fall back to')
    : { allowed: true, approvers: [] };
}

function mayFallBack(document: RoutingDocument | null, release: Digest, fallback: Digest): Permission {
  const others = establishedOf(document).filter((entry) => entry.release !== release);
  return others.some((entry) => entry.release === fallback)
    ? { allowed: true, approvers: [] }
    : denied('POLICY_REFUSED', 'the fallback is not kept warm, or has never served all callers');
}

/**
 * The document by which a release leaves: callers go where people have agreed that they go, and nowhere else. A refusal where
 * that is not there any more.
 */
export function leaving(
  document: RoutingDocument,
  release: Digest,
  action: Retiring,
  policy: Pick<Policy, 'retirement'>,
): RouteIntent | Extract<Permission, { readonly allowed: false }> {
  const { fallback } = action;
  if (weightOf(document, release) === 0) return withdraw(document, release);
  const may = mayLeave(document, release, action, policy);
  if (!may.allowed) return may;
  if (fallback === undefined) return withdraw(document, release);
  if (document.plan !== null) return { allowed: false, code: 'PENDING', reason: 'a rollout is under way' };
  return rollbackTo(document, fallback);
}
