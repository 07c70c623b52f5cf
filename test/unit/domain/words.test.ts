import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { inert } from '../../../domain/markdown.js';
import {
  assertModelName,
  assertVersion,
  endpointId,
  isModelName,
  isVersion,
  isZone,
  lifecycleId,
  parseEndpointId,
  parseLifecycleId,
  trainingId,
} from '../../../domain/names.js';
import { bucketNames, storeKeys } from '../../../domain/store-keys.js';
import { isIsoTime, isoTime, MAX_SKEW_MS, outsideValidity, plusSeconds } from '../../../domain/time.js';
import { sha256 } from '../../../formats/sha256.js';

describe('names', () => {
  test.each(['digits', 'a', '0', 'gpt-5', 'x'.repeat(63)])('%s is a model', (name) => {
    expect(isModelName(name)).toBe(true);
    expect(parseEndpointId(endpointId(name))).toBe(name);
  });

  test.each(['', 'Digits', '-a', 'a/b', 'a.b', '..', 'a b', 'ä', 'a\n', 'x'.repeat(64)])('%j is no model', (name) => {
    expect(isModelName(name)).toBe(false);
    expect(() => assertModelName(name)).toThrow(expect.objectContaining({ code: 'USAGE' }));
    expect(parseEndpointId(`endpoint/${name}`)).toBeNull();
  });

  test.each(['0.0.0', '1.2.3', '10.20.30', '1.0.0-alpha', '1.0.0-alpha.1', '1.0.0-0.3.7', '1.0.0-x-y-z.4', '1.0.0--'])(
    '%s is a version',
    (version) => {
      expect(isVersion(version)).toBe(true);
      expect(parseLifecycleId(lifecycleId({ model: 'digits', version }))).toEqual({ model: 'digits', version });
    },
  );

  const WRONG = [
    '',
    '1',
    '1.2',
    '1.2.3.4',
    '01.2.3',
    '1.02.3',
    'v1.2.3',
    '1.2.3+build',
    '1.0.0-01',
    '1.0.0-',
    '1.0.0-a..b',
    '1.0.0\n',
    '9999999999.0.0',
    `1.0.0-${'a'.repeat(64)}`,
  ];
  test.each(WRONG)('%j is no version', (version) => {
    expect(isVersion(version)).toBe(false);
    expect(() => assertVersion(version)).toThrow(expect.objectContaining({ code: 'VERSION_INVALID' }));
    expect(parseLifecycleId(`lifecycle/digits/${version}`)).toBeNull();
  });

  test.each(['lifecycle/digits', 'lifecycle/digits/1.0.0/x', 'endpoint/digits/1.0.0', 'digits', ''])(
    '%j is no lifecycle',
    (id) => {
      expect(parseLifecycleId(id)).toBeNull();
    },
  );

  test('of workflows of different kinds are never the same', () => {
    expect(parseEndpointId(trainingId('digits', '1'))).toBeNull();
    expect(parseEndpointId('endpoint/digits/x')).toBeNull();
    expect(parseEndpointId(lifecycleId({ model: 'digits', version: '1.0.0' }))).toBeNull();
  });

  test('of zones are the ones there are', () => {
    expect(isZone('signing')).toBe(true);
    expect(isZone('vault')).toBe(false);
  });

  test('give up on long versions in linear time', () => {
    const started = performance.now();
    expect(isVersion(`1.0.0-${'0'.repeat(1_000_000)}`)).toBe(false);
    expect(performance.now() - started).toBeLessThan(1000);
  });
});

