import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { CustodyError } from '../domain/errors.js';
import type { Digest } from '../domain/digest.js';
import { decodeBase64 } from './base64.js';
import { sha256 } from './sha256.js';

export type KeyAlgorithm = 'ed25519' | 'ecdsa-p256' | 'ecdsa-p384';

/** What OpenSSH calls the keys that may be enrolled. Such a key signs in SSHSIG, never bare. */
export const SSH_ALGORITHMS = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'sk-ssh-ed25519@openssh.com',
  'sk-ecdsa-sha2-nistp256@openssh.com',
] as const;
export type SshAlgorithm = (typeof SSH_ALGORITHMS)[number];

/** Whatever can say whether a signature over a message is its own. The algorithm is the key's, never the signature's. */
export interface SignatureVerifier {
  readonly keyId: Digest;
  readonly algorithm: KeyAlgorithm | SshAlgorithm;
  verify(message: Uint8Array, signature: Uint8Array): boolean;
}

/** Whatever signs an envelope in somebody's name: a key in memory, or one that OpenSSH, an agent or a device holds. */
export interface EnvelopeSigner extends SignatureVerifier {
  sign(message: Uint8Array): Buffer;
}

export interface PublicKey extends SignatureVerifier {
  /** SHA-256 of the key's DER SubjectPublicKeyInfo. One key has one id: only one encoding of it is accepted. */
  readonly keyId: Digest;
  readonly algorithm: KeyAlgorithm;
  readonly keyObject: KeyObject;
  /** SubjectPublicKeyInfo as PEM, with a newline at its end. */
  readonly pem: string;
}

/** A public key whose private half stays inside `sign`. */
export interface SigningKey extends PublicKey {
  /** Ed25519: 64 bytes (RFC 8032, pure). ECDSA: DER; P-256 over SHA-256, P-384 over SHA-384. */
  sign(message: Uint8Array): Buffer;
}

interface Algorithm {
  /** What the DER of such a key begins with: algorithm, curve, and for ECDSA the mark of an uncompressed point. */
  readonly spkiPrefix: Buffer;
  readonly pointLength: number;
  /** `null`: the signature scheme hashes by itself. */
  readonly hash: 'sha256' | 'sha384' | null;
  readonly name: KeyAlgorithm;
}

const ALGORITHMS: readonly Algorithm[] = [
  { name: 'ed25519', spkiPrefix: Buffer.from('302a300506032b6570032100', 'hex'), pointLength: 32, hash: null },
  {
    name: 'ecdsa-p256',
    spkiPrefix: Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex'),
    pointLength: 64,
    hash: 'sha256',
  },
  {
    name: 'ecdsa-p384',
    spkiPrefix: Buffer.from('3076301006072a8648ce3d020106052b8104002203620004', 'hex'),
    pointLength: 96,
    hash: 'sha384',
  },
];

const PEM = /^-----BEGIN PUBLIC KEY-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END PUBLIC KEY-----$/;
const MAX_KEY_TEXT = 4096;

/**
 * Reads a public key from PEM or from the base64 of its DER SubjectPublicKeyInfo (RFC 5280, section 4.1). Accepted are
 * Ed25519, P-256 and P-384, each in the one encoding that names its curve and gives the whole point. MALFORMED: RSA, other
 * curves, explicit curve parameters, compressed points, points of small order or off the curve, private keys, anything else.
 */
export function importPublicKey(pemOrSpki: string): PublicKey {
  const text = pemOrSpki.trim();
  if (text.length > MAX_KEY_TEXT) throw malformed(`${text.length} characters, at most ${MAX_KEY_TEXT} are read`);
  if (!text.startsWith('-----')) return fromSpki(decodeBase64(text, 'the public key'));
  const body = PEM.exec(text)?.[1];
  if (body === undefined) throw malformed('the PEM must be exactly one "PUBLIC KEY" block');
  return fromSpki(decodeBase64(body.replaceAll(/\r?\n/g, ''), 'the body of the public key'));
}

/** The key of a point: 32 bytes of Ed25519 (RFC 8032), or x and y of a curve, without a mark. MALFORMED as above. */
export function importPoint(name: KeyAlgorithm, point: Uint8Array): PublicKey {
  return fromSpki(Buffer.concat([algorithmOf(name).spkiPrefix, point]));
}

/** Reads an unencrypted private key, PKCS #8 or SEC 1, as PEM. MALFORMED for what `importPublicKey` refuses. */
export function importPrivateKey(pem: string): SigningKey {
  const privateKey = readPrivateKey(pem);
  const publicKey = fromSpki(createPublicKey(privateKey).export({ format: 'der', type: 'spki' }));
  const { hash } = algorithmOf(publicKey.algorithm);
  return {
    ...publicKey,
    sign: (message) => sign(hash, message, { key: privateKey, dsaEncoding: 'der' }),
  };
}

/** True when `signature` is `key`'s signature over `bytes`. */
export function verifySignature(key: SignatureVerifier, bytes: Uint8Array, signature: Uint8Array): boolean {
  return key.verify(bytes, signature);
}

