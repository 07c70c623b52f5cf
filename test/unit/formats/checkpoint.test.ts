import { describe, expect, test } from 'vitest';
import { openCheckpoint, signCheckpoint } from '../../../formats/checkpoint.js';
import { encodeVerifierKey, parseVerifierKeys } from '../../../formats/signed-note.js';
import { generateKey, importPrivateKey } from '../../../formats/keys.js';

const NAME = 'custody.example/prod';
const key = importPrivateKey(generateKey('ed25519').privatePem);
const verifier = parseVerifierKeys(encodeVerifierKey(NAME, key));
const [own] = verifier.keys;
const checkpoint = { origin: NAME, size: 1234, root: 'ab'.repeat(32) };
const note = signCheckpoint(checkpoint, key).toString();
const malformed = expect.objectContaining({ code: 'MALFORMED' }) as Error;
const unsigned = expect.objectContaining({ code: 'SIGNATURE_INVALID' }) as Error;

const openText = (text: string, by = verifier) => openCheckpoint(Buffer.from(text), by);

/** A note whose body is anything, with a good signature. */
function signed(body: string): string {
  const signature = Buffer.concat([own?.hint ?? Buffer.alloc(4), key.sign(Buffer.from(body))]).toString('base64');
  return `${body}\n— ${NAME} ${signature}\n`;
}

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
    expect(() => openText(note, parseVerifierKeys(encodeVerifierKey(NAME, other)))).toThrow(unsigned);
    expect(() =>
      openText(note, { ...verifier, keys: [{ hint: own?.hint ?? Buffer.alloc(4), key: other, until: null }] }),
    ).toThrow(unsigned);
  });

  test('of a key that has been changed count up to the size at which it was', () => {
    const other = encodeVerifierKey(NAME, importPrivateKey(generateKey('ed25519').privatePem));
    const until = (size: number) => parseVerifierKeys(`${other}\n${encodeVerifierKey(NAME, key)} until ${size}`);
    expect(openText(note, until(1234))).toEqual(checkpoint);
    expect(openText(note, until(5000))).toEqual(checkpoint);
    expect(() => openText(note, until(1233))).toThrow(unsigned);
  });

  test('of a key that nobody knows here say so', () => {
    const other = encodeVerifierKey(NAME, importPrivateKey(generateKey('ed25519').privatePem));
    expect(() => openText(note, parseVerifierKeys(other))).toThrow(
      `no signature of ${other.split('+', 2).join('+')}, but one of ${NAME}+${own?.hint.toString('hex')}`,
    );
  });

  test('are refused with any character of the body changed', () => {
    const end = note.indexOf('\n\n');
    for (let at = 0; at < end; at++) {
      const changed = note.slice(0, at) + (note[at] === 'A' ? 'B' : 'A') + note.slice(at + 1);
      expect(() => openText(changed), `character ${at}`).toThrow(unsigned);
    }
  });

  test('are refused when one of two signatures of ours is wrong', () => {
    const wrong = Buffer.concat([own?.hint ?? Buffer.alloc(4), Buffer.alloc(64)]).toString('base64');
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
