import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import type { EnvelopeSigner, SshAlgorithm } from '../../formats/keys.js';
import { importSshKey } from '../../formats/ssh-keys.js';
import { sshString } from '../../formats/ssh-wire.js';

/** What a signature says where it is not to be the right one. */
export interface SshsigOptions {
  readonly magic?: string;
  readonly version?: number;
  readonly publicKey?: Buffer;
  readonly namespace?: string;
  readonly reserved?: string;
  readonly hash?: 'sha256' | 'sha512';
  /** Of a security key: 1 is touch, 4 a PIN or fingerprint. */
  readonly flags?: number;
  readonly counter?: number;
  readonly application?: string;
  /** The name before the inner signature. */
  readonly named?: string;
  /** Changes the raw signature: 64 bytes of Ed25519, or r and s. */
  readonly raw?: (signature: Buffer) => Buffer;
  /** Encodes r or s; by default the shortest mpint. */
  readonly mpint?: (number: Buffer) => Buffer;
}

export interface TestSshKey extends EnvelopeSigner {
  readonly line: string;
  readonly blob: Buffer;
  readonly spkiPem: string;
  readonly privateKey: KeyObject;
  sshsig(message: Uint8Array, options?: SshsigOptions): Buffer;
}

const CURVES = {
  nistp256: { named: 'prime256v1', hash: 'sha256' },
  nistp384: { named: 'secp384r1', hash: 'sha384' },
} as const;

/** A key pair of OpenSSH's, and signatures by it as PROTOCOL.sshsig and PROTOCOL.u2f describe them: written from those. */
export function createSshKey(algorithm: SshAlgorithm, application = 'ssh:'): TestSshKey {
  const isSecurityKey = algorithm.startsWith('sk-');
  const curve = algorithm.includes('nistp384') ? 'nistp384' : algorithm.includes('nistp256') ? 'nistp256' : null;
  const { privateKey, publicKey } =
    curve === null ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: CURVES[curve].named });
  const jwk = publicKey.export({ format: 'jwk' });
  const part = (text = ''): Buffer => Buffer.from(text, 'base64url');
  const point = curve === null ? part(jwk.x) : Buffer.concat([Buffer.from([4]), part(jwk.x), part(jwk.y)]);
  const fields = [algorithm, ...(curve === null ? [] : [curve]), point, ...(isSecurityKey ? [application] : [])];
  const blob = Buffer.concat(fields.map(sshString));
  const line = `${algorithm} ${blob.toString('base64')}`;

  function sshsig(message: Uint8Array, options: SshsigOptions = {}): Buffer {
    const {
      magic = 'SSHSIG',
      namespace = 'custody@v1',
      reserved = '',
      hash = 'sha512',
      raw = (bytes) => bytes,
    } = options;
    const digest = createHash(hash).update(message).digest();
    const signed = Buffer.concat([Buffer.from('SSHSIG'), ...[namespace, reserved, hash, digest].map(sshString)]);
    const seal = Buffer.concat([Buffer.from([options.flags ?? 1]), uint32(options.counter ?? 7)]);
    const toSign = isSecurityKey
      ? Buffer.concat([sha256(options.application ?? application), seal, sha256(signed)])
      : signed;
    const hashed = curve === null ? null : CURVES[curve].hash;
    const bytes = raw(sign(hashed, toSign, { key: privateKey, dsaEncoding: 'ieee-p1363' }));
    const half = bytes.length / 2;
    const { mpint = shortest } = options;
    const value =
      curve === null
        ? bytes
        : Buffer.concat([bytes.subarray(0, half), bytes.subarray(half)].map((n) => sshString(mpint(n))));
    const inner = [sshString(options.named ?? algorithm), sshString(value), ...(isSecurityKey ? [seal] : [])];
    return Buffer.concat([
      Buffer.from(magic),
      uint32(options.version ?? 1),
      ...[options.publicKey ?? blob, namespace, reserved, hash, Buffer.concat(inner)].map(sshString),
    ]);
  }

  return {
    ...importSshKey(line),
    blob,
    line,
    spkiPem: publicKey.export({ format: 'pem', type: 'spki' }).toString(),
    privateKey,
    sshsig,
    sign: (message) => sshsig(message),
  };
}

/** An mpint without what it does not need: no zero in front but the one that keeps it positive. */
export function shortest(number: Buffer): Buffer {
  const digits = number.subarray(number.findIndex((byte) => byte !== 0));
  return (digits[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.alloc(1), digits]) : digits;
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function sha256(bytes: Buffer | string): Buffer {
  return createHash('sha256').update(bytes).digest();
}