/** A new key pair: PKCS #8 and SubjectPublicKeyInfo, as PEM. */
export function generateKey(algorithm: KeyAlgorithm): { privatePem: string; publicPem: string } {
  const { privateKey, publicKey } = generatePair(algorithm);
  return {
    privatePem: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    publicPem: publicKey.export({ format: 'pem', type: 'spki' }).toString(),
  };
}

function generatePair(algorithm: KeyAlgorithm): { privateKey: KeyObject; publicKey: KeyObject } {
  switch (algorithm) {
    case 'ed25519':
      return generateKeyPairSync('ed25519');
    case 'ecdsa-p256':
      return generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    case 'ecdsa-p384':
      return generateKeyPairSync('ec', { namedCurve: 'secp384r1' });
  }
}

function readPrivateKey(pem: string): KeyObject {
  try {
    return createPrivateKey({ key: pem, format: 'pem' });
  } catch (cause) {
    throw new CustodyError('MALFORMED', 'not a private key: expected unencrypted PKCS #8 or SEC 1 as PEM', { cause });
  }
}

function fromSpki(der: Buffer): PublicKey {
  const algorithm = ALGORITHMS.find(
    ({ spkiPrefix, pointLength }) =>
      der.length === spkiPrefix.length + pointLength && der.subarray(0, spkiPrefix.length).equals(spkiPrefix),
  );
  if (algorithm === undefined) {
    throw malformed('it must be Ed25519, ECDSA P-256 or ECDSA P-384 with a named curve and an uncompressed point');
  }
  if (algorithm.name === 'ed25519') assertEd25519Point(der.subarray(algorithm.spkiPrefix.length));
  // OpenSSL checks the point of a curve as it reads it, and takes time to: an Ed25519 key is read when it is first used.
  let read = algorithm.name === 'ed25519' ? null : readSpki(der);
  const keyObject = (): KeyObject => (read ??= readSpki(der));
  return {
    keyId: sha256(der),
    algorithm: algorithm.name,
    get keyObject() {
      return keyObject();
    },
    get pem() {
      return keyObject().export({ format: 'pem', type: 'spki' }).toString();
    },
    verify: (message, signature) =>
      verify(algorithm.hash, message, { key: keyObject(), dsaEncoding: 'der' }, signature),
  };
}

function readSpki(der: Buffer): KeyObject {
  try {
    return createPublicKey({ key: der, format: 'der', type: 'spki' });
  } catch (cause) {
    throw malformed('its point is not on the curve', cause);
  }
}

function algorithmOf(name: KeyAlgorithm): Algorithm {
  const found = ALGORITHMS.find((algorithm) => algorithm.name === name);
  if (found === undefined) throw new CustodyError('INTERNAL', `no such key algorithm: ${name}`);
  return found;
}

function malformed(problem: string, cause?: unknown): CustodyError {
  return new CustodyError(
    'MALFORMED',
    `not an acceptable public key: ${problem}`,
    cause === undefined ? {} : { cause },
  );
}

/** The field of Curve25519 and the constant of edwards25519, -x² + y² = 1 + d·x²·y² (RFC 8032, section 5.1). */
const P = 2n ** 255n - 19n;
const D = 0x52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3n;
/** The y of four of the eight points whose order divides 8; the others have 0, 1, -1 and the negative of this one. */
const Y_OF_ORDER_8 = 0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n;
const SMALL_ORDER_Y = new Set([0n, 1n, P - 1n, Y_OF_ORDER_8, P - Y_OF_ORDER_8]);

/** OpenSSL takes any 32 bytes for a key. Under one of small order, signatures can be made without any private key. */
function assertEd25519Point(encoded: Buffer): void {
  const y = BigInt(`0x${Buffer.from(encoded).reverse().toString('hex')}`) & (2n ** 255n - 1n);
  if (y >= P) throw malformed('its Ed25519 point is not canonically encoded');
  if (SMALL_ORDER_Y.has(y)) throw malformed('its Ed25519 point has small order: anybody could sign for it');
  // x² = (y² - 1) / (d·y² + 1) has a root exactly if numerator times denominator is a square.
  const square = (((y * y - 1n) % P) * ((D * y * y + 1n) % P)) % P;
  if (!isSquare((square + P) % P)) throw malformed('its Ed25519 point is not on the curve');
}

/** Whether a number other than 0 has a root modulo P: its Jacobi symbol is 1, by quadratic reciprocity. */
function isSquare(value: bigint): boolean {
  let symbol = 1;
  let [a, n] = [value, P];
  while (a !== 0n) {
    while ((a & 1n) === 0n) {
      a >>= 1n;
      if ((n & 7n) === 3n || (n & 7n) === 5n) symbol = -symbol;
    }
    if ((a & 3n) === 3n && (n & 3n) === 3n) symbol = -symbol;
    [a, n] = [n % a, a];
  }
  return n === 1n && symbol === 1;
}
