import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeBase64 } from '../../../formats/base64.js';
import {
  envelopeDigest,
  MAX_ENVELOPE_BYTES,
  pae,
  parseEnvelope,
  signEnvelope,
  verifyEnvelope,
} from '../../../formats/dsse.js';
import type { Envelope } from '../../../formats/dsse.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { generateKey, importPrivateKey, importPublicKey } from '../../../formats/keys.js';

const malformed = (text: string | RegExp) =>
  expect.objectContaining({ code: 'MALFORMED', message: expect.stringMatching(text) as string });
const unsigned = expect.objectContaining({ code: 'SIGNATURE_INVALID' });
const newKey = (algorithm: 'ed25519' | 'ecdsa-p256' | 'ecdsa-p384') =>
  importPrivateKey(generateKey(algorithm).privatePem);

const TYPE = 'application/vnd.in-toto+json';
const payload = Buffer.from('{"a":1}');
const alice = newKey('ed25519');
const bob = newKey('ecdsa-p256');
const carol = newKey('ecdsa-p384');
const mallory = newKey('ed25519');
const trusted = [alice, bob, carol];
const signed = signEnvelope(TYPE, payload, [alice]);
const [byAlice] = signed.signatures as [{ keyid: string; sig: string }];

describe('pae', () => {
  test('is that of the DSSE protocol', () => {
    expect(pae('http://example.com/HelloWorld', Buffer.from('hello world')).toString()).toBe(
      'DSSEv1 29 http://example.com/HelloWorld 11 hello world',
    );
  });

  test('counts bytes, not characters', () => {
    expect(pae('tüp/é', Buffer.from('ü')).toString()).toBe('DSSEv1 7 tüp/é 2 ü');
  });

  test('no two pairs of type and payload have the same encoding', () => {
    const text = fc.string({ unit: fc.constantFrom(' ', '1', 'a', 'é') });
    fc.assert(
      fc.property(text, text, text, text, (typeA, a, typeB, b) => {
        const same = pae(typeA, Buffer.from(a)).equals(pae(typeB, Buffer.from(b)));
        expect(same).toBe(typeA === typeB && a === b);
      }),
    );
  });
});

describe('verifyEnvelope', () => {
  test('answers the payload and every trusted key that signed, in the order of the keys', () => {
    const envelope = signEnvelope(TYPE, payload, [carol, mallory, alice]);
    const parsed = parseEnvelope(canonicalBytes(envelope));
    expect(verifyEnvelope(parsed, trusted)).toEqual({ payload, keyIds: [alice.keyId, carol.keyId] });
  });

  test('verifies with imported public keys', () => {
    expect(verifyEnvelope(signed, [importPublicKey(alice.pem)]).keyIds).toEqual([alice.keyId]);
  });

  test('refuses a key that is not trusted', () => {
    expect(() => verifyEnvelope(signEnvelope(TYPE, payload, [mallory]), trusted)).toThrow(unsigned);
    expect(() => verifyEnvelope(signed, [])).toThrow(unsigned);
  });

  test('refuses another payload, another type, and a type moved into the payload', () => {
    expect(() => verifyEnvelope({ ...signed, payload: encodeBase64(Buffer.from('{"a":2}')) }, trusted)).toThrow(
      unsigned,
    );
    expect(() => verifyEnvelope({ ...signed, payloadType: 'text/plain' }, trusted)).toThrow(unsigned);
    expect(() => verifyEnvelope({ ...signed, payloadType: `${TYPE} ` }, trusted)).toThrow(unsigned);
  });

  test('one key counts once, however often it signs and under whatever names', () => {
    const again = { keyid: bob.keyId, sig: encodeBase64(bob.sign(pae(TYPE, payload))) };
    const envelope: Envelope = {
      ...signed,
      signatures: [
        byAlice,
        { ...byAlice, keyid: 'other' },
        { ...byAlice, keyid: bob.keyId },
        again,
        { ...again, keyid: '' },
      ],
    };
    expect(verifyEnvelope(envelope, trusted).keyIds).toEqual([alice.keyId, bob.keyId]);
    expect(verifyEnvelope(envelope, [alice, alice, importPublicKey(alice.pem)]).keyIds).toEqual([alice.keyId]);
  });

  test('the key decides, not the keyid', () => {
    expect(verifyEnvelope({ ...signed, signatures: [{ ...byAlice, keyid: bob.keyId }] }, trusted).keyIds).toEqual([
      alice.keyId,
    ]);
    const forged = { keyid: alice.keyId, sig: encodeBase64(mallory.sign(pae(TYPE, payload))) };
    expect(() => verifyEnvelope({ ...signed, signatures: [forged] }, trusted)).toThrow(unsigned);
  });

  test('passes over garbage beside a valid signature, and never counts it', () => {
    const garbage = ['AAAA', encodeBase64(Buffer.alloc(64)), encodeBase64(Buffer.alloc(72, 0x30))];
    const signatures = [...garbage.map((sig) => ({ keyid: bob.keyId, sig })), byAlice];
    expect(verifyEnvelope({ ...signed, signatures }, trusted).keyIds).toEqual([alice.keyId]);
    expect(() => verifyEnvelope({ ...signed, signatures: signatures.slice(0, -1) }, trusted)).toThrow(unsigned);
  });

  test('an Ed25519 signature is not read as ECDSA, nor the other way round', () => {
    expect(() => verifyEnvelope({ ...signed, signatures: [{ ...byAlice, keyid: bob.keyId }] }, [bob, carol])).toThrow(
      unsigned,
    );
    expect(() => verifyEnvelope(signEnvelope(TYPE, payload, [bob]), [alice, carol])).toThrow(unsigned);
  });

  test('accepts the URL-safe alphabet for the same bytes', () => {
    const urlSafe = (text: string) => text.replaceAll('+', '-').replaceAll('/', '_');
    const signatures = [{ ...byAlice, sig: urlSafe(byAlice.sig) }];
    expect(verifyEnvelope({ ...signed, payload: urlSafe(signed.payload), signatures }, trusted).payload).toEqual(
      payload,
    );
  });

  test('any flipped bit of payload or signature is refused', () => {
    fc.assert(
      fc.property(fc.boolean(), fc.nat(), (inPayload, position) => {
        const bytes = Buffer.from(inPayload ? signed.payload : byAlice.sig, 'base64');
        const at = position % (bytes.length * 8);
        bytes[at >> 3] = (bytes[at >> 3] ?? 0) ^ (1 << (at & 7));
        const changed = encodeBase64(bytes);
        const envelope = inPayload
          ? { ...signed, payload: changed }
          : { ...signed, signatures: [{ ...byAlice, sig: changed }] };
        expect(() => verifyEnvelope(envelope, trusted)).toThrow(unsigned);
      }),
    );
  });
});

