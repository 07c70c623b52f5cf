import type { X509Certificate } from 'node:crypto';
import { mayDeclare, type ConsumerPredicate, type Declared } from '../domain/consumers.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import type { Policy } from '../domain/policy.js';
import type { SignedEnvelope, Verified } from '../domain/statements.js';
import { parseEnvelope } from './dsse.js';
import type { Policies } from './evidence.js';
import { canonicalBytes } from './jcs.js';
import { sha256 } from './sha256.js';
import { keyRing, verifyStatement } from './statements.js';

export interface Declaration extends Declared {
  readonly envelope: SignedEnvelope;
  readonly verified: Verified<ConsumerPredicate>;
}

/**
 * Reads what somebody who may declare it has signed of a consumer: by the newest policy, or by one before it, and then it
 * counts no more but still says which number was taken. The refusal of the newest policy for everything else.
 */
export function readDeclaration(
  input: unknown,
  { newest, chain }: Policies,
  seenAt: string | null = null,
): Declaration {
  const envelope = parseEnvelope(input);
  const under = (policy: Policy): Verified<ConsumerPredicate> => {
    const verified = verifyStatement(envelope, 'consumer', keyRing(policy), seenAt);
    if (mayDeclare(policy, verified.signers, verified.predicate, null)) return verified;
    throw new CustodyError(
      'NOT_AUTHORISED',
      `${verified.signers.join(', ')} may not speak for ${verified.predicate.consumer}: its owner or an operator may`,
    );
  };
  const declared = (verified: Verified<ConsumerPredicate>, counts: boolean): Declaration => ({
    envelope,
    verified,
    digest: verified.digest,
    predicate: verified.predicate,
    counts,
  });
  try {
    return declared(under(newest), true);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    for (const policy of chain.slice(0, -1).reverse())
      try {
        return declared(under(policy), false);
      } catch (older) {
        if (!isRefusal(older)) throw older;
      }
    throw error;
  }
}

function isRefusal(error: unknown): boolean {
  return error instanceof CustodyError && isPermanent(error.code);
}

/** What a certificate says of who holds its key. */
export interface Holder {
  /** SHA-256 of the public key (SPKI, DER). */
  readonly spki: string;
  readonly subject: string;
}

export function holderOf(certificate: X509Certificate): Holder {
  const spki = sha256(certificate.publicKey.export({ type: 'spki', format: 'der' }));
  return { spki, subject: subjectOf(certificate) };
}

/** `C=DE, O=Acme, CN=checkout`: in the certificate's order. What separates is escaped within (RFC 2253), so none reads as two. */
function subjectOf({ subject }: X509Certificate): string {
  return (subject ?? '').split('\n').join(', ');
}

/** One digest for the newest statement of each consumer: who has the same one lacks nothing. */
export function consumersDigest(declared: readonly Declared[]): Digest {
  const newest = declared.map(({ digest, predicate }) => [predicate.consumer, predicate.sequence, digest] as const);
  return sha256(canonicalBytes(newest));
}