describe('times', () => {
  test('have one form', () => {
    expect(isoTime(0)).toBe('1970-01-01T00:00:00.000Z');
    for (const other of [
      '1970-01-01',
      '1970-01-01T00:00:00Z',
      '1970-01-01T00:00:00.000+00:00',
      '2026-02-30T00:00:00.000Z',
      'now',
      '',
    ])
      expect(isIsoTime(other)).toBe(false);
    fc.assert(
      fc.property(fc.date({ noInvalidDate: true, min: new Date(0), max: new Date('9999-12-31') }), (date) => {
        expect(isIsoTime(isoTime(date.getTime()))).toBe(true);
      }),
    );
  });

  test('go on over leap days and past 2038', () => {
    expect(plusSeconds('2028-02-28T23:59:59.000Z', 2)).toBe('2028-02-29T00:00:01.000Z');
    expect(plusSeconds('2038-01-19T03:14:07.000Z', 1)).toBe('2038-01-19T03:14:08.000Z');
    expect(plusSeconds('2026-03-29T00:59:59.500Z', 86_400)).toBe('2026-03-30T00:59:59.500Z');
  });

  const validity = { issuedAt: isoTime(1_000_000), expiresAt: isoTime(2_000_000) };
  test.each([
    [1_000_000 - MAX_SKEW_MS - 1, 'not yet valid'],
    [1_000_000 - MAX_SKEW_MS, null],
    [2_000_000, null],
    [2_000_001, 'expired'],
  ])('at %i ms a statement is %s', (now, verdict) => {
    expect(outsideValidity(validity, isoTime(now))).toBe(verdict);
  });
});

describe('keys of the store', () => {
  test('keep the order of numbers in the order of names', () => {
    fc.assert(
      fc.property(fc.nat(999_999_999), fc.nat(999_999_999), (a, b) => {
        const order = Math.sign(a - b);
        expect(Math.sign(storeKeys.policy(a) < storeKeys.policy(b) ? -1 : a === b ? 0 : 1)).toBe(order);
        expect(Math.sign(storeKeys.route('m', a) < storeKeys.route('m', b) ? -1 : a === b ? 0 : 1)).toBe(order);
      }),
    );
    expect(storeKeys.status(Date.parse('2026-01-01')) < storeKeys.status(Date.parse('2286-11-21'))).toBe(true);
  });

  test('never lie in one another, nor fall together', () => {
    const digest = sha256('x');
    const name = { model: 'digits', version: '1.0.0' };
    const all = [
      storeKeys.blob('id'),
      storeKeys.manifest(digest),
      storeKeys.version(name),
      storeKeys.request(digest),
      storeKeys.statement(digest),
      storeKeys.record(name, 'signed'),
      storeKeys.nonce('nonce'),
      storeKeys.policy(1),
      storeKeys.route('digits', 1),
      storeKeys.grounds(digest),
      storeKeys.lifted('digits', digest, 1),
      storeKeys.kill('digits', digest),
      storeKeys.revocation(digest),
      storeKeys.status(1),
      storeKeys.consumer('billing', 1, digest),
    ];
    expect(new Set(all).size).toBe(all.length);
    for (const key of all) expect(all.filter((other) => other.startsWith(`${key}/`))).toEqual([]);
  });

  test('lie in four buckets of the environment', () => {
    expect(Object.values(bucketNames('test'))).toEqual(['test-custody', 'test-audit', 'test-log', 'test-intake']);
  });
});

describe("somebody else's text", () => {
  test.each([
    ['[click](https://evil.example)', '\\[click\\](https\\://evil.example)'],
    ['<script>alert(1)</script>', '\\<script\\>alert(1)\\</script\\>'],
    ['**bold** `code` _x_ | y', '\\*\\*bold\\*\\* \\`code\\` \\_x\\_ \\| y'],
    ['see https://evil.example or WWW.evil.example', 'see https\\://evil.example or WWW\\.evil.example'],
    ['&#60;b&#62; ~~gone~~', '\\&#60;b\\&#62; \\~\\~gone\\~\\~'],
    ['a\nb\r\n# title', 'a b  # title'],
    ['\u001b[31mred', ' \\[31mred'],
    ['safe\u202etxt.exe', 'safe txt.exe'],
    ['back\\slash', 'back\\\\slash'],
  ])('%j is inert as %j', (text, shown) => {
    expect(inert(text)).toBe(shown);
  });

  test('is cut off, never inside a character', () => {
    expect(inert('x'.repeat(500), 10)).toBe(`${'x'.repeat(10)}…`);
    expect(inert(`${'x'.repeat(9)}\u{1f600}y`, 10)).not.toMatch(/\p{Surrogate}/u);
  });

  test('cannot begin anything in markdown, whatever it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 50 }), (text) => {
        const shown = inert(text);
        expect(shown).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/);
        expect(shown.replace(/\\[\\|<>[\]`*_~&:.]/g, '')).not.toMatch(/[\\|<>[\]`*_~&]/);
      }),
    );
  });
});
