import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { Policy, Role } from '../domain/policy.js';
import { findAuthority } from '../domain/policy.js';
import {
  PREDICATES,
  type PredicateName,
  type PredicateOf,
  type SignedEnvelope,
  type Verified,
} from '../domain/statements.js';
import { MAX_SKEW_MS } from '../domain/time.js';
import {
  envelopeDigest,
  MAX_LONG_ENVELOPE_BYTES,
  parseEnvelope,
  parseLongEnvelope,
  signEnvelope,
  verifyEnvelope,
} from './dsse.js';
import { makeStatement, parseStatement, PAYLOAD_TYPE } from './in-toto.js';
import { canonicalBytes } from './jcs.js';
import { enrolledKey } from './enrolled.js';
import type { EnvelopeSigner, SignatureVerifier } from './keys.js';
import { predicateSchema } from './predicates.js';

export interface RingKey {
  readonly key: SignatureVerifier;
  readonly owner: string;
  readonly validFrom: string | null;
  readonly validUntil: string | null;
}

/** The public keys of one policy's authorities, each with its owner. */
export type KeyRing = readonly RingKey[];

export function keyRing(policy: Policy): KeyRing {
  const known = rings.get(policy);
  if (known !== undefined) return known;
  const ring = policy.authorities.flatMap(({ id, keys }) =>
    keys.map((held) => ({
      key: enrolledKey(held),
      owner: id,
      validFrom: held.validFrom ?? null,
      validUntil: held.validUntil ?? null,
    })),
  );
  rings.set(policy, ring);
  return ring;
}

const rings = new WeakMap<Policy, KeyRing>();

/** The keys of those who hold a role: what an artifact signature of that kind is checked against. */
export function keysOfRole(policy: Policy, role: Role): readonly RingKey[] {
  return keyRing(policy).filter(({ owner }) => findAuthority(policy, owner)?.roles.includes(role) === true);
}

/** Who holds this very key in a role; `undefined` where nobody does. */
export function holderOf(policy: Policy, role: Role, { keyId }: { readonly keyId: string }): string | undefined {
  return keysOfRole(policy, role).find(({ key }) => key.keyId === keyId)?.owner;
}

/** Signs a statement about `subject` with every key given. */
export function signStatement<K extends PredicateName>(
  name: K,
  subject: { readonly name: string; readonly sha256: Digest },
  predicate: PredicateOf[K],
  keys: readonly EnvelopeSigner[],
): SignedEnvelope {
  const about = [{ name: subject.name, digest: { sha256: subject.sha256 } }];
  return signEnvelope(PAYLOAD_TYPE, canonicalBytes(makeStatement(PREDICATES[name], about, predicate)), keys);
}

/**
 * Reads an envelope as a statement of exactly this kind, about exactly one subject, signed by somebody in the ring with a
 * key that was valid when the statement says it was made. MALFORMED or SIGNATURE_INVALID otherwise. A statement dates
 * itself: with `seenAt`, when somebody else saw it, a key that has ended counts only for what was seen before its end.
 */
export function verifyStatement<K extends PredicateName>(
  input: unknown,
  name: K,
  ring: KeyRing,
  seenAt: string | null = null,
): Verified<PredicateOf[K]> {
  const envelope = envelopeOf(name, input);
  if (envelope.payloadType !== PAYLOAD_TYPE)
    throw new CustodyError('MALFORMED', `the envelope is not an in-toto statement: expected ${PAYLOAD_TYPE}`);
  const { payload, keyIds } = verifyEnvelope(
    envelope,
    ring.map(({ key }) => key),
  );
  const statement = parseStatement(payload, PREDICATES[name], predicateSchema(name), {
    maxBytes: MAX_LONG_ENVELOPE_BYTES,
  });
  const [subject, ...more] = statement.subject;
  if (subject === undefined || more.length > 0)
    throw new CustodyError('MALFORMED', `the ${name} is about ${statement.subject.length} subjects, expected one`);
  const madeAt = issuedAt(statement.predicate);
  const signers = ring
    .filter(({ key }) => keyIds.includes(key.keyId))
    .filter((held) => madeAt === null || isValidAt(held, madeAt))
    .filter((held) => seenAt === null || !isSeenLate(held, seenAt))
    .map(({ owner }) => owner);
  if (signers.length === 0)
    throw new CustodyError(
      'SIGNATURE_INVALID',
      `the ${name} was signed, or first seen, outside the validity of the key that signed it`,
    );
  return {
    digest: envelopeDigest(envelope),
    subject: subject.digest.sha256,
    predicate: statement.predicate,
    signers: [...new Set(signers)],
  };
}

/** The envelope of a statement of this kind. */
export function envelopeOf(name: PredicateName, input: unknown): SignedEnvelope {
  return name === 'destruction' || name === 'probe' ? parseLongEnvelope(input) : parseEnvelope(input);
}

/** The keys that were valid at a time. */
export function validAt(ring: KeyRing, at: string): KeyRing {
  return ring.filter((held) => isValidAt(held, Date.parse(at)));
}

function issuedAt(predicate: object): number | null {
  return 'issuedAt' in predicate && typeof predicate.issuedAt === 'string' ? Date.parse(predicate.issuedAt) : null;
}

function isValidAt({ validFrom, validUntil }: RingKey, at: number): boolean {
  return (validFrom === null || Date.parse(validFrom) <= at) && (validUntil === null || at <= Date.parse(validUntil));
}

/** Clocks differ, and what is signed at the last moment is still on its way. */
function isSeenLate({ validUntil }: RingKey, seenAt: string): boolean {
  return validUntil !== null && Date.parse(seenAt) > Date.parse(validUntil) + MAX_SKEW_MS;
}
