import { CustodyError } from '../domain/errors.js';
import { mayKill, type Policy } from '../domain/policy.js';
import type { KillPredicate, Verified } from '../domain/statements.js';
import { decodeBase64, encodeBase64 } from './base64.js';
import { parseEnvelope } from './dsse.js';
import { keyRing, verifyStatement } from './statements.js';

/**
 * Reads a kill order. It must come in the one form its digest stands for: else whoever relays a lifted order could give it
 * another digest, by a second signature or another spelling, and replay it. MALFORMED, SIGNATURE_INVALID, NOT_AUTHORISED.
 */
export function readKillOrder(input: unknown, policy: Policy, environment: string): Verified<KillPredicate> {
  const envelope = parseEnvelope(input);
  const [signature, ...more] = envelope.signatures;
  if (signature === undefined || more.length > 0)
    throw new CustodyError('MALFORMED', `a kill order has one signature, not ${envelope.signatures.length}`);
  if (!isPlain(envelope.payload) || !isPlain(signature.sig))
    throw new CustodyError('MALFORMED', 'a kill order is relayed unchanged: expected base64 in the standard alphabet');
  // Only the key that it names is tried: a forged order costs one signature at most, and a flood of them not much more.
  const named = keyRing(policy).filter(({ key }) => key.keyId === signature.keyid);
  if (named.length === 0)
    throw new CustodyError('SIGNATURE_INVALID', 'the keyid of the order names no key of the policy');
  const order = verifyStatement(envelope, 'kill', named);
  if (!order.signers.some((id) => mayKill(policy, id, order.predicate.model)))
    throw new CustodyError(
      'NOT_AUTHORISED',
      `${order.signers.join(', ')} may not stop ${order.predicate.model}: that takes the role operator`,
    );
  if (order.predicate.environment !== environment)
    throw new CustodyError('REPLAYED', `the order is for environment ${order.predicate.environment}`);
  return order;
}

function isPlain(text: string): boolean {
  return encodeBase64(decodeBase64(text, 'the order')) === text;
}
