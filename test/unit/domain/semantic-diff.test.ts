import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { diffReleases } from '../../../domain/semantic-diff.js';
import type { Bump } from '../../../domain/semver.js';
import {
  demandOf,
  leastBump,
  versionProblem,
  type ChangePredicate,
  type ReleaseChange,
} from '../../../domain/versioning.js';
import { factsBytes, parseFacts } from '../../../formats/release-facts.js';
import { CRITERIA, factsOf, PARTS, weights, withFiles, type Part } from '../../support/facts.js';

type Parts = Readonly<Record<string, Part>>;
const diff = (to: Parts, from: Parts = PARTS) => diffReleases(factsOf(from), factsOf(to), CRITERIA);
const said = ({ what, path, from, to }: ReleaseChange): string => `${what} ${path ?? '-'} ${from ?? '-'} ${to ?? '-'}`;

describe('what has changed', () => {
  const cases: [string, Parts, readonly (string | RegExp)[], Bump][] = [
    [
      'a value of a tensor',
      withFiles('weights', { 'w.safetensors': weights({ a: [1, 2, 4], b: [4, 5] }) }),
      [/^weights a norm 3\.742 norm 4\.583$/],
      'minor',
    ],
    [
      'the shape of a tensor',
      withFiles('weights', { 'w.safetensors': weights({ a: [1, 2], b: [4, 5] }) }),
      ['tensors.shape a F32[3] F32[2]'],
      'major',
    ],
    [
      'a tensor less',
      withFiles('weights', { 'w.safetensors': weights({ a: [1, 2, 3] }) }),
      ['tensors.removed b F32[2] -'],
      'major',
    ],
    [
      'a tensor more',
      withFiles('weights', { 'w.safetensors': weights({ a: [1, 2, 3], b: [4, 5], c: [1] }) }),
      ['tensors.added c - F32[1]'],
      'minor',
    ],
    [
      'the metadata of the weights',
      withFiles('weights', { 'w.safetensors': weights({ a: [1, 2, 3], b: [4, 5] }, { scale: '2' }) }),
      [/^other - sha256/],
      'major',
    ],
    [
      'a value of the configuration',
      withFiles('config', { 'config.json': '{"model":{"inputs":4,"hidden":8},"batch":3}' }),
      ['config batch 2 3'],
      'patch',
    ],
    [
      'a key below one that the criteria name',
      withFiles('config', { 'config.json': '{"model":{"inputs":4,"hidden":9},"batch":2}' }),
      ['config model.hidden 8 9'],
      'minor',
    ],
    [
      'a key that the criteria name',
      withFiles('config', { 'config.json': '{"model":{"inputs":5,"hidden":8},"batch":2}' }),
      ['config model.inputs 4 5'],
      'major',
    ],
    [
      'a key that is gone',
      withFiles('config', { 'config.json': '{"model":{"hidden":8},"batch":2}' }),
      ['config model.inputs 4 -'],
      'major',
    ],
    [
      'only how the configuration is written',
      withFiles('config', { 'config.json': '{"batch":2,"model":{"inputs":4.0,"hidden":8}}' }),
      [/^config - sha256/],
      'major',
    ],
    [
      'a configuration that is no JSON any more',
      withFiles('config', { 'config.json': 'model: 4' }),
      [/^other - sha256/],
      'major',
    ],
    [
      'a label more, at the end',
      withFiles('labels', { 'labels.json': '{"labels":["cat","dog","owl","bee"]}' }),
      ['vocabulary.added "bee" - number 3'],
      'minor',
    ],
    [
      'a label more, in the middle',
      withFiles('labels', { 'labels.json': '{"labels":["cat","bee","dog","owl"]}' }),
      [
        'vocabulary.added "bee" - number 1',
        'vocabulary.reordered "dog" number 1 number 2',
        'vocabulary.reordered "owl" number 2 number 3',
      ],
      'major',
    ],
    [
      'a label less',
      withFiles('labels', { 'labels.json': '{"labels":["cat","dog"]}' }),
      ['vocabulary.removed "owl" number 2 -'],
      'major',
    ],
    [
      'something beside the labels',
      withFiles('labels', { 'labels.json': '{"labels":["cat","dog","owl"],"default":"cat"}' }),
      [/^other - /],
      'major',
    ],
    [
      'the number of a word',
      withFiles('words', { 'vocab.json': '{"a":1,"b":0,"c":2}' }),
      ['vocabulary.reordered "a" number 0 number 1', 'vocabulary.reordered "b" number 1 number 0'],
      'major',
    ],
    ['a prompt', withFiles('prompt', { 'system.txt': 'Be long.' }), [/^prompts - sha256/], 'minor'],
    ['a guardrail', withFiles('guardrail', { 'rules.txt': '' }), [/^guardrails - sha256/], 'major'],
    [
      'a package by its third place',
      withFiles('lock', { 'requirements.txt': 'torch==2.4.2\nnumpy==1.26.4\n' }),
      ['dependencies.patch pip torch 2.4.1 2.4.2'],
      'patch',
    ],
    [
      'a package by its second place, downwards',
      withFiles('lock', { 'requirements.txt': 'torch==2.3.1\nnumpy==1.26.4\n' }),
      ['dependencies.minor pip torch 2.4.1 2.3.1'],
      'minor',
    ],
    [
      'a package by its first place',
      withFiles('lock', { 'requirements.txt': 'torch==2.4.1\nnumpy==2.0.0\n' }),
      ['dependencies.major pip numpy 1.26.4 2.0.0'],
      'major',
    ],
    [
      'a package less',
      withFiles('lock', { 'requirements.txt': 'torch==2.4.1\n' }),
      ['dependencies.removed pip numpy 1.26.4 -'],
      'minor',
    ],
    [
      'a line of the lock that fixes no version',
      withFiles('lock', { 'requirements.txt': 'torch==2.4.1\nnumpy==1.26.4\n--extra-index-url https://x\n' }),
      [/^other - /],
      'major',
    ],
    ['the code that serves', withFiles('serving', { 'serve.mjs': 'stop();\n' }), [/^serving - sha256/], 'minor'],
    [
      'a file more to serve with',
      withFiles('serving', { 'serve.mjs': 'start();\n', 'more.mjs': '' }),
      [/^serving - - sha256/],
      'minor',
    ],
    ['the model card', withFiles('card', { 'README.md': '# Another\n' }), [/^documentation - sha256/], 'patch'],
  ];
  it.each(cases)('is %s', (_, to, changes, bump) => {
    const found = diff(to);
    expect(found.changes.map(said)).toEqual(
      changes.map((each) => (typeof each === 'string' ? each : expect.stringMatching(each))),
    );
    expect(found.leastBump).toBe(bump);
  });

  it('is the command, and each component that came or went', () => {
    const fewer = Object.fromEntries(Object.entries(PARTS).filter(([name]) => name !== 'card'));
    const more = {
      ...fewer,
      adapter: { kind: 'adapter' as const, files: { 'lora.safetensors': weights({ l: [1] }) } },
    };
    const found = diffReleases(factsOf(), factsOf(more, { command: ['node', 'serve.mjs', '--fast'] }), CRITERIA);
    expect(found.changes.map(({ component, what }) => [component, what])).toEqual([
      [null, 'serving'],
      ['adapter', 'components.added'],
      ['card', 'components.removed'],
    ]);
    expect(found.components).toContainEqual({ name: 'adapter', from: null, to: '1.0.0' });
    expect(found.components).toContainEqual({ name: 'card', from: '1.0.0', to: null });
  });

  it('attack: a component that is called by another kind is another component', () => {
    const found = diff({ ...PARTS, prompt: { kind: 'documentation', files: { 'system.txt': 'Obey me.' } } });
    expect(found.changes.map(({ what }) => what)).toEqual(['components.removed', 'components.added']);
    expect(found.leastBump).toBe('major');
  });

  it('attack: the same words in another order are seen, however many there are', () => {
    const words = Array.from({ length: 50_000 }, (_, at) => `w${at}`);
    const list = (these: readonly string[]): Parts => withFiles('labels', { 'labels.txt': these.join('\n') });
    const swapped = [...words];
    [swapped[7], swapped[40_000]] = ['w40000', 'w7'];
    expect(diff(list(swapped), list(words)).changes.map(said)).toEqual([
      'vocabulary.reordered "w7" number 7 number 40000',
      'vocabulary.reordered "w40000" number 40000 number 7',
    ]);
  });

  it('attack: a package of the same version with other contents is a major change', () => {
    const lock = (hash: string): Parts =>
      withFiles('lock', { 'requirements.txt': `torch==2.4.1 \\\n    --hash=sha256:${hash}\n` });
    expect(diff(lock('bb'), lock('aa')).changes.map(({ what }) => what)).toEqual(['dependencies.major']);
    const npm = (integrity: string): Parts =>
      withFiles('lock', {
        'package-lock.json': JSON.stringify({ packages: { 'node_modules/x': { version: '1.0.0', integrity } } }),
      });
    expect(diff(npm('b'), npm('a')).changes.map(({ what }) => what)).toEqual(['dependencies.major']);
  });

  it('attack: bytes that differ make a change, also where nothing in them is understood', () => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(PARTS)), fc.uint8Array({ maxLength: 40 }), (name, bytes) => {
        const part = PARTS[name] as Part;
        const [path = ''] = Object.keys(part.files);
        if (path.endsWith('.safetensors') || Buffer.from(part.files[path] ?? '').equals(Buffer.from(bytes))) return;
        const found = diff(withFiles(name, { [path]: Buffer.from(bytes) }));
        expect(found.changes.length).toBeGreaterThan(0);
        expect(found.leastBump).not.toBe('none');
      }),
    );
  });

  it('is nothing between a release and itself, in whatever order its parts and files are listed', () => {
    fc.assert(
      fc.property(
        fc.shuffledSubarray(Object.keys(PARTS), { minLength: 1 }),
        fc.integer({ min: 1, max: 64 }),
        (names, pieces) => {
          const some = Object.fromEntries(names.map((name) => [name, PARTS[name] as Part]));
          const sorted = Object.fromEntries(Object.entries(some).sort());
          const found = diffReleases(factsOf(some), parseFacts(factsBytes(factsOf(sorted, { pieces }))), CRITERIA);
          expect(found).toMatchObject({ changes: [], leastBump: 'none' });
        },
      ),
    );
  });

  it('is not that tensors lie in other files of a component', () => {
    const split = withFiles('weights', {
      '1.safetensors': weights({ a: [1, 2, 3] }),
      '2.safetensors': weights({ b: [4, 5] }),
    });
    expect(diff(split).changes).toEqual([]);
  });

  it('of a hundred thousand tensors is counted where it is too much to list, and judged as strictly', () => {
    const many = (by: number, count: number): Parts =>
      withFiles('weights', {
        'w.safetensors': weights(
          Object.fromEntries(Array.from({ length: count }, (_, at) => [`layer.${at}`, [at + by]])),
        ),
      });
    const [before, after] = [factsOf(many(0, 100_000)), factsOf(many(1, 99_000))];
    expect(factsBytes(before).length).toBeLessThan(64 * 2 ** 20);
    const { changes, leastBump: least } = diffReleases(before, after, CRITERIA);
    expect(changes.length).toBeLessThanOrEqual(200);
    const counted = changes.reduce((sum, { more }) => sum + (more === 0 ? 1 : more), 0);
    expect(counted).toBe(100_000);
    expect(least).toBe('major');
  }, 60_000);

  it('of more keys than can be listed counts as of the strictest key', () => {
    const keys = (value: number): string =>
      JSON.stringify(Object.fromEntries(Array.from({ length: 400 }, (_, at) => [`key${at}`, value])));
    const found = diff(
      withFiles('config', { 'config.json': keys(2) }),
      withFiles('config', { 'config.json': keys(1) }),
    );
    expect(found.changes.at(-1)).toMatchObject({ what: 'config', path: null, more: 201, demands: 'major' });
  });
});

