import { describe, expect, test } from 'vitest';
import { encodeVerifierKey, openCheckpoint, parseVerifierKey, signCheckpoint } from '../../../formats/checkpoint.js';
import { generateKey, importPrivateKey } from '../../../formats/keys.js';

const NAME = 'custody.example/prod';
const key = importPrivateKey(generateKey('ed25519').privatePem);
const verifier = parseVerifierKey(encodeVerifierKey(NAME, key));
const checkpoint = { origin: NAME, size: 1234, root: 'ab'.repeat(32) };
const note = signCheckpoint(checkpoint, key).toString();
const malformed = expect.objectContaining({ code: 'MALFORMED' }) as Error;
const unsigned = expect.objectContaining({ code: 'SIGNATURE_INVALID' }) as Error;

const openText = (text: string, by = verifier) => openCheckpoint(Buffer.from(text), by);

/** A note whose body is anything, with a good signature. */
function signed(body: string): string {
  const signature = Buffer.concat([verifier.hint, key.sign(Buffer.from(body))]).toString('base64');
  return `${body}\n— ${NAME} ${signature}\n`;
}

describe('verifier keys', () => {
  test('are read as other people write them: the one of the Go checksum database', () => {
    const vkey = 'sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8';
    const { name, hint, key: parsed } = parseVerifierKey(vkey);
    expect([name, hint.toString('hex')]).toEqual(['sum.golang.org', '033de0ae']);
    expect(encodeVerifierKey(name, parsed)).toBe(vkey);
  });

  test.each([
    ['another hint', 'sum.golang.org+033de0af+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8'],
    ['another name', 'sum.golang.com+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8'],
    ['another type', 'sum.golang.org+033de0ae+As4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8'],
    ['a short key', 'sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuA=='],
    ['no key', 'sum.golang.org+033de0ae+'],
    ['no name', '+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8'],
  ])('are refused with %s', (_, vkey) => {
    expect(() => parseVerifierKey(vkey)).toThrow(malformed);
  });

  test('are Ed25519 keys under a name without spaces and plus', () => {
    const ecdsa = importPrivateKey(generateKey('ecdsa-p256').privatePem);
    expect(() => encodeVerifierKey(NAME, ecdsa)).toThrow(expect.objectContaining({ code: 'USAGE' }));
    for (const name of ['', 'a b', 'a+b', 'a\nb']) expect(() => encodeVerifierKey(name, key)).toThrow(malformed);
  });
});

describe('checkpoints', () => {
  test('are read back to what was signed', () => {
    expect(openText(note)).toEqual(checkpoint);
    expect(openText(signCheckpoint({ ...checkpoint, size: 0 }, key).toString())).toEqual({ ...checkpoint, size: 0 });
  });

  test('open with other signatures beside ours, by whomever', () => {
    const witness = `— witness.example ${Buffer.alloc(72, 7).toString('base64')}\n`;
    expect(openText(note + witness)).toEqual(checkpoint);
    expect(openText(note.replace('\n\n', `\n\n${witness}`))).toEqual(checkpoint);
    expect(() => openText(note.slice(0, note.indexOf('\n\n') + 2) + witness)).toThrow(unsigned);
  });

  test('are refused under another key, even of the same name', () => {
    const other = importPrivateKey(generateKey('ed25519').privatePem);
    expect(() => openText(note, parseVerifierKey(encodeVerifierKey(NAME, other)))).toThrow(unsigned);
    expect(() => openText(note, { ...verifier, key: other })).toThrow(unsigned);
  });

  test('are refused with any character of the body changed', () => {
    const end = note.indexOf('\n\n');
    for (let at = 0; at < end; at++) {
      const changed = note.slice(0, at) + (note[at] === 'A' ? 'B' : 'A') + note.slice(at + 1);
      expect(() => openText(changed), `character ${at}`).toThrow(unsigned);
    }
  });

  test('are refused when one of two signatures of ours is wrong', () => {
    const wrong = Buffer.concat([verifier.hint, Buffer.alloc(64)]).toString('base64');
    expect(() => openText(`${note}— ${NAME} ${wrong}\n`)).toThrow(unsigned);
  });

  const root = Buffer.alloc(32, 0xab).toString('base64');
  test.each([
    ['another origin', `other.example\n1\n${root}\n`],
    ['no size', `${NAME}\n${root}\n`],
    ['a negative size', `${NAME}\n-1\n${root}\n`],
    ['a leading zero', `${NAME}\n01\n${root}\n`],
    ['a size that no number holds', `${NAME}\n9999999999999999\n${root}\n`],
    ['an empty size', `${NAME}\n\n${root}\n`],
    ['a short root', `${NAME}\n1\n${Buffer.alloc(31).toString('base64')}\n`],
    [
      'a root in the URL-safe alphabet',
      `${NAME}\n1\n${Buffer.alloc(32, 0xff).toString('base64').replaceAll('/', '_')}\n`,
    ],
    ['no root', `${NAME}\n1\n`],
    ['an extension line', `${NAME}\n1\n${root}\nextension\n`],
    ['an empty line at the end', `${NAME}\n1\n${root}\n\n`],
  ])('are refused with %s, though signed', (_, body) => {
    expect(() => openText(signed(body))).toThrow(malformed);
  });

  test.each([
    ['no end of line', note.slice(0, -1)],
    ['no signature', note.slice(0, note.indexOf('\n\n') + 1)],
    ['a carriage return', note.replaceAll('\n', '\r\n')],
    ['a signature line that is none', note.replace('— ', '- ')],
    ['nothing', ''],
    ['far too much', `${'a'.repeat(70_000)}${note}`],
  ])('are refused with %s', (_, text) => {
    expect(() => openText(text)).toThrow(malformed);
  });

  test('are refused when they are not UTF-8', () => {
    expect(() => openCheckpoint(Buffer.concat([Buffer.of(0xff), Buffer.from(note)]), verifier)).toThrow(malformed);
  });
});