describe('signEnvelope', () => {
  test('refuses no key, one key twice, and too many', () => {
    const usage = expect.objectContaining({ code: 'USAGE' });
    expect(() => signEnvelope(TYPE, payload, [])).toThrow(usage);
    expect(() => signEnvelope(TYPE, payload, [alice, bob, alice])).toThrow(usage);
    expect(() =>
      signEnvelope(
        TYPE,
        payload,
        Array.from({ length: 17 }, () => newKey('ed25519')),
      ),
    ).toThrow(usage);
  });
});

describe('parseEnvelope', () => {
  const text = JSON.stringify(signed);

  test('reads bytes, text and parsed values alike', () => {
    expect(parseEnvelope(Buffer.from(text))).toEqual(signed);
    expect(parseEnvelope(text)).toEqual(signed);
    expect(parseEnvelope(JSON.parse(text))).toEqual(signed);
  });

  test('reads an absent or null keyid as empty, as DSSE means it', () => {
    for (const signature of [{ sig: byAlice.sig }, { ...byAlice, keyid: null }]) {
      expect(parseEnvelope({ ...signed, signatures: [signature] }).signatures[0]?.keyid).toBe('');
    }
  });

  test('copies, so that what was checked cannot be changed afterwards', () => {
    const source = JSON.parse(text) as { payload: string };
    const envelope = parseEnvelope(source);
    source.payload = '';
    expect(envelope.payload).toBe(signed.payload);
  });

  test.each<[string, string, RegExp]>([
    ['a second payload', text.replace('"payload":', '"payload":"e30=","payload":'), /stands twice/],
    ['a __proto__ key', text.replace('{', '{"__proto__":{"payload":"e30="},'), /not allowed/],
    ['an unknown field', text.replace('{', '{"alg":"none",'), /alg/],
    ['bytes after the end', `${text}x`, /after the end/],
  ])('refuses %s', (_, attack, problem) => {
    expect(() => parseEnvelope(attack)).toThrow(malformed(problem));
  });

  test.each<[string, unknown, RegExp]>([
    ['no signatures', { ...signed, signatures: [] }, /signatures/],
    ['signatures that are null', { ...signed, signatures: null }, /signatures/],
    ['signatures as an object', { ...signed, signatures: { 0: byAlice, length: 1 } }, /signatures/],
    ['17 signatures', { ...signed, signatures: Array(17).fill(byAlice) }, /signatures/],
    ['an empty signature', { ...signed, signatures: [{ keyid: '', sig: '' }] }, /signatures\.0\.sig/],
    ['a signature beside an unknown field', { ...signed, signatures: [{ ...byAlice, cert: 'x' }] }, /cert/],
    ['a keyid that is a number', { ...signed, signatures: [{ ...byAlice, keyid: 1 }] }, /keyid/],
    ['an unknown field', { ...signed, payload2: 'e30=' }, /payload2/],
    ['an own __proto__ key', JSON.parse(text.replace('{', '{"__proto__":{},')), /__proto__/],
    ['a payload that is bytes', { ...signed, payload }, /payload/],
    ['a payload with white space', { ...signed, payload: `${signed.payload}\n` }, /not base64/],
    ['a payload without padding', { ...signed, payload: signed.payload.replace(/=+$/, '') }, /not base64/],
    [
      'a signature with junk',
      { ...signed, signatures: [{ ...byAlice, sig: `!${byAlice.sig}` }] },
      /signature 0 .* not base64/,
    ],
    ['no payload type', { ...signed, payloadType: '' }, /payloadType/],
    ['null', null, /shape/],
    ['an array', [signed], /shape/],
  ])('refuses %s', (_, attack, problem) => {
    expect(() => parseEnvelope(attack)).toThrow(malformed(problem));
  });

  test('refuses more than 256 KiB, encoded or parsed', () => {
    const huge = { ...signed, payload: 'A'.repeat(MAX_ENVELOPE_BYTES) };
    expect(() => parseEnvelope(JSON.stringify(huge))).toThrow(malformed('too large'));
    expect(() => parseEnvelope(huge)).toThrow(malformed('too large'));
  });
});

test('the digest of an envelope depends on its content, not on how it was written', () => {
  const reordered = { signatures: signed.signatures, payload: signed.payload, payloadType: signed.payloadType };
  expect(envelopeDigest(parseEnvelope(JSON.stringify(reordered, null, 2)))).toBe(envelopeDigest(signed));
  expect(envelopeDigest({ ...signed, payloadType: 'x' })).not.toBe(envelopeDigest(signed));
  expect(envelopeDigest({ ...signed, signatures: [{ ...byAlice, keyid: 'x' }] })).not.toBe(envelopeDigest(signed));
});
