import { endpointId } from '../../domain/names.js';
import type { Policy } from '../../domain/policy.js';
import type { SignedEnvelope } from '../../domain/statements.js';
import { MAX_SKEW_MS, isoTime, plusSeconds, type Validity } from '../../domain/time.js';
import { canonicalBytes } from '../../formats/jcs.js';
import type { SigningKey } from '../../formats/keys.js';
import { newNonce } from '../../formats/requests.js';
import { sha256 } from '../../formats/sha256.js';
import { keyRing, signStatement } from '../../formats/statements.js';

/** No model and no release bears these names, so that what is wrongly accepted has nothing to act on. */
export const NOWHERE = { model: 'isolation-probe', version: '0.0.0' };

const LONG_AGO = '2020-01-01T00:00:00.000Z';
const LASTS_SECONDS = 60;

/**
 * When something must have been signed by a key to have expired, and yet to count if the key does: so an order that counts is told
 * from one that does not, and changes nothing. `null`: the policy has begun to believe the key only now.
 */
export function longAgo(policy: Policy, keyId: string, now: number): Validity | null {
  const held = keyRing(policy).find(({ key }) => key.keyId === keyId);
  const issuedAt = held?.validFrom ?? LONG_AGO;
  const expiresAt = plusSeconds(issuedAt, LASTS_SECONDS);
  return Date.parse(expiresAt) + MAX_SKEW_MS < now ? { issuedAt: isoTime(Date.parse(issuedAt)), expiresAt } : null;
}

/** An order to stop a model that does not exist. */
export function killOrder(environment: string, times: Validity, key: SigningKey): SignedEnvelope {
  const { model } = NOWHERE;
  const order = { environment, model, nonce: newNonce(), reason: 'tried by custody doctor', ...times };
  return signStatement('kill', { name: endpointId(model), sha256: sha256(canonicalBytes(order)) }, order, [key]);
}
