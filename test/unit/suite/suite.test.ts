import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { judge, type JudgedAnswer } from '../../../domain/assertion.js';
import { withModel, type Suite } from '../../../domain/suite.js';
import { boundedSearch } from '../../../adapters/model-server/search.js';
import { expectSchema } from '../../../formats/assertions.js';
import { parseLabelledData } from '../../../formats/labelled-data.js';
import { parseSuite } from '../../../formats/suite.js';
import { sha256 } from '../../../formats/sha256.js';

const DIGITS = 'examples/digits';
const MALFORMED = expect.objectContaining({ code: 'MALFORMED' }) as unknown;

const small = (cases: string): Buffer =>
  Buffer.from(`suite: s
version: 1.0.0
protocol: open-inference-v2
accuracy: { dataset: d.json, sha256: ${'a'.repeat(64)}, split: held-out, floor: 0.5, batch: 4 }
cases:
${cases}`);
/** A case that says what must not stand there, and of the status nothing. */
const ABSENT = (request: string): string =>
  `  - { id: a, kind: contract, request: ${request}, expect: { notContains: secret, notMatches: x } }\n`;
const ONE = '  - { id: a, kind: contract, request: { method: GET, path: /v2 }, expect: { status: 200 } }\n';

describe('a validation suite', () => {
  it('is what the digits example ships, with its data set', async () => {
    const suite = parseSuite(await readFile(`${DIGITS}/suite.yaml`));
    expect(suite.cases.length).toBeGreaterThanOrEqual(20);
    const bytes = await readFile(`${DIGITS}/${suite.accuracy?.dataset ?? ''}`);
    expect(sha256(bytes)).toBe(suite.accuracy?.sha256);
    const data = parseLabelledData(bytes);
    expect([data.rows.length, data.rows[0]?.values.length, data.input, data.output]).toEqual([
      397,
      64,
      'image',
      'label',
    ]);
  });

  it.each([
    ['two cases of one id', ONE + ONE],
    ['an unknown member', ONE.replace('status: 200', 'status: 200, statsu: 1')],
    ['no case', '  []'],
    ['a path that is none', ONE.replace('/v2 ', 'v2 ')],
    ['padding without a body', ONE.replace('path: /v2', 'path: /v2, padTo: 9')],
    ['a body twice', ONE.replace('path: /v2', 'path: /v2, rawBody: x, body: {}')],
    ['a duplicate key', ONE.replace('id: a', 'id: a, id: b')],
    ['an alias', ONE.replace('status: 200', 'status: 200, json: { a: &x 1, b: *x }')],
    ['a line break in a path', ONE.replace('/v2', '"/v2\\r\\nx: y"')],
  ])('attack: with %s is refused', (_, cases) => {
    expect(() => parseSuite(small(ONE))).not.toThrow();
    expect(() => parseSuite(small(cases))).toThrow(MALFORMED);
  });

  it('attack: a candidate that closes every connection, or answers with an error, has not said what is absent', () => {
    const passes = (suite: Suite, status: number | null): boolean => {
      const answer = { status, text: '', body: '', refused: false, ms: 5 };
      const [only] = suite.cases;
      return judge(only?.expect ?? [], answer, { model: 'm', prompts: [], search: boundedSearch }).verdict === 'passed';
    };
    const plain = parseSuite(small(ABSENT('{ method: GET, path: /v2 }')));
    expect([200, 404, 500, null].map((status) => passes(plain, status))).toEqual([true, true, false, false]);
    const yaml = small(ABSENT('{ chat: hello }'))
      .toString()
      .replace('open-inference-v2', 'openai-chat')
      .replace(/^accuracy.*\n/m, '');
    const chat = parseSuite(Buffer.from(yaml));
    expect([200, 404, 500, null].map((status) => passes(chat, status))).toEqual([true, false, false, false]);
  });

  it.each([
    ['rows of two widths', '{"input":"x","output":"y","cases":[{"x":[1],"y":"a"},{"x":[1,2],"y":"a"}]}'],
    ['a row without a label', '{"input":"x","output":"y","cases":[{"x":[1]}]}'],
    ['a label that is a number', '{"input":"x","output":"y","cases":[{"x":[1],"y":1}]}'],
    ['no rows', '{"input":"x","output":"y","cases":[]}'],
    ['empty rows', '{"input":"x","output":"y","cases":[{"x":[],"y":"a"}]}'],
  ])('attack: labelled data with %s are refused', (_, json) => {
    expect(() => parseLabelledData(Buffer.from(json))).toThrow(MALFORMED);
  });
});

describe('judging an answer', () => {
  const said = (text: string, status = 200): JudgedAnswer => ({ status, text, body: text, refused: false, ms: 5 });
  const candidate = { model: 'm', prompts: [], search: boundedSearch };
  const cases: [string, object, JudgedAnswer, boolean][] = [
    ['the status', { status: 200 }, said(''), true],
    ['another status', { status: 200 }, said('', 500), false],
    ['one of several statuses', { status: [400, 413] }, said('', 413), true],
    ['what it must contain', { status: 200, contains: 'error' }, said('an error'), true],
    ['without what it must contain', { status: 200, contains: 'error' }, said('fine'), false],
    ['what it must not contain', { status: 200, notContains: 'root:' }, said('root:x'), false],
    [
      'values at paths',
      { status: 200, json: { 'a.0.b': [1, 2], c: '{model}' } },
      said('{"a":[{"b":[1,2]}],"c":"m"}'),
      true,
    ],
    ['another value', { status: 200, json: { a: [1, 2] } }, said('{"a":[1,3]}'), false],
    ['a longer array', { status: 200, json: { a: [1, 2] } }, said('{"a":[1,2,3]}'), false],
    ['an object for an array', { status: 200, json: { a: [1] } }, said('{"a":{"0":1}}'), false],
    ['no such path', { status: 200, json: { 'a.b': null } }, said('{"a":null}'), false],
    ['an inherited member', { status: 200, json: { 'a.length': 1 } }, said('{"a":"x"}'), false],
    ['what is not JSON', { status: 200, json: { a: 1 } }, said('<html>'), false],
  ];
  it.each(cases)('takes %s as it should', (_, expected, answer, passes) => {
    const { verdict } = judge(expectSchema.parse(expected), answer, candidate);
    expect(verdict).toBe(passes ? 'passed' : 'failed');
  });

  it('puts the name of the model wherever it is meant', () => {
    expect(withModel({ a: ['{model}/x', 1, null] }, 'm')).toEqual({ a: ['m/x', 1, null] });
  });
});
