import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MAX_ENTRY_BYTES, decodeRecord, encodeRecord } from '../../../adapters/audit/record.js';
import { CHANGES, type AuditRecord } from '../../../domain/audit.js';
import { type CustodyError } from '../../../domain/errors.js';
import { isoTime } from '../../../domain/time.js';
import { aRecord } from './fixtures.js';

const text = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.string({
    unit: fc.constantFrom('"', '\\', '\n', '\u0000', '\u0007', '\u000b', '\u001f', '\u007f', '\u2028', '\ufeff'),
  }),
  fc.string({ unit: fc.constantFrom('a', '/', '{"id":"', '",', '\\u0061', '😀', '\u202e', '<') }),
);
const digest = fc.option(fc.stringMatching(/^[0-9a-f]{64}$/));
const record: fc.Arbitrary<AuditRecord> = fc.record({
  id: text.filter((id) => id !== ''),
  time: fc.oneof(fc.integer({ min: 0, max: 2 ** 42 }), fc.constantFrom(-1, 253402300800000)).map(isoTime),
  actor: fc.record({ id: text, statement: digest }),
  change: fc.constantFrom(...CHANGES),
  subject: fc.record({ model: text, version: fc.option(text), release: digest }),
  before: digest,
  after: digest,
  policy: digest,
  workflow: fc.option(fc.record({ id: text, runId: text })),
  reason: text,
});

describe('an entry of the audit log', () => {
  test('says exactly what its record says', () => {
    fc.assert(
      fc.property(record, (one) => {
        expect(decodeRecord(encodeRecord(one), 0)).toEqual(one);
      }),
      { numRuns: 500 },
    );
  });

  test('attack: of changed bytes, only those are taken that a record has as its one form', () => {
    const edit = fc.tuple(fc.nat(), fc.nat(3), fc.uint8Array({ maxLength: 3 }));
    fc.assert(
      fc.property(record, edit, (one, [at, gone, put]) => {
        const entry = encodeRecord(one);
        const start = at % entry.length;
        const changed = Buffer.concat([entry.subarray(0, start), put, entry.subarray(start + gone)]);
        const taken = ((): AuditRecord | null => {
          try {
            return decodeRecord(changed, 7);
          } catch (error) {
            expect(error).toMatchObject({ code: 'LOG_INVALID', details: { index: 7 } });
            return null;
          }
        })();
        if (taken !== null) expect(encodeRecord(taken).equals(changed)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  test.each([
    ['a day that there is not', /"time":"[^"]+/, '"time":"2026-02-30T10:00:00.000Z'],
    ['an escape that needs none', 'as agreed', String.raw`as \u0061greed`],
    ['an escape in capitals', 'as agreed', String.raw`as \u001Fagreed`],
    ['a slash that is escaped', 'as agreed', String.raw`as \/agreed`],
    ['a change that there is not', 'decision.accepted', 'decision-accepted'],
    ['an empty id', '"id":"one"', '"id":""'],
    ['a key more', '"workflow":null', '"workflow":null,"x":1'],
    ['white space', '"policy":null', '"policy": null'],
    ['something behind it', /$/, '\n'],
  ] as const)('attack: with %s, it is none', (_, what, other) => {
    const entry = encodeRecord(aRecord('one')).toString();
    const changed = entry.replace(what, other);
    expect(changed).not.toBe(entry);
    expect(() => decodeRecord(Buffer.from(changed), 3)).toThrow(
      expect.objectContaining({ code: 'LOG_INVALID', details: { index: 3 } }) as CustodyError,
    );
  });

  test('attack: bytes that are not UTF-8 are none', () => {
    const entry = Buffer.from(encodeRecord(aRecord('one', { reason: 'as agreed' })));
    entry.writeUInt8(0xff, entry.indexOf('as agreed'));
    expect(() => decodeRecord(entry, 0)).toThrow(/not valid from index 0/);
  });

  test('is as long as the longest that is kept, in time', () => {
    const reason = '\\'.repeat((MAX_ENTRY_BYTES - encodeRecord(aRecord('one', { reason: '' })).length) / 2);
    const long = aRecord('one', { reason });
    expect(decodeRecord(encodeRecord(long), 0)).toEqual(long);
    expect(() => encodeRecord(aRecord('one', { reason: `${reason}\\` }))).toThrow(/at most 32000/);
  });
});
