import { decodeJwt, decodeProtectedHeader, errors, jwtVerify, type JWTPayload } from 'jose';
import { CustodyError } from '../domain/errors.js';
import type { Authority, OidcIdentity, Policy } from '../domain/policy.js';
import type { VouchedIdentity } from '../domain/statements.js';
import { isIdentity } from '../domain/vouching.js';
import { sha256 } from '../formats/sha256.js';
import type { Issuers } from './issuers.js';

/** Signatures of a key pair alone: neither `none` nor a secret that both sides know. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'EdDSA', 'Ed25519'];
export const MAX_TOKEN_BYTES = 8 * 1024;
const MAX_SKEW_SECONDS = 30;
/** A token may ask more than once, so that a call can be made again; but not for longer than this after it was issued. */
const MAX_AGE_SECONDS = 3600;

export interface Known {
  readonly requester: string;
  readonly identity: VouchedIdentity;
}

/** What is wrong with a token; never the token, nor what it says. */
export class TokenRefused extends CustodyError {
  constructor(problem: string) {
    super('SIGNATURE_INVALID', `the token is refused: ${problem}`);
    this.name = 'TokenRefused';
  }
}

/**
 * Whose token this is, by the policy. TokenRefused: it is not a genuine, current token of an issuer and audience that the
 * policy names. NOT_AUTHORISED: it is, but the claims that the policy pins say something else. ISSUER_UNAVAILABLE.
 */
export async function whoseToken(token: string, policy: Policy, issuers: Issuers): Promise<Known> {
  if (token.length > MAX_TOKEN_BYTES) throw new TokenRefused(`it is longer than ${MAX_TOKEN_BYTES} bytes`);
  const known = policy.authorities.flatMap(({ id, oidc }) => (oidc === undefined ? [] : [{ id, oidc }]));
  const issuer = issuerOf(token);
  issuers.keepOnly(new Set(known.map(({ oidc }) => oidc.issuer)));
  // Nobody makes us ask an address that the policy does not name.
  const candidates = known.filter(({ oidc }) => oidc.issuer === issuer);
  if (issuer === undefined || candidates.length === 0) throw new TokenRefused('the policy does not name its issuer');
  const payload = await verified(token, issuer, candidates, issuers);
  const matching = candidates.flatMap(({ id, oidc }) => {
    const identity = identityOf(token, payload, oidc);
    return isIdentity(oidc, identity) ? [{ requester: id, identity }] : [];
  });
  const [match, ...others] = matching;
  if (match === undefined)
    throw new CustodyError('NOT_AUTHORISED', 'the token is genuine, but its claims are not those that the policy pins');
  if (others.length > 0)
    throw new CustodyError(
      'NOT_AUTHORISED',
      'the token is genuine, but could be more than one authority of the policy',
    );
  return match;
}

function issuerOf(token: string): string | undefined {
  try {
    const { alg } = decodeProtectedHeader(token);
    if (alg === undefined || !ALGORITHMS.includes(alg)) throw new TokenRefused('its algorithm is not accepted');
    return decodeJwt(token).iss;
  } catch (error) {
    throw error instanceof TokenRefused ? error : new TokenRefused('it is not a JSON Web Token');
  }
}

async function verified(
  token: string,
  issuer: string,
  candidates: readonly { readonly oidc: NonNullable<Authority['oidc']> }[],
  issuers: Issuers,
): Promise<JWTPayload> {
  try {
    const { payload } = await jwtVerify(token, issuers.keysOf(issuer), {
      algorithms: ALGORITHMS,
      issuer,
      audience: candidates.map(({ oidc }) => oidc.audience),
      requiredClaims: ['sub', 'exp', 'iat'],
      clockTolerance: MAX_SKEW_SECONDS,
      maxTokenAge: MAX_AGE_SECONDS,
    });
    return payload;
  } catch (error) {
    if (error instanceof CustodyError) throw error;
    throw new TokenRefused(problemOf(error));
  }
}

/** In words of our own: the library's errors carry what the token says. */
function problemOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'it has expired';
  if (error instanceof errors.JWTClaimValidationFailed) return `its claim ${error.claim} is not acceptable`;
  if (error instanceof errors.JWKSNoMatchingKey) return 'its issuer has no such key';
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'its signature is not good';
  return 'it cannot be verified';
}

function identityOf(token: string, payload: JWTPayload, { audience, claims }: OidcIdentity): VouchedIdentity {
  const said = Object.keys(claims).flatMap((name): [string, string][] => {
    const value = Object.hasOwn(payload, name) ? payload[name] : undefined;
    return typeof value === 'string' ? [[name, value]] : [];
  });
  const audiences = [payload.aud ?? []].flat();
  return {
    issuer: payload.iss ?? '',
    subject: payload.sub ?? '',
    audience: audiences.includes(audience) ? audience : '',
    claims: Object.fromEntries(said),
    token: sha256(token),
  };
}
