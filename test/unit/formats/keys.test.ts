import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { generateKey, importPrivateKey, importPublicKey, verifySignature } from '../../../formats/keys.js';
import type { KeyAlgorithm } from '../../../formats/keys.js';
import { sha256 } from '../../../formats/sha256.js';

const malformed = (text: string | RegExp) =>
  expect.objectContaining({ code: 'MALFORMED', message: expect.stringMatching(text) as string });
const ALGORITHMS: KeyAlgorithm[] = ['ed25519', 'ecdsa-p256', 'ecdsa-p384'];
const message = Buffer.from('the message');
const spkiOf = (pem: string) => createPublicKey(pem).export({ format: 'der', type: 'spki' });
const ed25519Spki = (point: Buffer) =>
  Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), point]).toString('base64');

describe.each(ALGORITHMS)('%s', (algorithm) => {
  const { privatePem, publicPem } = generateKey(algorithm);
  const signer = importPrivateKey(privatePem);
  const key = importPublicKey(publicPem);

  test('signs what its public key verifies', () => {
    const signature = signer.sign(message);
    expect(verifySignature(key, message, signature)).toBe(true);
    expect(verifySignature(key, Buffer.from('another message'), signature)).toBe(false);
    expect(verifySignature(importPublicKey(generateKey(algorithm).publicPem), message, signature)).toBe(false);
  });

  test('has one id and one PEM, however it is given', () => {
    const der = spkiOf(publicPem);
    expect(key).toMatchObject({ algorithm, keyId: sha256(der), pem: publicPem });
    expect(signer).toMatchObject({ algorithm, keyId: key.keyId, pem: publicPem });
    expect(importPublicKey(der.toString('base64')).keyId).toBe(key.keyId);
    expect(importPublicKey(`\n${publicPem.replaceAll('\n', '\r\n')}\n`).keyId).toBe(key.keyId);
  });

  test('keeps its private half to itself', () => {
    expect(JSON.stringify(signer)).not.toContain(privatePem.split('\n')[1]);
    expect(signer.keyObject.type).toBe('public');
  });

  test.each([
    ['no bytes', () => Buffer.alloc(0)],
    ['zeros', (signature: Buffer) => Buffer.alloc(signature.length)],
    ['a flipped bit', (signature: Buffer) => Buffer.from(signature.map((byte, i) => (i === 20 ? byte ^ 1 : byte)))],
    ['a byte more', (signature: Buffer) => Buffer.concat([signature, Buffer.alloc(1)])],
    ['a byte less', (signature: Buffer) => signature.subarray(0, -1)],
  ])('refuses a signature of %s', (_, change) => {
    expect(verifySignature(key, message, change(signer.sign(message)))).toBe(false);
  });
});

test('ECDSA P-384 signs over SHA-384, P-256 over SHA-256, both in DER only', () => {
  for (const [algorithm, right, wrong] of [
    ['ecdsa-p256', 'sha256', 'sha384'],
    ['ecdsa-p384', 'sha384', 'sha256'],
  ] as const) {
    const { privatePem, publicPem } = generateKey(algorithm);
    const key = importPublicKey(publicPem);
    const privateKey = createPrivateKey(privatePem);
    expect(verifySignature(key, message, sign(right, message, privateKey))).toBe(true);
    expect(verifySignature(key, message, sign(wrong, message, privateKey))).toBe(false);
    const p1363 = sign(right, message, { key: privateKey, dsaEncoding: 'ieee-p1363' });
    expect(verifySignature(key, message, p1363)).toBe(false);
  }
});

test('a DER signature with a long-form length is not a second spelling of the same one', () => {
  const { privatePem, publicPem } = generateKey('ecdsa-p256');
  const der = importPrivateKey(privatePem).sign(message);
  const longForm = Buffer.concat([der.subarray(0, 1), Buffer.from([0x81]), der.subarray(1)]);
  expect(verifySignature(importPublicKey(publicPem), message, longForm)).toBe(false);
});

