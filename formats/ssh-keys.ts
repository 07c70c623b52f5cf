import { CustodyError } from '../domain/errors.js';
import { decodeBase64, encodeBase64 } from './base64.js';
import { quote } from './json.js';
import { importPoint, SSH_ALGORITHMS, type PublicKey, type SignatureVerifier, type SshAlgorithm } from './keys.js';
import { SshReader } from './ssh-wire.js';
import { isSshSignature } from './sshsig.js';

/** A public key as OpenSSH writes it: RFC 4253 section 6.6, RFC 5656, RFC 8709, and PROTOCOL.u2f for security keys. */
export interface SshPublicKey extends SignatureVerifier {
  readonly algorithm: SshAlgorithm;
  /** The key itself; with the same id as if it were enrolled as PEM, so that one key cannot pass for two. */
  readonly point: PublicKey;
  /** In SSH's wire format. */
  readonly blob: Buffer;
  /** What a security key signs for besides the message; `null` for keys of other kinds. */
  readonly application: string | null;
  /** Algorithm and base64, without a comment. */
  readonly line: string;
}

const MAX_LINE = 2048;
const MAX_BLOB = 512;
const UNCOMPRESSED = 0x04;
/** What OpenSSH registers its keys for. Another name is a web site's: what the key signs there is not meant for us. */
const SSH_APPLICATION = /^ssh:/;

interface Form {
  readonly algorithm: SshAlgorithm;
  readonly key: PublicKey['algorithm'];
  readonly curve: string | null;
  readonly pointLength: number;
  readonly isSecurityKey: boolean;
}

const FORMS: readonly Form[] = [
  { algorithm: 'ssh-ed25519', key: 'ed25519', curve: null, pointLength: 32, isSecurityKey: false },
  { algorithm: 'ecdsa-sha2-nistp256', key: 'ecdsa-p256', curve: 'nistp256', pointLength: 64, isSecurityKey: false },
  { algorithm: 'ecdsa-sha2-nistp384', key: 'ecdsa-p384', curve: 'nistp384', pointLength: 96, isSecurityKey: false },
  { algorithm: 'sk-ssh-ed25519@openssh.com', key: 'ed25519', curve: null, pointLength: 32, isSecurityKey: true },
  {
    algorithm: 'sk-ecdsa-sha2-nistp256@openssh.com',
    key: 'ecdsa-p256',
    curve: 'nistp256',
    pointLength: 64,
    isSecurityKey: true,
  },
];

/**
 * Reads the line of a public key, `<algorithm> <base64> [comment]`, as in `id_ed25519.pub`. MALFORMED: RSA, DSA, other
 * curves, certificates, points that are none, a security key that was registered for something else than SSH.
 */
export function importSshKey(line: string): SshPublicKey {
  const text = line.trim();
  if (text.length > MAX_LINE) throw malformed(`${text.length} characters, at most ${MAX_LINE} are read`);
  const [, name = '', base64 = ''] = /^([a-z0-9@.-]+) ([A-Za-z0-9+/=]+)(?: [^\r\n]*)?$/.exec(text) ?? [];
  if (name === '') throw malformed('expected one line: algorithm, key in base64, comment');
  const form = formOf(name);
  const key = importSshBlob(decodeBase64(base64, 'the SSH public key'));
  if (key.algorithm !== form.algorithm) throw malformed(`it is called ${name} and holds ${key.algorithm}`);
  return key;
}

/** The public key in an OpenSSH private key file, which is readable also where the private half is encrypted. */
export function importSshKeyOfPrivate(pem: string): SshPublicKey {
  const what = 'the OpenSSH private key';
  const [, body = ''] =
    /^-----BEGIN OPENSSH PRIVATE KEY-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END OPENSSH PRIVATE KEY-----$/.exec(
      pem.trim(),
    ) ?? [];
  const reader = new SshReader(decodeBase64(body.replaceAll(/\r?\n/g, ''), what), what);
  const magic = reader.raw(PRIVATE_MAGIC.length);
  if (!magic.equals(PRIVATE_MAGIC)) throw malformed('the private key file is not of openssh-key-v1');
  for (const maxLength of [64, 64, 256]) reader.string(maxLength);
  if (reader.uint32() !== 1) throw malformed('the private key file does not hold exactly one key');
  const blob = reader.string(MAX_PRIVATE_BLOB);
  return importSshBlob(blob);
}

/** Cipher, key derivation and its options, number of keys, public key, private key. */
const PRIVATE_MAGIC = Buffer.from('openssh-key-v1\0');
/** Room for the large key of an algorithm that is then refused by its name. */
const MAX_PRIVATE_BLOB = 4096;

/** The same from SSH's wire format. */
export function importSshBlob(blob: Buffer): SshPublicKey {
  const reader = new SshReader(blob, 'the SSH public key');
  const { algorithm, key, curve, pointLength, isSecurityKey } = formOf(reader.name());
  if (blob.length > MAX_BLOB) throw malformed(`${blob.length} bytes, at most ${MAX_BLOB} are read`);
  if (curve !== null && reader.name() !== curve) throw malformed(`its curve is not ${curve}`);
  const encoded = reader.string(pointLength + 1);
  const application = isSecurityKey ? reader.name(255) : null;
  reader.end();
  if (application !== null && !SSH_APPLICATION.test(application))
    throw malformed(`it was registered for ${quote(application)}, not for SSH`);
  if (curve !== null && encoded[0] !== UNCOMPRESSED) throw malformed('its point is not given whole');
  const point = importPoint(key, curve === null ? encoded : encoded.subarray(1));
  const parts = { keyId: point.keyId, algorithm, point, blob, application };
  return {
    ...parts,
    line: `${algorithm} ${encodeBase64(blob)}`,
    verify: (message, signature) => isSshSignature(parts, message, signature),
  };
}

function formOf(name: string): Form {
  const form = FORMS.find(({ algorithm }) => algorithm === name);
  if (form !== undefined) return form;
  throw malformed(`${quote(name)} is not one of ${SSH_ALGORITHMS.join(', ')}`);
}

function malformed(problem: string): CustodyError {
  return new CustodyError('MALFORMED', `not an acceptable SSH public key: ${problem}`);
}
