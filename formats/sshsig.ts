import { createHash, verify } from 'node:crypto';
import { CustodyError } from '../domain/errors.js';
import { decodeBase64, encodeBase64 } from './base64.js';
import { quote } from './json.js';
import type { SigningKey } from './keys.js';
import { sha256 } from './sha256.js';
import type { SshPublicKey } from './ssh-keys.js';
import { SshReader, sshString } from './ssh-wire.js';

/** What people sign for with SSH keys: a signature for another namespace (git, file, …) is none here. */
export const SSH_NAMESPACE = 'custody@v1';

const MAGIC = Buffer.from('SSHSIG');
const VERSION = 1;
const HASH = 'sha512';
const USER_PRESENT = 0x01;
const MAX_FIELD = 512;
const MAX_SIGNATURE = 2048;
const ED25519_SIGNATURE = 64;
const ED25519_POINT = 32;
const ED25519 = 'ssh-ed25519';

type Key = Pick<SshPublicKey, 'algorithm' | 'blob' | 'point' | 'application'>;

interface SshSignature {
  /** The key that it says it is by, in SSH's wire format. */
  readonly publicKey: Buffer;
  readonly namespace: string;
  readonly hash: string;
  readonly inner: Buffer;
}

/** The parts of an SSHSIG in binary, none of which has been checked. MALFORMED. */
export function readSshSignature(signature: Buffer): SshSignature {
  if (signature.length > MAX_SIGNATURE) throw malformed(`${signature.length} bytes, at most ${MAX_SIGNATURE} are read`);
  const reader = new SshReader(signature, 'the SSH signature');
  if (!reader.raw(MAGIC.length).equals(MAGIC)) throw malformed('it does not begin with SSHSIG');
  const version = reader.uint32();
  if (version !== VERSION) throw malformed(`its version is ${version}, expected ${VERSION}`);
  const publicKey = reader.string(MAX_FIELD);
  const namespace = reader.name();
  const reserved = reader.string(MAX_FIELD);
  const hash = reader.name();
  const inner = reader.string(MAX_FIELD);
  reader.end();
  if (reserved.length > 0) throw malformed('its reserved field is not empty');
  return { publicKey, namespace, hash, inner };
}

/**
 * Throws unless `signature` is the key's SSHSIG, in binary, over `message`: https://github.com/openssh/openssh-portable,
 * PROTOCOL.sshsig, and for security keys PROTOCOL.u2f. Algorithm, curve and application are those of the key that was
 * enrolled; namespace and hash are ours; a security key must have been touched. MALFORMED or SIGNATURE_INVALID says why.
 */
export function assertSshSignature(
  key: Key,
  message: Uint8Array,
  signature: Buffer,
  wanted: string = SSH_NAMESPACE,
): void {
  const { publicKey, namespace, hash, inner } = readSshSignature(signature);
  if (!publicKey.equals(key.blob)) throw invalid('it is by another key');
  if (namespace !== wanted) throw invalid(`it is for ${quote(namespace)}, not for ${wanted}`);
  if (hash !== HASH) throw invalid(`its hash is ${quote(hash)}, expected ${HASH}`);
  if (!verifyInner(key, toBeSigned(message, wanted), inner)) throw invalid('it does not fit the message');
}

function toBeSigned(message: Uint8Array, namespace: string): Buffer {
  const digest = createHash(HASH).update(message).digest();
  return Buffer.concat([MAGIC, ...[namespace, '', HASH, digest].map(sshString)]);
}

/** The armored SSHSIG of an Ed25519 key that is no SSH key, as `ssh-keygen -Y sign` makes it. */
export function signSsh(key: SigningKey, message: Uint8Array, namespace: string): string {
  if (key.algorithm !== 'ed25519') throw malformed(`it cannot be made with a key of ${key.algorithm}`);
  const point = key.keyObject.export({ format: 'der', type: 'spki' }).subarray(-ED25519_POINT);
  const blob = Buffer.concat([ED25519, point].map(sshString));
  const inner = Buffer.concat([ED25519, key.sign(toBeSigned(message, namespace))].map(sshString));
  const version = Buffer.from([0, 0, 0, VERSION]);
  const body = Buffer.concat([MAGIC, version, ...[blob, namespace, '', HASH, inner].map(sshString)]);
  const lines = encodeBase64(body).match(/.{1,70}/g) ?? [];
  return ['-----BEGIN SSH SIGNATURE-----', ...lines, '-----END SSH SIGNATURE-----', ''].join('\n');
}

/** Whether `signature` is the key's SSHSIG over `message`. */
export function isSshSignature(
  key: Key,
  message: Uint8Array,
  signature: Uint8Array,
  namespace: string = SSH_NAMESPACE,
): boolean {
  try {
    assertSshSignature(key, message, Buffer.from(signature), namespace);
    return true;
  } catch (error) {
    if (error instanceof CustodyError && ['MALFORMED', 'SIGNATURE_INVALID'].includes(error.code)) return false;
    throw error;
  }
}

/** The binary SSHSIG in the armor that `ssh-keygen -Y sign` writes. */
export function dearmor(armored: string): Buffer {
  const body = /^-----BEGIN SSH SIGNATURE-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END SSH SIGNATURE-----$/.exec(
    armored.trim(),
  )?.[1];
  if (body === undefined) throw malformed('it is not one "SSH SIGNATURE" block');
  return decodeBase64(body.replaceAll(/\r?\n/g, ''), 'the body of the SSH signature');
}

function verifyInner({ algorithm, point, application }: Key, signed: Buffer, inner: Buffer): boolean {
  const reader = new SshReader(inner, 'the SSH signature');
  if (reader.name() !== algorithm) throw invalid(`it was not made by ${algorithm}`);
  const bytes = point.algorithm === 'ed25519' ? reader.string(ED25519_SIGNATURE) : ecdsa(reader, point.algorithm);
  let message = signed;
  if (application !== null) {
    const seal = reader.raw(1 + COUNTER);
    if (((seal[0] ?? 0) & USER_PRESENT) === 0) throw invalid('nobody touched the security key');
    message = Buffer.concat([Buffer.from(sha256(application), 'hex'), seal, Buffer.from(sha256(signed), 'hex')]);
  }
  reader.end();
  const hash = { ed25519: null, 'ecdsa-p256': 'sha256', 'ecdsa-p384': 'sha384' }[point.algorithm];
  return verify(hash, message, { key: point.keyObject, dsaEncoding: 'ieee-p1363' }, bytes);
}

const COUNTER = 4;

/** RFC 5656, section 3.1.2: r and s. */
function ecdsa(reader: SshReader, curve: 'ecdsa-p256' | 'ecdsa-p384'): Buffer {
  const length = curve === 'ecdsa-p256' ? 32 : 48;
  const numbers = new SshReader(reader.string(2 * (length + 5)), 'the SSH signature');
  const both = [numbers.positive(length), numbers.positive(length)];
  numbers.end();
  return Buffer.concat(both);
}

function malformed(problem: string): CustodyError {
  return new CustodyError('MALFORMED', `the SSH signature is not acceptable: ${problem}`);
}

function invalid(problem: string): CustodyError {
  return new CustodyError('SIGNATURE_INVALID', `the SSH signature does not count: ${problem}`);
}