test('an Ed25519 signature whose S was raised by the group order is refused', () => {
  const { privatePem, publicPem } = generateKey('ed25519');
  const signature = importPrivateKey(privatePem).sign(message);
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  const s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString('hex')}`) + order;
  const raised = Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse();
  const malleated = Buffer.concat([signature.subarray(0, 32), raised]);
  expect(verifySignature(importPublicKey(publicPem), message, malleated)).toBe(false);
});

// Encodings of the points whose order divides 8, from "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko), table 1.
test.each([
  ['order 1', '0100000000000000000000000000000000000000000000000000000000000000'],
  ['order 1, sign bit set', '0100000000000000000000000000000000000000000000000000000000000080'],
  ['order 1, not canonical', 'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
  ['order 1, not canonical, sign bit set', 'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff'],
  ['order 2', 'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
  ['order 2, sign bit set', 'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff'],
  ['order 4', '0000000000000000000000000000000000000000000000000000000000000000'],
  ['order 4, negative', '0000000000000000000000000000000000000000000000000000000000000080'],
  ['order 4, not canonical', 'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
  ['order 4, not canonical, negative', 'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff'],
  ['order 8, first', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'],
  ['order 8, second', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85'],
  ['order 8, third', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'],
  ['order 8, fourth', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa'],
])('an Ed25519 point of %s is no key', (_, point) => {
  expect(() => importPublicKey(ed25519Spki(Buffer.from(point, 'hex')))).toThrow(malformed(/small order|canonical/));
});

test('bytes that are no point of edwards25519 are no key', () => {
  expect(() => importPublicKey(ed25519Spki(Buffer.from([2, ...Array<number>(31).fill(0)])))).toThrow(
    malformed('not on the curve'),
  );
});

test("of random bytes, exactly those are Ed25519 keys whose x has a root by Euler's criterion", () => {
  const p = 2n ** 255n - 19n;
  const d = (-121665n * power(121666n, p - 2n)) % p;
  let keys = 0;
  for (let i = 0; i < 200; i++) {
    const y = BigInt(`0x${randomBytes(32).toString('hex')}`) % p;
    const point = Buffer.from(y.toString(16).padStart(64, '0'), 'hex').reverse();
    const xSquared = (y * y - 1n) * power(d * y * y + 1n, p - 2n);
    const isPoint = power(xSquared, (p - 1n) / 2n) === 1n;
    if (isPoint) keys += 1;
    if (isPoint) expect(importPublicKey(ed25519Spki(point)).algorithm).toBe('ed25519');
    else expect(() => importPublicKey(ed25519Spki(point))).toThrow(malformed('not on the curve'));
  }
  expect(keys).toBeGreaterThan(50);
  expect(keys).toBeLessThan(150);

  function power(base: bigint, exponent: bigint): bigint {
    let result = 1n;
    for (let factor = ((base % p) + p) % p, rest = exponent; rest > 0n; rest >>= 1n) {
      if (rest & 1n) result = (result * factor) % p;
      factor = (factor * factor) % p;
    }
    return result;
  }
});

test('every generated Ed25519 key passes the check of its point', () => {
  for (let i = 0; i < 50; i++) expect(() => importPublicKey(generateKey('ed25519').publicPem)).not.toThrow();
});

describe('importPublicKey refuses', () => {
  const pem = (pair: { publicKey: { export(o: { format: 'pem'; type: 'spki' }): string | Buffer } }) =>
    pair.publicKey.export({ format: 'pem', type: 'spki' }).toString();
  const p256 = spkiOf(generateKey('ecdsa-p256').publicPem);
  const offCurve = Buffer.from(p256);
  offCurve[offCurve.length - 1] = (offCurve.at(-1) ?? 0) ^ 1;

  test.each<[string, () => string]>([
    ['RSA', () => pem(generateKeyPairSync('rsa', { modulusLength: 2048 }))],
    ['RSA of 1024 bits', () => pem(generateKeyPairSync('rsa', { modulusLength: 1024 }))],
    ['RSA-PSS', () => pem(generateKeyPairSync('rsa-pss', { modulusLength: 2048 }))],
    ['P-521', () => pem(generateKeyPairSync('ec', { namedCurve: 'secp521r1' }))],
    ['secp256k1', () => pem(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }))],
    [
      'explicit curve parameters',
      () => pem(generateKeyPairSync('ec', { namedCurve: 'prime256v1', paramEncoding: 'explicit' })),
    ],
    ['Ed448', () => pem(generateKeyPairSync('ed448'))],
    ['X25519', () => pem(generateKeyPairSync('x25519'))],
    ['a private key', () => generateKey('ecdsa-p256').privatePem],
    ['two keys in one text', () => generateKey('ed25519').publicPem + generateKey('ed25519').publicPem],
    ['text before the key', () => `hello\n${generateKey('ed25519').publicPem}`],
    ['an empty text', () => ''],
    ['garbage', () => 'garbage'],
    ['an endless text', () => 'A'.repeat(1_000_000)],
    ['a point off the curve', () => offCurve.toString('base64')],
    [
      'a compressed point',
      () =>
        Buffer.concat([
          Buffer.from('3039301306072a8648ce3d020106082a8648ce3d030107032200', 'hex'),
          Buffer.from([2 + ((p256.at(-1) ?? 0) & 1)]),
          p256.subarray(27, 59),
        ]).toString('base64'),
    ],
    ['bytes after the key', () => Buffer.concat([p256, Buffer.alloc(2)]).toString('base64')],
    ['a key cut short', () => p256.subarray(0, -2).toString('base64')],
  ])('%s', (_, text) => {
    expect(() => importPublicKey(text())).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
  });
});

describe('importPrivateKey', () => {
  test('reads SEC 1, as openssl ecparam writes it', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    const key = importPrivateKey(privateKey.export({ format: 'pem', type: 'sec1' }).toString());
    expect(verifySignature(key, message, key.sign(message))).toBe(true);
  });

  test.each<[string, () => string]>([
    [
      'an encrypted key',
      () => {
        const { privateKey } = generateKeyPairSync('ed25519');
        return privateKey.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'x' }).toString();
      },
    ],
    ['a public key', () => generateKey('ed25519').publicPem],
    [
      'RSA',
      () =>
        generateKeyPairSync('rsa', { modulusLength: 2048 })
          .privateKey.export({ format: 'pem', type: 'pkcs8' })
          .toString(),
    ],
    ['garbage', () => 'garbage'],
  ])('refuses %s', (_, text) => {
    expect(() => importPrivateKey(text())).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
  });
});
