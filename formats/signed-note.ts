import { CustodyError } from '../domain/errors.js';
import { decodeBase64, encodeBase64 } from './base64.js';
import { quote } from './json.js';
import { importPublicKey, type PublicKey, type SigningKey } from './keys.js';
import { sha256 } from './sha256.js';

/** Who signs for a log, now and before: C2SP signed notes. All keys have the log's name. */
export interface LogVerifier {
  readonly name: string;
  /** The one that signs now is first. */
  readonly keys: readonly NoteKey[];
}

export interface NoteKey {
  /** The first four bytes of the key's id in signed notes. */
  readonly hint: Buffer;
  readonly key: PublicKey;
  /** The largest log, in entries, that a key of earlier signs for; `null`: any. */
  readonly until: number | null;
}

const ED25519 = Buffer.of(0x01);
const ED25519_SIZE = 32;
const HINT_SIZE = 4;
const SIGNATURE_SIZE = 64;
/** DER of an Ed25519 SubjectPublicKeyInfo, up to the key (RFC 8410). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const MAX_NOTE_BYTES = 64 * 1024;
const MAX_SIGNATURES = 100;
const MAX_KEYS = 64;
/** Signed notes: not empty, neither space nor plus. */
const NAME = /^[^\s+\p{C}]+$/u;
const KEY_LINE = /^([^+]+)\+([0-9a-f]{8})\+(\S+)(?: until (0|[1-9]\d{0,14}))?$/;

/** The verifier key (vkey) of signed notes: `name+hint+base64(0x01 || public key)`. */
export function encodeVerifierKey(name: string, key: PublicKey): string {
  const raw = rawKey(key);
  return `${assertName(name)}+${hintOf(name, raw).toString('hex')}+${encodeBase64(Buffer.concat([ED25519, raw]))}`;
}

/**
 * The keys of a log, a line each: the vkey that signs now, then those before it, newest first, each as `<vkey> until <size>`. Only
 * the first counts for every size. MALFORMED when it is not that, a vkey is not Ed25519, or its hint is another key's.
 */
export function parseVerifierKeys(text: string): LogVerifier {
  const lines = text.split('\n');
  if (lines.length > MAX_KEYS) throw malformed("the log's keys", `more than ${MAX_KEYS}`);
  const [first, ...earlier] = lines.map(parseKeyLine);
  if (first === undefined || first.until !== null)
    throw malformed("the log's keys", 'the first line is the key of now');
  let last = Infinity;
  for (const { name, until } of earlier) {
    if (name !== first.name) throw malformed("the log's keys", `one has the name ${quote(name)}`);
    if (until === null || until > last)
      throw malformed("the log's keys", 'each but the first ends, before the one above');
    last = until;
  }
  const hints = new Set([first, ...earlier].map(({ hint }) => hint.toString('hex')));
  if (hints.size <= earlier.length) throw malformed("the log's keys", 'one is there twice');
  return { name: first.name, keys: [first, ...earlier] };
}

function parseKeyLine(line: string): NoteKey & { readonly name: string } {
  const [, name, hint, encoded, until] = KEY_LINE.exec(line) ?? [];
  if (name === undefined || hint === undefined || encoded === undefined)
    throw malformed('the verifier key', 'expected name+hint+key');
  const typed = decodeBase64(encoded, 'the key in the verifier key');
  const raw = typed.subarray(1);
  if (typed[0] !== ED25519[0] || raw.length !== ED25519_SIZE) throw malformed('the verifier key', 'it is not Ed25519');
  const expected = hintOf(assertName(name), raw);
  if (expected.toString('hex') !== hint)
    throw malformed('the verifier key', `its hint is ${quote(hint)}, expected ${expected.toString('hex')}`);
  const key = importPublicKey(encodeBase64(Buffer.concat([SPKI_PREFIX, raw])));
  return { name, hint: expected, key, until: until === undefined ? null : Number(until) };
}

