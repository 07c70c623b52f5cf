import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Manifest } from '../../../domain/manifest.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { findTwins, manifestBytes, omsResources, parseManifest, unsafePath } from '../../../formats/manifest.js';
import { sha256 } from '../../../formats/sha256.js';
import { createWorld } from '../../support/world.js';

const world = createWorld();
const { manifest, manifestText, release } = world.release();
const malformed = (message: RegExp): unknown =>
  expect.objectContaining({ code: 'MALFORMED', message: expect.stringMatching(message) as string });

/** The manifest of a release that has these files, all of one component unless told otherwise. */
function of(paths: readonly string[], components?: Manifest['components']): Manifest {
  return {
    ...manifest,
    components: components ?? [{ name: 'all', kind: 'weights', version: '1.0.0', files: paths }],
    files: paths.map((path) => ({ path, size: 1, sha256: sha256(path) })),
  };
}

const read = (value: unknown): Manifest => parseManifest(canonicalBytes(value));

describe('custody.json', () => {
  test('is read as it was written, and its digest is the release digest', () => {
    expect(parseManifest(Buffer.from(manifestText))).toEqual(manifest);
    expect(manifestBytes(manifest).toString('utf8')).toBe(manifestText);
    expect(sha256(manifestText)).toBe(release);
  });

  test('is signed over with its files', () => {
    const resources = omsResources(manifest, Buffer.from(manifestText));
    expect(resources).toContainEqual({ name: 'custody.json', sha256: release });
    expect(resources).toHaveLength(manifest.files.length + 1);
  });

  test('attack: has one form, so that one release has one digest', () => {
    const spaced = Buffer.from(JSON.stringify(manifest, null, 2));
    expect(() => parseManifest(spaced)).toThrow(malformed(/not in canonical form/));
    const reordered = Buffer.from(JSON.stringify(Object.fromEntries(Object.entries(manifest).reverse())));
    expect(() => parseManifest(reordered)).toThrow(malformed(/not in canonical form/));
    expect(() => parseManifest(Buffer.from(`${manifestText}\n`))).toThrow(malformed(/not in canonical form/));
  });

  const shapes: [string, unknown, RegExp][] = [
    ['an unknown member', { ...manifest, hooks: ['evil.sh'] }, /hooks/],
    ['another schema', { ...manifest, schema: 'https://custody.dev/manifest/v2' }, /schema/],
    ['a model name that climbs', { ...manifest, model: '../digits' }, /model/],
    ['a version with build metadata', { ...manifest, version: '1.0.0+1' }, /version/],
    ['no files', of([]), /files/],
    ['no components', { ...manifest, components: [] }, /components/],
    ['a size below zero', { ...manifest, files: [{ path: 'a', size: -1, sha256: sha256('a') }] }, /size/],
    ['a fraction of a byte', { ...manifest, files: [{ path: 'a', size: 0.5, sha256: sha256('a') }] }, /size/],
    [
      'a digest in upper case',
      { ...manifest, files: [{ path: 'a', size: 1, sha256: sha256('a').toUpperCase() }] },
      /sha256/,
    ],
    ['no command', { ...manifest, serving: { ...manifest.serving, command: [] } }, /command/],
  ];
  test.each(shapes)('is refused with %s', (_, value, message) => {
    expect(() => read(value)).toThrow(malformed(message));
  });

  const owners: [string, Manifest, RegExp][] = [
    ['a file twice', of(['a', 'a']), /same name but for case|two components/],
    [
      'a file of no component',
      of(['a', 'b'], [{ name: 'x', kind: 'config', version: '1.0.0', files: ['a'] }]),
      /"b" must be listed once/,
    ],
    [
      'a component of a missing file',
      of(['a'], [{ name: 'x', kind: 'config', version: '1.0.0', files: ['a', 'b'] }]),
      /"b" must be listed once/,
    ],
    [
      'a file of two components',
      of(
        ['a'],
        ['x', 'y'].map((name) => ({ name, kind: 'config' as const, version: '1.0.0', files: ['a'] })),
      ),
      /two components/,
    ],
    ['names that differ only in case', of(['Weights', 'weights']), /same name but for case/],
    ['a file of its own name', of(['custody.json']), /same name but for case/],
    ['a file of its own name in another case', of(['CUSTODY.json']), /same name but for case/],
    ['a file where another has a folder', of(['a', 'a/b']), /both a file and a folder/],
    ['a file where another has a folder, but for case', of(['A/b', 'a']), /both a file and a folder/],
  ];
  test.each(owners)('is refused with %s', (_, value, message) => {
    expect(() => read(value)).toThrow(malformed(message));
  });
});

describe('a path', () => {
  const bad: [string, string][] = [
    ['', 'is empty'],
    ['a'.repeat(1025), 'longer than 1,024'],
    ['ä'.repeat(513), 'longer than 1,024'],
    ['/etc/passwd', 'climbs or is absolute'],
    ['../a', 'climbs'],
    ['a/../../b', 'climbs'],
    ['a//b', 'climbs'],
    ['./a', 'climbs'],
    ['a/', 'climbs'],
    ['..', 'climbs'],
    ['C:\\a', 'backslash or a colon'],
    ['C:/a', 'backslash or a colon'],
    ['a\\b', 'backslash'],
    ['a\0b', 'control character'],
    ['a\nb', 'control character'],
    ['e\u0301', 'normal form C'],
    ['.git/hooks/post-checkout', 'version-control'],
    ['a/.github/x', 'version-control'],
    ['.gitattributes', 'version-control'],
    ['.GIT/config', 'version-control'],
    ['a\u202etxt.exe', 'invisible'],
    ['a\u200bb', 'invisible'],
    ['\ufeffa', 'invisible'],
    ['a\u0085b', 'control character'],
  ];
  test.each(bad)('attack: %j is not part of a release', (path, why) => {
    expect(unsafePath(path)).toContain(why);
    expect(() => read(of([path]))).toThrow(malformed(/not a safe relative path/));
  });

  test.each(['a', 'weights/a.safetensors', 'ä/ö', 'a b', '-rf', '日本', '...', 'a..b', 'x'.repeat(1024), '\u{1f600}'])(
    '%j may be',
    (path) => {
      expect(unsafePath(path)).toBeNull();
    },
  );

  test('never leaves its folder, whatever it is', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('..', '.', '', 'a', 'b', '/', '\\', ':', '\0', '.git'), { maxLength: 6 }),
        (parts) => {
          const path = parts.join('/');
          if (unsafePath(path) !== null) return;
          const resolved = new URL(path.split('/').map(encodeURIComponent).join('/'), 'file:///root/of/release/')
            .pathname;
          expect(resolved.startsWith('/root/of/release/')).toBe(true);
          expect(path.split('/')).not.toContain('..');
        },
      ),
    );
  });

  test('finds twins, and none where there is none', () => {
    expect(findTwins(['a', 'B', 'b'])).toEqual(['B', 'b']);
    expect(findTwins(['ä', 'Ä'])).toEqual(['ä', 'Ä']);
    expect(findTwins(['straße', 'STRASSE'])).toEqual(['straße', 'STRASSE']);
    expect(findTwins(['a', 'b'])).toBeNull();
  });
});
