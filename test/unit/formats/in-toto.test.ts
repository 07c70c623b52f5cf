import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { sha256 } from '../../../formats/sha256.js';
import { makeStatement, parseStatement, PAYLOAD_TYPE, STATEMENT_TYPE } from '../../../formats/in-toto.js';
import { canonicalBytes } from '../../../formats/jcs.js';

const malformed = (text: string | RegExp) =>
  expect.objectContaining({ code: 'MALFORMED', message: expect.stringMatching(text) as string });
const APPROVAL = 'urn:custody:predicate:approval:v1';
const SIGNATURE = 'https://model_signing/signature/v1.0';
const schema = z.strictObject({ decision: z.enum(['approve', 'reject']), reason: z.string() });
const subject = [{ name: 'release', digest: { sha256: sha256('release') } }];
const predicate = { decision: 'approve' as const, reason: 'tests pass' };
const statement = makeStatement(APPROVAL, subject, predicate);
const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));

test('a statement is read back as it was made', () => {
  expect(PAYLOAD_TYPE).toBe('application/vnd.in-toto+json');
  expect(statement._type).toBe(STATEMENT_TYPE);
  expect(parseStatement(canonicalBytes(statement), APPROVAL, schema)).toEqual(statement);
});

test('a subject needs no name', () => {
  const unnamed = makeStatement(APPROVAL, [{ digest: { sha256: sha256('x') } }], predicate);
  expect(parseStatement(canonicalBytes(unnamed), APPROVAL, schema)).toEqual(unnamed);
});

test('passes over fields that in-toto may add, but not over those of the predicate', () => {
  const extended = { ...statement, _later: 1, subject: [{ ...subject[0], uri: 'x', mediaType: 'y' }] };
  expect(parseStatement(bytes(extended), APPROVAL, schema)).toEqual(statement);
  const widened = { ...statement, predicate: { ...predicate, scope: 'everything' } };
  expect(() => parseStatement(bytes(widened), APPROVAL, schema)).toThrow(malformed(/scope/));
});

describe('parseStatement refuses', () => {
  test('an approval where a model signature is expected, and the other way round', () => {
    expect(() => parseStatement(bytes(statement), SIGNATURE, z.unknown())).toThrow(
      malformed('counts for nothing here'),
    );
    const signature = { ...statement, predicateType: SIGNATURE };
    expect(() => parseStatement(bytes(signature), APPROVAL, schema)).toThrow(malformed('counts for nothing here'));
  });

  test.each([`${APPROVAL} `, APPROVAL.toUpperCase(), `${APPROVAL}/`, `${APPROVAL}.1`, ''])(
    'the predicate type "%s"',
    (type) => {
      const other = { ...statement, predicateType: type };
      expect(() => parseStatement(bytes(other), APPROVAL, schema)).toThrow(
        expect.objectContaining({ code: 'MALFORMED' }),
      );
    },
  );

  test.each<[string, unknown, RegExp]>([
    ['no subject', { ...statement, subject: [] }, /subject/],
    ['a subject without a digest', { ...statement, subject: [{ name: 'x' }] }, /subject\.0\.digest/],
    ['a digest of another kind', { ...statement, subject: [{ digest: { sha1: 'x' } }] }, /subject\.0\.digest\.sha256/],
    [
      'an upper-case digest',
      { ...statement, subject: [{ digest: { sha256: sha256('x').toUpperCase() } }] },
      /lower-case/,
    ],
    ['another statement type', { ...statement, _type: 'https://in-toto.io/Statement/v0.1' }, /_type/],
    ['no predicate', { ...statement, predicate: undefined }, /predicate/],
    ['an array', [statement], /shape/],
  ])('%s', (_, value, problem) => {
    expect(() => parseStatement(bytes(value), APPROVAL, schema)).toThrow(malformed(problem));
  });

  test('a predicate that does not fit, naming every path', () => {
    const wrong = { ...statement, predicate: { decision: 'maybe' } };
    for (const path of ['predicate.decision', 'predicate.reason']) {
      expect(() => parseStatement(bytes(wrong), APPROVAL, schema)).toThrow(malformed(path));
    }
  });

  test('a payload that is signed but no JSON', () => {
    expect(() => parseStatement(Buffer.from('not json'), APPROVAL, schema)).toThrow(malformed('not acceptable JSON'));
    expect(() => parseStatement(Buffer.alloc(0), APPROVAL, schema)).toThrow(malformed('ends too early'));
  });

  test('two predicates in one payload', () => {
    const twice = JSON.stringify(statement).replace('"predicate":', '"predicate":{},"predicate":');
    expect(() => parseStatement(Buffer.from(twice), APPROVAL, schema)).toThrow(malformed('stands twice'));
  });

  test('a payload larger than it was allowed to be', () => {
    expect(() => parseStatement(bytes(statement), APPROVAL, schema, { maxBytes: 10 })).toThrow(malformed('too large'));
  });
});

test('a statement about nothing cannot be made', () => {
  expect(() => makeStatement(APPROVAL, [], predicate)).toThrow(expect.objectContaining({ code: 'USAGE' }));
});
