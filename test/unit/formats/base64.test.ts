import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeBase64, encodeBase64 } from '../../../formats/base64.js';

const malformed = expect.objectContaining({ code: 'MALFORMED', details: { what: 'sig' } });
const urlSafe = (text: string) => text.replaceAll('+', '-').replaceAll('/', '_');

test('every byte string is read back from both alphabets', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const text = encodeBase64(bytes);
      expect(decodeBase64(text, 'sig')).toEqual(Buffer.from(bytes));
      expect(decodeBase64(urlSafe(text), 'sig')).toEqual(Buffer.from(bytes));
    }),
  );
});

test('encodes the view it is given, not the buffer beneath', () => {
  expect(encodeBase64(new Uint8Array([1, 2, 3, 4]).subarray(1, 3))).toBe('AgM=');
});

test('a text that is accepted is one of the two that its bytes have', () => {
  const char = fc.constantFrom('A', 'Q', 'g', '+', '/', '-', '_', '=', ' ', '\n', 'é');
  fc.assert(
    fc.property(fc.string({ unit: char, maxLength: 9 }), (text) => {
      let bytes: Buffer;
      try {
        bytes = decodeBase64(text, 'sig');
      } catch (error) {
        expect(error).toEqual(malformed);
        return;
      }
      expect([encodeBase64(bytes), urlSafe(encodeBase64(bytes))]).toContain(text);
    }),
    { numRuns: 3000 },
  );
});

test.each([
  ['white space inside', 'AQ ID'],
  ['a line break at the end', 'AQID\n'],
  ['junk that Buffer skips', 'AQ!ID'],
  ['missing padding', 'AQ'],
  ['half the padding', 'AQ='],
  ['too much padding', 'AQID='],
  ['padding only', '===='],
  ['padding in the middle', 'AQ==AQ=='],
  ['bits set after the last byte', 'AR=='],
  ['bits set after the last byte, of two', 'AQJ='],
  ['both alphabets at once', '+_+_'],
  ['a single character', 'A'],
  ['another script', 'ＡＱＩＤ'],
])('refuses %s', (_, text) => {
  expect(() => decodeBase64(text, 'sig')).toThrow(malformed);
});
