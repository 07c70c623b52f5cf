import fc from 'fast-check';
import semver from 'semver';
import { describe, expect, it } from 'vitest';
import { isVersion } from '../../../domain/names.js';
import { bumpBetween, compareBumps, compareVersions, isPrerelease, raise, type Bump } from '../../../domain/semver.js';

const number = fc.integer({ min: 0, max: 3 });
const identifier = fc.constantFrom('alpha', 'beta', 'rc', '0', '1', '2', '10', 'a-b', 'Z', '-');
const version = fc
  .tuple(number, number, number, fc.array(identifier, { maxLength: 3 }))
  .map(([major, minor, patch, pre]) => `${major}.${minor}.${patch}${pre.length === 0 ? '' : `-${pre.join('.')}`}`);

describe('precedence', () => {
  it('is that of Semantic Versioning, as the semver package has it', () => {
    fc.assert(
      fc.property(version, version, (a, b) => {
        expect(isVersion(a)).toBe(true);
        expect(Math.sign(compareVersions(a, b))).toBe(semver.compare(a, b));
        expect(isPrerelease(a)).toBe((semver.prerelease(a) ?? []).length > 0);
      }),
    );
  });

  it('of numbers beyond 2^53 is by their digits', () => {
    expect(compareVersions('1.0.0-90071992547409930', '1.0.0-90071992547409931')).toBeLessThan(0);
  });

  it('attack: build metadata would make twins of equal precedence, and is no version', () => {
    for (const twin of ['1.0.0+x', '1.0.0+', '1.0.0-rc.1+build.5']) expect(isVersion(twin)).toBe(false);
  });
});

describe('the bump between two versions', () => {
  it.each<[string, string, Bump]>([
    ['1.2.3', '2.0.0', 'major'],
    ['1.2.3', '1.3.0', 'minor'],
    ['1.2.3', '1.2.4', 'patch'],
    ['1.2.3', '3.1.7', 'major'],
    ['1.2.3', '2.0.0-rc.1', 'major'],
    ['1.2.3', '1.2.4-rc.1', 'patch'],
    ['1.2.3', '1.2.3', 'none'],
    ['1.2.3', '1.2.3-rc.1', 'none'],
    ['2.0.0-rc.1', '2.0.0', 'none'],
    ['2.0.0', '1.9.9', 'none'],
    ['0.1.0', '0.2.0', 'minor'],
  ])('from %s to %s is %s', (from, to, bump) => {
    expect(bumpBetween(from, to)).toBe(bump);
  });

  it('to the lowest version that is raised by so much is just that, and to none below it', () => {
    fc.assert(
      fc.property(version, fc.constantFrom('patch', 'minor', 'major'), (from, bump) => {
        const next = raise(from, bump);
        expect(bumpBetween(from, next)).toBe(bump);
        expect(compareVersions(next, from)).toBeGreaterThan(0);
      }),
    );
  });

  it('grows with the version it leads to', () => {
    fc.assert(
      fc.property(version, version, version, (from, a, b) => {
        const [low, high] = compareVersions(a, b) <= 0 ? [a, b] : [b, a];
        expect(compareBumps(bumpBetween(from, low), bumpBetween(from, high))).toBeLessThanOrEqual(0);
      }),
    );
  });
});
