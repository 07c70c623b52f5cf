import { describe, expect, test } from 'vitest';
import { generateKey, importPrivateKey } from '../../../formats/keys.js';
import { encodeVerifierKey, openNote, parseVerifierKeys, signNote } from '../../../formats/signed-note.js';

const NAME = 'custody.example/prod';
const key = importPrivateKey(generateKey('ed25519').privatePem);
const malformed = expect.objectContaining({ code: 'MALFORMED' }) as Error;

describe('verifier keys', () => {
  test('are read as other people write them: the one of the Go checksum database', () => {
    const vkey = 'sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8';
    const { name, keys } = parseVerifierKeys(vkey);
    const [{ hint, key: parsed, until } = expect.fail('no key')] = keys;
    expect([name, hint.toString('hex'), until]).toEqual(['sum.golang.org', '033de0ae', null]);
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
    expect(() => parseVerifierKeys(vkey)).toThrow(malformed);
  });

  test('are Ed25519 keys under a name without spaces and plus', () => {
    const ecdsa = importPrivateKey(generateKey('ecdsa-p256').privatePem);
    expect(() => encodeVerifierKey(NAME, ecdsa)).toThrow(expect.objectContaining({ code: 'USAGE' }));
    for (const name of ['', 'a b', 'a+b', 'a\nb']) expect(() => encodeVerifierKey(name, key)).toThrow(malformed);
  });
});

describe('the keys of a log', () => {
  const [now, before, first] = Array.from({ length: 3 }, () =>
    encodeVerifierKey(NAME, importPrivateKey(generateKey('ed25519').privatePem)),
  );
  const strange = encodeVerifierKey('other.example', key);

  test('are the one of now, and those before it with the size at which each ended', () => {
    const { name, keys } = parseVerifierKeys(`${now}\n${before} until 300\n${first} until 17`);
    expect(name).toBe(NAME);
    expect(keys.map(({ until }) => until)).toEqual([null, 300, 17]);
  });

  test.each([
    ['nothing', ''],
    ['no key of now', `${now} until 3`],
    ['two keys of now', `${now}\n${before}`],
    ['an end after the one of the key that followed', `${now}\n${before} until 17\n${first} until 300`],
    ['another log', `${now}\n${strange} until 300`],
    ['the same key twice', `${now}\n${now} until 300`],
    ['an end that is no size', `${now}\n${before} until -1`],
    ['an end with a leading zero', `${now}\n${before} until 007`],
    ['an empty line', `${now}\n\n${before} until 300`],
    ['a line break of another kind', `${now}\r\n${before} until 300`],
    ['far too many', [now, ...Array.from({ length: 64 }, () => `${before} until 3`)].join('\n')],
  ])('are refused with %s', (_, text) => {
    expect(() => parseVerifierKeys(text)).toThrow(malformed);
  });
});

describe('a signed note', () => {
  const other = importPrivateKey(generateKey('ed25519').privatePem);
  const note = signNote('what they say\n', NAME, [key, other]);

  test('says which of the known keys have signed', () => {
    const [mine, theirs] = [encodeVerifierKey(NAME, key), encodeVerifierKey(NAME, other)];
    for (const [text, count] of [
      [mine, 1],
      [theirs, 1],
      [`${mine}\n${theirs} until 5`, 2],
    ] as const) {
      const { body, by } = openNote(note, 'the note', parseVerifierKeys(text));
      expect([body, by.length]).toEqual(['what they say\n', count]);
    }
  });

  test('is refused where a key that is known has not signed what it says', () => {
    const forged = Buffer.from(note.toString().replace('what', 'that'));
    expect(() => openNote(forged, 'the note', parseVerifierKeys(encodeVerifierKey(NAME, key)))).toThrow(
      expect.objectContaining({ code: 'SIGNATURE_INVALID' }),
    );
  });
});