/** `body` ends with a line break. Ed25519, so the same note always has the same bytes. */
export function signNote(body: string, name: string, keys: readonly SigningKey[]): Buffer {
  const lines = keys.map((key) => {
    const signature = Buffer.concat([hintOf(assertName(name), rawKey(key)), key.sign(Buffer.from(body))]);
    return `— ${name} ${encodeBase64(signature)}\n`;
  });
  return Buffer.from(`${body}\n${lines.join('')}`);
}

/**
 * What was signed, and by which of the log's keys; other people's signatures beside theirs are left alone. SIGNATURE_INVALID where
 * none of them has signed, or a signature of theirs is not valid.
 */
export function openNote(
  note: Buffer,
  what: string,
  verifier: LogVerifier,
): { readonly body: string; readonly by: readonly NoteKey[] } {
  if (note.length > MAX_NOTE_BYTES) throw malformed(what, `${note.length} bytes, at most ${MAX_NOTE_BYTES} are read`);
  const text = note.toString('utf8');
  if (!Buffer.from(text).equals(note) || /[^\P{Cc}\n]/u.test(text)) throw malformed(what, 'it is not plain UTF-8 text');
  const split = text.lastIndexOf('\n\n');
  if (split < 0 || !text.endsWith('\n')) throw malformed(what, 'it is not a signed note');
  const body = text.slice(0, split + 1);
  return { body, by: signersOf(what, body, text.slice(split + 2, -1).split('\n'), verifier) };
}

function signersOf(what: string, body: string, lines: readonly string[], { name, keys }: LogVerifier): NoteKey[] {
  if (lines.length > MAX_SIGNATURES) throw malformed(what, `more than ${MAX_SIGNATURES} signatures`);
  const found: NoteKey[] = [];
  const strange: string[] = [];
  for (const line of lines) {
    const [, signer, encoded] = /^— (\S+) (\S+)$/u.exec(line) ?? [];
    if (signer === undefined || encoded === undefined) throw malformed(what, 'a signature line is not one');
    const bytes = decodeBase64(encoded, `a signature of ${what}`);
    if (signer !== name) continue;
    const hint = bytes.subarray(0, HINT_SIZE);
    const known = keys.find((key) => key.hint.equals(hint));
    if (known === undefined) {
      strange.push(`${name}+${hint.toString('hex')}`);
      continue;
    }
    const signature = bytes.subarray(HINT_SIZE);
    if (signature.length !== SIGNATURE_SIZE || !known.key.verify(Buffer.from(body), signature))
      throw new CustodyError('SIGNATURE_INVALID', `the signature of ${name} under ${what} is not valid`);
    found.push(known);
  }
  if (found.length > 0) return found;
  const wanted = keys.map(({ hint }) => `${name}+${hint.toString('hex')}`).join(' or ');
  const instead = strange.length === 0 ? '' : `, but one of ${strange.join(' and ')}: a key that is not known here`;
  throw new CustodyError('SIGNATURE_INVALID', `${what} has no signature of ${wanted}${instead}`);
}

function hintOf(name: string, raw: Buffer): Buffer {
  const id = sha256(Buffer.concat([Buffer.from(`${name}\n`), ED25519, raw]));
  return Buffer.from(id, 'hex').subarray(0, HINT_SIZE);
}

function rawKey(key: PublicKey): Buffer {
  if (key.algorithm !== 'ed25519') throw new CustodyError('USAGE', `a log is signed by Ed25519, not ${key.algorithm}`);
  return key.keyObject.export({ format: 'der', type: 'spki' }).subarray(SPKI_PREFIX.length);
}

function assertName(name: string): string {
  if (NAME.test(name)) return name;
  throw malformed('the name of the log', 'it must not be empty nor have white space or "+"');
}

function malformed(what: string, problem: string): CustodyError {
  return new CustodyError('MALFORMED', `${what} is not acceptable: ${problem}`, { details: { what } });
}
