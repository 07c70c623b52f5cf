import { z } from 'zod';
import type { Authority, OidcIdentity } from '../domain/policy.js';

/** What the policy says elsewhere, or what differs from token to token. */
const NOT_PINNED = ['iss', 'aud', 'exp', 'nbf', 'iat', 'jti'];

const text = z.string().min(1).max(1024);

/** By which tokens the api knows a workload. */
export const oidcSchema: z.ZodType<OidcIdentity> = z.strictObject({
  issuer: text.refine(isIssuer, 'expected an https URL without query and fragment, as it stands in `iss`'),
  audience: text,
  claims: z
    .record(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.:/-]{0,127}$/, 'not the name of a claim'), text)
    .refine((claims) => Object.keys(claims).length > 0, 'at least one claim, such as `sub`, must be pinned')
    .refine((claims) => Object.keys(claims).length <= 16, 'at most 16 claims are pinned')
    .refine((claims) => NOT_PINNED.every((name) => !Object.hasOwn(claims, name)), {
      message: `${NOT_PINNED.join(', ')} cannot be pinned`,
    }),
});

/** A URL that tokens and keys may come from: https, or on this very host, where nobody listens in. */
export function isTrustworthyUrl(url: URL): boolean {
  const isLoopback = ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname);
  return (
    (url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback)) &&
    url.username === '' &&
    url.password === ''
  );
}

function isIssuer(issuer: string): boolean {
  if (!URL.canParse(issuer) || /[?#\s\\]/.test(issuer)) return false;
  return isTrustworthyUrl(new URL(issuer));
}

interface Problem {
  readonly message: string;
  /** From the authorities on. */
  readonly at: readonly (string | number)[];
}

/** What is wrong about those who are known by tokens, and those who check them. */
export function oidcProblems(authorities: readonly Authority[]): readonly Problem[] {
  const problems: Problem[] = [];
  const known: (OidcIdentity & { readonly id: string })[] = [];
  const hasApi = authorities.some(({ roles }) => roles.includes('api'));
  authorities.forEach(({ id, kind, roles, oidc }, index) => {
    if (roles.includes('api') && roles.length > 1)
      problems.push({ message: 'whoever signs for others has no other role than `api`', at: [index, 'roles'] });
    if (oidc === undefined) return;
    const wrong = (message: string): number => problems.push({ message, at: [index, 'oidc'] });
    if (kind !== 'workload' || !roles.includes('requester'))
      wrong('a token can only ask: it is for a workload with the role requester');
    if (!hasApi) wrong('nobody holds the role `api`: no token would be checked');
    const other = known.find((before) => couldBeBoth(before, oidc));
    if (other !== undefined) wrong(`a token of ${other.id} could be its own: pin a claim in which they differ`);
    known.push({ id, ...oidc });
  });
  return problems;
}

function couldBeBoth(a: OidcIdentity, b: OidcIdentity): boolean {
  if (a.issuer !== b.issuer || a.audience !== b.audience) return false;
  return !Object.entries(a.claims).some(([name, value]) => Object.hasOwn(b.claims, name) && b.claims[name] !== value);
}
