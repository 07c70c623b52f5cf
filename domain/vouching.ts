import { findAuthority, holdsRole, type OidcIdentity, type Policy } from './policy.js';
import type { RequestPredicate, Verified, VouchedIdentity } from './statements.js';

/** The rules of a request and the newest ones: what was revoked since counts. */
interface BothPolicies {
  readonly gate: Policy;
  readonly newest: Policy;
}

/**
 * Whether its requester has signed it, or the api for one that is known by its tokens; and nobody else: a second signer would
 * have asked, too, without being the one.
 */
export function isAskedBy(policies: BothPolicies, request: Verified<RequestPredicate>, requester: string): boolean {
  const [signer, ...others] = request.signers;
  if (signer === undefined || others.length > 0) return false;
  if (signer === requester) return request.predicate.identity === undefined;
  return holdsRole(policies.gate, policies.newest, signer, 'api') && mayBeVouchedFor(policies, request, requester);
}

/** Whether it has the right to ask, then and now, whoever has signed for it. */
export function mayAskFor({ gate, newest }: BothPolicies, requester: string): boolean {
  return holdsRole(gate, newest, requester, 'requester');
}

/** The api vouches for nobody but a workload whose tokens the policy describes, then and now, and for nothing but a start. */
function mayBeVouchedFor(
  { gate, newest }: BothPolicies,
  { predicate: { action, identity } }: Verified<RequestPredicate>,
  requester: string,
): boolean {
  if (identity === undefined || (action.kind !== 'release' && action.kind !== 'train')) return false;
  return [gate, newest].every((policy) => {
    const oidc = findAuthority(policy, requester)?.oidc;
    return oidc !== undefined && isIdentity(oidc, identity);
  });
}

/** Whether what a token said is what the policy pins: issuer, audience and every claim. */
export function isIdentity(
  { issuer, audience, claims }: OidcIdentity,
  said: Pick<VouchedIdentity, 'issuer' | 'audience' | 'claims'>,
): boolean {
  if (said.issuer !== issuer || said.audience !== audience) return false;
  return Object.entries(claims).every(
    ([name, value]) => Object.hasOwn(said.claims, name) && said.claims[name] === value,
  );
}
