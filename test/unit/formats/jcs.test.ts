import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalBytes, isCanonical } from '../../../formats/jcs.js';
import { parseJson } from '../../../formats/json.js';

const malformed = (text: string | RegExp) =>
  expect.objectContaining({ code: 'MALFORMED', message: expect.stringMatching(text) as string });
const json = fc
  .jsonValue({ maxDepth: 5, stringUnit: 'binary' })
  .filter((value) => !/__proto__|constructor|prototype/.test(JSON.stringify(value)));

describe('canonicalBytes', () => {
  test('writes the examples of RFC 8785, sections 3.2.2 to 3.2.4', () => {
    const value = {
      numbers: [333333333.33333329, 1e30, 4.5, 2e-3, 0.000000000000000000000000001],
      string: '\u20ac$\u000f\u000aA\'\u0042\u0022\u005c\\"/',
      literals: [null, true, false],
    };
    expect(canonicalBytes(value).toString()).toBe(
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    );
  });

  test('orders keys by UTF-16 unit, as RFC 8785, section 3.2.3, shows', () => {
    const value = { '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '\ud83d\ude00': 5, '\u0080': 6, '\u00f6': 7 };
    const keys = Object.keys(JSON.parse(canonicalBytes(value).toString()) as object);
    expect(keys).toEqual(['1', '\r', '\u0080', '\u00f6', '\u20ac', '\ud83d\ude00', '\ufb33']);
  });

  test('is read back as the same value, and is its own canonical form', () => {
    fc.assert(
      fc.property(json, (value) => {
        const bytes = canonicalBytes(value);
        const again = parseJson(bytes, 'test');
        expect(canonicalBytes(again)).toEqual(bytes);
        expect(isCanonical(bytes)).toBe(true);
      }),
    );
  });

  test('does not depend on the order in which keys were written', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'binary' }), fc.integer()), (value) => {
        const reversed = Object.fromEntries(Object.entries(value).reverse());
        expect(canonicalBytes(reversed)).toEqual(canonicalBytes(value));
      }),
    );
  });

  test.each<[string, unknown, RegExp]>([
    ['undefined', undefined, /at "\$": undefined/],
    ['an undefined member', { a: { b: undefined } }, /at "\$\.a\.b": undefined/],
    ['an undefined item', [1, undefined], /at "\$\[1\]": undefined/],

    ['a hole in an array', [1, , 3], /at "\$\[1\]": undefined/],
    ['NaN', { a: NaN }, /NaN/],
    ['Infinity', [-Infinity], /-Infinity/],
    ['a bigint', { a: 1n }, /a bigint/],
    ['a function', { a: () => 1 }, /a function/],
    ['a toJSON that would stand in for the value', { a: 1, toJSON: () => ({ a: 2 }) }, /a function/],
    ['a symbol', [Symbol('x')], /a symbol/],
    ['a symbol as key', { [Symbol('x')]: 1 }, /a symbol as key/],
    ['a Date', { a: new Date(0) }, /an instance of a class/],
    ['a Buffer', Buffer.from('x'), /an instance of a class/],
    ['a Map', new Map([['a', 1]]), /an instance of a class/],
    ['a lone high surrogate', ['\ud800'], /lone surrogate/],
    ['a lone low surrogate in a key', { '\udc00': 1 }, /lone surrogate/],
  ])('refuses %s', (_, value, problem) => {
    expect(() => canonicalBytes(value)).toThrow(malformed(problem));
  });

  test('refuses a cycle instead of running for ever', () => {
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    expect(() => canonicalBytes(cycle)).toThrow(malformed('cycle'));
  });
});

test.each([
  ['white space', '{"a": 1}'],
  ['keys out of order', '{"b":1,"a":2}'],
  ['a number written otherwise', '[1.0]'],
  ['an escape that is not needed', '["\\u0061"]'],
  ['a line break at the end', '{}\n'],
  ['minus zero', '[-0]'],
  ['a duplicate key', '{"a":1,"a":1}'],
  ['no JSON at all', 'hello'],
])('isCanonical says no to %s', (_, text) => {
  expect(isCanonical(Buffer.from(text))).toBe(false);
});