describe('the version of a release', () => {
  const change = (version: string, from: string, what: ReleaseChange['what'] | null): ChangePredicate => ({
    ...{ version, facts: 'f', from: { version: from, release: 'r' }, components: [], leastBump: 'none' },
    changes:
      what === null
        ? []
        : [
            {
              ...{ component: 'x', file: null, what, path: null, from: null, to: null },
              measure: null,
              more: 0,
              demands: 'patch',
            },
          ],
  });

  it.each<[string, string, ReleaseChange['what'] | null, RegExp | null]>([
    ['1.0.1', '1.0.0', 'documentation', null],
    ['1.0.1', '1.0.0', null, null],
    [
      '1.0.1',
      '1.0.0',
      'weights',
      /1\.0\.1 is a patch version after 1\.0\.0, but its changes demand a minor one: weights x. Call it 1\.1\.0 or higher/,
    ],
    ['1.1.0', '1.0.0', 'weights', null],
    ['2.0.0', '1.0.0', 'documentation', null],
    ['1.1.0-rc.1', '1.0.0', 'weights', null],
    ['1.0.1-rc.1', '1.0.0', 'weights', /demand a minor one/],
    ['1.0.1', '1.0.0', 'other', /demand a major one/],
    ['0.2.0', '0.1.0', 'other', /demand a major one/],
  ])('%s after %s with a change of %s', (version, from, what, problem) => {
    const found = versionProblem(change(version, from, what), CRITERIA);
    if (problem === null) expect(found).toBeNull();
    else expect(found).toMatch(problem);
  });

  it.each<[string, string, string, string, boolean, RegExp | null]>([
    ['has changed and rose enough', '1.1.0', '0.3.0', '0.4.0', true, null],
    [
      'has changed and rose too little',
      '1.1.0',
      '0.3.0',
      '0.3.1',
      true,
      /labels went from 0\.3\.0 to 0\.3\.1, but .* minor/,
    ],
    ['has changed and kept its version', '1.1.0', '0.3.0', '0.3.0', true, /labels went from 0\.3\.0 to 0\.3\.0/],
    ['has changed and went back', '1.1.0', '2.0.0', '1.1.0', true, /labels went from 2\.0\.0 to 1\.1\.0/],
    ['has changed and left its pre-release', '1.1.0', '2.0.0-rc.1', '2.0.0', true, /labels went from/],
    ['has not changed and kept its version', '1.1.0', '0.3.0', '0.3.0', false, null],
    ['has not changed and goes with the release', '1.1.0', '1.0.0', '1.1.0', false, null],
    [
      'has not changed and rose by itself',
      '1.1.0',
      '0.3.0',
      '0.4.0',
      false,
      /labels has not changed: it keeps its version 0\.3\.0/,
    ],
    [
      'has not changed and went back to that of the release',
      '1.1.0',
      '2.0.0',
      '1.1.0',
      false,
      /labels has not changed/,
    ],
  ])('attack: a component that %s', (_, version, from, to, changed, problem) => {
    const of = change(version, '1.0.0', 'weights');
    const changes = of.changes.map((each) => ({ ...each, component: changed ? 'labels' : 'other' }));
    const found = versionProblem({ ...of, changes, components: [{ name: 'labels', from, to }] }, CRITERIA);
    if (problem === null) expect(found).toBeNull();
    else expect(found).toMatch(problem);
  });

  it('is judged by the strictest of its changes, in whatever order they stand', () => {
    const { changes } = diff({
      ...withFiles('card', { 'README.md': 'x' }),
      prompt: { kind: 'prompt', files: { 'system.txt': 'y' } },
    });
    fc.assert(
      fc.property(fc.shuffledSubarray([...changes]), (some) => {
        const bumps = some.map((each) => demandOf(each, CRITERIA));
        const expected = bumps.includes('major') ? 'major' : bumps.includes('minor') ? 'minor' : (bumps[0] ?? 'none');
        expect(leastBump(some, CRITERIA)).toBe(expected);
      }),
    );
  });
});
