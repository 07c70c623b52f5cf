import { CustodyError } from '../domain/errors.js';
import type { Digest } from '../domain/digest.js';
import { decodeBase64, encodeBase64 } from './base64.js';
import { quote } from './json.js';
import { importPublicKey, type PublicKey, type SigningKey } from './keys.js';
import { sha256 } from './sha256.js';
import { HASH_SIZE } from './tlog.js';

/** What a log commits to: C2SP tlog-checkpoint. The origin is the name of the key that signs. */
export interface Checkpoint {
  readonly origin: string;
  /** Entries. */
  readonly size: number;
  readonly root: Digest;
}

/** Who signs a log's checkpoints. */
export interface LogVerifier {
  readonly name: string;
  /** The first four bytes of the key's id in signed notes. */
  readonly hint: Buffer;
  readonly key: PublicKey;
}

const ED25519 = Buffer.of(0x01);
const ED25519_SIZE = 32;
const HINT_SIZE = 4;
const SIGNATURE_SIZE = 64;
/** DER of an Ed25519 SubjectPublicKeyInfo, up to the key (RFC 8410). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const MAX_NOTE_BYTES = 64 * 1024;
const MAX_SIGNATURES = 100;
/** Signed notes: not empty, neither space nor plus. */
const NAME = /^[^\s+\p{C}]+$/u;
const SIZE = /^(0|[1-9]\d{0,15})$/;

/** The verifier key (vkey) of signed notes: `name+hint+base64(0x01 || public key)`. */
export function encodeVerifierKey(name: string, key: PublicKey): string {
  const raw = rawKey(key);
  return `${assertName(name)}+${hintOf(name, raw).toString('hex')}+${encodeBase64(Buffer.concat([ED25519, raw]))}`;
}

/** MALFORMED when it is not an Ed25519 vkey, or its hint is another key's. */
export function parseVerifierKey(vkey: string): LogVerifier {
  const [, name, hint, encoded] = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/.exec(vkey) ?? [];
  if (name === undefined || hint === undefined || encoded === undefined)
    throw malformed('the verifier key', 'expected name+hint+key');
  const typed = decodeBase64(encoded, 'the key in the verifier key');
  const raw = typed.subarray(1);
  if (typed[0] !== ED25519[0] || raw.length !== ED25519_SIZE) throw malformed('the verifier key', 'it is not Ed25519');
  const expected = hintOf(assertName(name), raw);
  if (expected.toString('hex') !== hint)
    throw malformed('the verifier key', `its hint is ${quote(hint)}, expected ${expected.toString('hex')}`);
  return { name, hint: expected, key: importPublicKey(encodeBase64(Buffer.concat([SPKI_PREFIX, raw]))) };
}

/** The checkpoint as a signed note; Ed25519, so the same checkpoint always has the same bytes. */
export function signCheckpoint(checkpoint: Checkpoint, key: SigningKey): Buffer {
  const { origin, size, root } = checkpoint;
  const body = `${assertName(origin)}\n${size}\n${encodeBase64(Buffer.from(root, 'hex'))}\n`;
  const signature = Buffer.concat([hintOf(origin, rawKey(key)), key.sign(Buffer.from(body))]);
  return Buffer.from(`${body}\n— ${origin} ${encodeBase64(signature)}\n`);
}

/**
 * Reads a checkpoint that `verifier` has signed; other people's signatures beside it are left alone. SIGNATURE_INVALID
 * without a valid signature of its own; MALFORMED for another origin or form. Custody's logs have no extension lines.
 */
export function openCheckpoint(note: Buffer, verifier: LogVerifier): Checkpoint {
  const what = 'the checkpoint';
  if (note.length > MAX_NOTE_BYTES) throw malformed(what, `${note.length} bytes, at most ${MAX_NOTE_BYTES} are read`);
  const text = note.toString('utf8');
  if (!Buffer.from(text).equals(note) || /[^\P{Cc}\n]/u.test(text)) throw malformed(what, 'it is not plain UTF-8 text');
  const split = text.lastIndexOf('\n\n');
  if (split < 0 || !text.endsWith('\n')) throw malformed(what, 'it is not a signed note');
  const body = text.slice(0, split + 1);
  assertSigned(body, text.slice(split + 2, -1).split('\n'), verifier);
  return parseBody(body, verifier.name);
}

function assertSigned(body: string, lines: readonly string[], { name, hint, key }: LogVerifier): void {
  if (lines.length > MAX_SIGNATURES) throw malformed('the checkpoint', `more than ${MAX_SIGNATURES} signatures`);
  let signatures = 0;
  for (const line of lines) {
    const [, signer, encoded] = /^— (\S+) (\S+)$/u.exec(line) ?? [];
    if (signer === undefined || encoded === undefined) throw malformed('the checkpoint', 'a signature line is not one');
    const bytes = decodeBase64(encoded, 'a signature of the checkpoint');
    if (signer !== name || !bytes.subarray(0, HINT_SIZE).equals(hint)) continue;
    const signature = bytes.subarray(HINT_SIZE);
    if (signature.length !== SIGNATURE_SIZE || !key.verify(Buffer.from(body), signature))
      throw new CustodyError('SIGNATURE_INVALID', `the signature of ${name} under the checkpoint is not valid`);
    signatures += 1;
  }
  if (signatures === 0)
    throw new CustodyError('SIGNATURE_INVALID', `the checkpoint has no signature of ${name}+${hint.toString('hex')}`);
}

function parseBody(body: string, name: string): Checkpoint {
  const what = 'the checkpoint';
  const [origin, size, encoded, ...rest] = body.split('\n');
  if (origin !== name) throw malformed(what, `its origin is ${quote(origin ?? '')}, expected ${quote(name)}`);
  if (size === undefined || !SIZE.test(size) || !Number.isSafeInteger(Number(size)))
    throw malformed(what, 'its second line must be the size in decimal digits');
  const root = decodeBase64(encoded ?? '', 'the root hash of the checkpoint');
  if (root.length !== HASH_SIZE || encodeBase64(root) !== encoded) throw malformed(what, 'its root is not a SHA-256');
  if (rest.length !== 1 || rest[0] !== '') throw malformed(what, 'it has extension lines');
  return { origin, size: Number(size), root: root.toString('hex') };
}

function hintOf(name: string, raw: Buffer): Buffer {
  const id = sha256(Buffer.concat([Buffer.from(`${name}\n`), ED25519, raw]));
  return Buffer.from(id, 'hex').subarray(0, HINT_SIZE);
}

function rawKey(key: PublicKey): Buffer {
  if (key.algorithm !== 'ed25519')
    throw new CustodyError('USAGE', `checkpoints are signed by Ed25519, not ${key.algorithm}`);
  return key.keyObject.export({ format: 'der', type: 'spki' }).subarray(SPKI_PREFIX.length);
}

function assertName(name: string): string {
  if (NAME.test(name)) return name;
  throw malformed('the name of the log', 'it must not be empty nor have white space or "+"');
}

function malformed(what: string, problem: string): CustodyError {
  return new CustodyError('MALFORMED', `${what} is not acceptable: ${problem}`, { details: { what } });
}
