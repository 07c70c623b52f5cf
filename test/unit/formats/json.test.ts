import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { checkShape, parseJson, quote } from '../../../formats/json.js';

const malformed = (text: string | RegExp) =>
  expect.objectContaining({ code: 'MALFORMED', message: expect.stringMatching(text) as string });
const json = fc
  .jsonValue({ maxDepth: 5 })
  .filter((value) => !/__proto__|constructor|prototype/.test(JSON.stringify(value)));

describe('parseJson', () => {
  test('reads what JSON.parse reads', () => {
    fc.assert(
      fc.property(json, fc.constantFrom(undefined, 1, '\t'), (value, space) => {
        const text = JSON.stringify(value, null, space);
        expect(parseJson(text, 'test')).toEqual(JSON.parse(text));
        expect(parseJson(Buffer.from(text), 'test')).toEqual(JSON.parse(text));
      }),
    );
  });

  test('accepts no text that JSON.parse refuses', () => {
    const token = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"',
      '\\',
      'true',
      'nul',
      '-',
      '0',
      '1',
      '.',
      'e',
      ' ',
      '\n',
      '\f',
    );
    fc.assert(
      fc.property(fc.array(token, { maxLength: 12 }), (tokens) => {
        const text = tokens.join('');
        let strict: unknown;
        try {
          strict = parseJson(text, 'test');
        } catch {
          return;
        }
        expect(strict).toEqual(JSON.parse(text));
      }),
      { numRuns: 2000 },
    );
  });

  test('says what is wrong and where', () => {
    expect(() => parseJson('{\n  "a": 1,\n  "a": 2\n}', 'the manifest')).toThrow(
      expect.objectContaining({ code: 'MALFORMED', details: { what: 'the manifest', line: 3, column: 3 } }),
    );
    expect(() => parseJson('{"a": 1', 'the manifest')).toThrow(
      malformed(/^the manifest .* line 1, column 8: expected ","/),
    );
  });

  test.each([
    ['a duplicate key', '{"a":1,"a":1}', /stands twice/],
    ['a duplicate key in another spelling', '{"a":1,"\\u0061":2}', /stands twice/],
    ['a duplicate key far down', '[[{"x":{"b":1,"c":2,"b":3}}]]', /stands twice/],
    ['__proto__ as a key', '{"__proto__":{"admin":true}}', /"__proto__" is not allowed/],
    ['__proto__ spelled with escapes', '{"\\u005f_proto__":1}', /not allowed/],
    ['constructor as a key', '{"a":{"constructor":{"prototype":1}}}', /not allowed/],
    ['prototype as a key', '{"prototype":1}', /not allowed/],
    ['a byte-order mark', '\ufeff{}', /byte-order mark/],
    ['two documents', '{}{}', /after the end/],
    ['nothing', ' ', /ends too early/],
    ['a trailing comma', '[1,]', /expected a value/],
    ['a comment', '[1/*x*/]', /expected ","/],
    ['single quotes', "{'a':1}", /double quotes/],
    ['a leading zero', '[01]', /expected ","/],
    ['a plus sign', '[+1]', /expected a value/],
    ['NaN', 'NaN', /expected a value/],
    ['a number beyond every double', '[1e999]', /does not fit/],
    ['an integer that a double would change', '[9007199254740993]', /does not fit/],
    ['a very long integer', `[${'9'.repeat(500)}]`, /does not fit/],
    ['a raw line break in a string', '["a\nb"]', /must be escaped/],
    ['a bad escape', '["\\x41"]', /escape/],
    ['a string without an end', '["abc', /no end/],
    ['a string that ends in a backslash', '["abc\\', /no end/],
    ['a lone surrogate', '["\\ud800"]', /lone surrogate/],
    ['a lone surrogate as a key', '{"\\udc00":1}', /lone surrogate/],
    ['white space that JSON does not know', '[\u00a01]', /expected a value/],
  ])('refuses %s', (_, text, problem) => {
    expect(() => parseJson(text, 'test')).toThrow(malformed(problem));
  });

  test('refuses bytes that are not UTF-8', () => {
    expect(() => parseJson(Buffer.from([0x22, 0xff, 0x22]), 'test')).toThrow(malformed('not UTF-8'));
    expect(() => parseJson(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), 'test')).toThrow(malformed('not UTF-8'));
    expect(() => parseJson(Buffer.from([0xef, 0xbb, 0xbf, 0x31]), 'test')).toThrow(malformed('byte-order mark'));
  });

  test('reads 64 levels and refuses the 65th', () => {
    expect(() => parseJson('['.repeat(64) + ']'.repeat(64), 'test')).not.toThrow();
    expect(() => parseJson('['.repeat(65) + ']'.repeat(65), 'test')).toThrow(malformed('deeper than 64'));
    expect(() => parseJson('{"a":'.repeat(500_000), 'test', { maxBytes: 1e7 })).toThrow(malformed('deeper than 64'));
  });

  test('bounds bytes, counted in UTF-8, and values', () => {
    expect(() => parseJson(`"${'é'.repeat(10)}"`, 'test', { maxBytes: 22 })).not.toThrow();
    expect(() => parseJson(`"${'é'.repeat(10)}"`, 'test', { maxBytes: 21 })).toThrow(malformed('22 bytes, at most 21'));
    expect(() => parseJson(`"${'a'.repeat(1024 * 1024)}"`, 'test')).toThrow(malformed('too large'));
    expect(() => parseJson('[1,2,3]', 'test', { maxValues: 3 })).toThrow(malformed('more than 3 values'));
  });

  test('takes no more than linear time for megabytes of hostile text', () => {
    const hostile = [
      `{${Array.from({ length: 300_000 }, (_, i) => `"k${i}":${i}`).join(',')}}`,
      `["${'\\u0061'.repeat(1_000_000)}"]`,
      `[${'1'.repeat(5_000_000)}]`,
      `${' '.repeat(5_000_000)}x`,
    ];
    for (const text of hostile) {
      const start = performance.now();
      try {
        parseJson(text, 'test', { maxBytes: 1e8 });
      } catch (error) {
        expect(error).toMatchObject({ code: 'MALFORMED' });
      }
      expect(performance.now() - start).toBeLessThan(5000);
    }
  });
});

describe('checkShape', () => {
  const schema = z.strictObject({ a: z.number(), b: z.object({ c: z.string() }) });

  test('answers the value that fits', () => {
    expect(checkShape(schema, { a: 1, b: { c: 'x' } }, 'test')).toEqual({ a: 1, b: { c: 'x' } });
  });

  test('lists every path that does not fit', () => {
    const problems = [/a:.*number/, /b\.c:.*string/, /evil/];
    for (const problem of problems) {
      expect(() => checkShape(schema, { a: '1', b: {}, evil: 1 }, 'test')).toThrow(malformed(problem));
    }
  });

  test('keeps its message short and free of control characters, whatever it was given', () => {
    const many = z.array(z.number());
    expect(() => checkShape(many, Array(10_000).fill('x'), 'test')).toThrow(malformed('and 9980 more'));
    expect(() => checkShape(schema, { a: 1, b: { c: '' }, '\u001b[31m\u202e': 1 }, 'test')).toThrow(
      malformed(/\\u\{1b\}\[31m\\u\{202e\}/),
    );
  });
});

test('quote escapes what a terminal or a log would obey', () => {
  expect(quote('a\n\u001b[2J\u200b')).toBe('"a\\u{a}\\u{1b}[2J\\u{200b}"');
  expect(quote('x'.repeat(1000)).length).toBeLessThan(210);
});
