import { z } from 'zod';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { decodeBase64, encodeBase64 } from './base64.js';
import { canonicalBytes } from './jcs.js';
import { checkShape, parseJson } from './json.js';
import type { EnvelopeSigner, SignatureVerifier } from './keys.js';
import { sha256 } from './sha256.js';

/** A DSSE envelope v1: https://github.com/secure-systems-lab/dsse/blob/master/envelope.md */
export type Envelope = SignedEnvelope;

/** Room for a policy of 1,000 authorities. Messages to workflows are bounded more tightly, where they arrive. */
export const MAX_ENVELOPE_BYTES = 1024 * 1024;
export const MAX_LONG_ENVELOPE_BYTES = 8 * 1024 * 1024;
const MAX_SIGNATURES = 16;
const MAX_SIGNATURE_TEXT = 8192;
const MAX_TYPE_TEXT = 255;

/** `keyid` is optional in DSSE; absent, null and empty mean the same, and are read as empty. */
export const signatureSchema = z.strictObject({
  keyid: z
    .string()
    .max(1024)
    .nullish()
    .transform((keyid) => keyid ?? ''),
  sig: z.string().min(1).max(MAX_SIGNATURE_TEXT),
});

const envelopeSchema = z.strictObject({
  payloadType: z.string().min(1).max(MAX_TYPE_TEXT),
  payload: z.string(),
  signatures: z.array(signatureSchema).min(1).max(MAX_SIGNATURES),
});

/** The bytes that are signed: DSSE's pre-authentication encoding. Lengths are in bytes of UTF-8. */
export function pae(payloadType: string, payload: Uint8Array): Buffer {
  const type = Buffer.from(payloadType, 'utf8');
  return Buffer.concat([Buffer.from(`DSSEv1 ${type.length} `), type, Buffer.from(` ${payload.length} `), payload]);
}

/** Signs a payload with each key. USAGE: no key, too many, or one key twice. */
export function signEnvelope(payloadType: string, payload: Uint8Array, keys: readonly EnvelopeSigner[]): Envelope {
  if (keys.length === 0 || keys.length > MAX_SIGNATURES) {
    throw new CustodyError('USAGE', `an envelope takes 1 to ${MAX_SIGNATURES} signatures, asked for ${keys.length}`);
  }
  if (new Set(keys.map((key) => key.keyId)).size !== keys.length) {
    throw new CustodyError('USAGE', 'one key was given twice: a second signature by it would count for nothing');
  }
  const message = pae(payloadType, payload);
  return {
    payloadType,
    payload: encodeBase64(payload),
    signatures: keys.map((key) => ({ keyid: key.keyId, sig: encodeBase64(key.sign(message)) })),
  };
}

/** The same envelope with one more signature over the same bytes; unchanged where this key has signed it before. */
export function addSignature(envelope: Envelope, key: EnvelopeSigner): Envelope {
  const payload = decodeBase64(envelope.payload, 'the payload of the envelope');
  const message = pae(envelope.payloadType, payload);
  const signed = envelope.signatures.some(({ sig }, i) =>
    key.verify(message, decodeBase64(sig, `signature ${i} of the envelope`)),
  );
  if (signed) return envelope;
  const [own] = signEnvelope(envelope.payloadType, payload, [key]).signatures;
  if (own === undefined) throw new CustodyError('INTERNAL', 'an envelope was signed without a signature');
  return parseEnvelope({ ...envelope, signatures: [...envelope.signatures, own] });
}

/**
 * Reads an envelope from bytes or text (as JSON), or from a value that has already been parsed. MALFORMED: more than
 * 1 MiB, unknown or missing fields, no signature or more than 16, anything that is not strict base64.
 */
export function parseEnvelope(input: unknown): Envelope {
  return parseUpTo(MAX_ENVELOPE_BYTES, input);
}

/** The same of what has a line for each file of a release, of which the store keeps as much as one object. */
export function parseLongEnvelope(input: unknown): Envelope {
  return parseUpTo(MAX_LONG_ENVELOPE_BYTES, input);
}

function parseUpTo(maxBytes: number, input: unknown): Envelope {
  const isEncoded = typeof input === 'string' || input instanceof Uint8Array;
  const value = isEncoded ? parseJson(input, 'the envelope', { maxBytes }) : input;
  const envelope = checkShape(envelopeSchema, value, 'the envelope');
  const size =
    envelope.payload.length + envelope.signatures.reduce((sum, { keyid, sig }) => sum + keyid.length + sig.length, 0);
  if (size > maxBytes)
    throw new CustodyError('MALFORMED', `the envelope is too large: ${size} bytes, at most ${maxBytes} are read`);
  decodeBase64(envelope.payload, 'the payload of the envelope');
  envelope.signatures.forEach(({ sig }, i) => decodeBase64(sig, `signature ${i} of the envelope`));
  return envelope;
}

/**
 * Answers the payload and every distinct trusted key that has signed it, in the order of `keys`. Keys decide: a keyid
 * says only which key to try first. One signature counts for one key and one key counts once; signatures that no trusted
 * key has made are passed over. SIGNATURE_INVALID when none is left. Read `payload`, and nothing else, afterwards.
 */
export function verifyEnvelope(
  envelope: Envelope,
  keys: readonly SignatureVerifier[],
): { payload: Buffer; keyIds: Digest[] } {
  const payload = decodeBase64(envelope.payload, 'the payload of the envelope');
  const message = pae(envelope.payloadType, payload);
  const signers = new Set<Digest>();
  envelope.signatures.forEach(({ keyid, sig }, i) => {
    const signature = decodeBase64(sig, `signature ${i} of the envelope`);
    const open = keys.filter((key) => !signers.has(key.keyId));
    const hinted = open.filter((key) => key.keyId === keyid);
    const others = open.filter((key) => key.keyId !== keyid);
    const signer = [...hinted, ...others].find((key) => key.verify(message, signature));
    if (signer !== undefined) signers.add(signer.keyId);
  });
  if (signers.size === 0) {
    throw new CustodyError(
      'SIGNATURE_INVALID',
      `none of the ${envelope.signatures.length} signatures on the envelope is by one of the ${keys.length} trusted keys`,
      { details: { signatures: envelope.signatures.length, trustedKeys: keys.length } },
    );
  }
  const keyIds = new Set(keys.map((key) => key.keyId));
  return { payload, keyIds: [...keyIds].filter((keyId) => signers.has(keyId)) };
}

/** What names an envelope everywhere: SHA-256 of its canonical JSON. */
export function envelopeDigest(envelope: Envelope): Digest {
  return sha256(canonicalBytes(envelope));
}
