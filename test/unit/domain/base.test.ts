import { describe, expect, it } from 'vitest';
import { baseDependency, baseOf, flawInBase, takenOver } from '../../../domain/base.js';
import type { Manifest, ManifestFile } from '../../../domain/manifest.js';
import { flawInBuild } from '../../../domain/provenance.js';
import { resultStands, reuseFlaw } from '../../../domain/scan.js';
import type { BuildDependency, ProvenancePredicate } from '../../../domain/statements.js';
import { createWorld } from '../../support/world.js';

const BASE = { model: 'digits', version: '1.0.0', release: 'a'.repeat(64) };
const RULES = { maxFiles: 10, maxFileBytes: 10 };
const usual = createWorld().release().provenance.predicate;
const naming = (...dependencies: readonly BuildDependency[]): ProvenancePredicate => {
  const { buildDefinition } = usual;
  const resolvedDependencies = [...buildDefinition.resolvedDependencies, ...dependencies];
  return { ...usual, buildDefinition: { ...buildDefinition, resolvedDependencies } };
};
const manifest = (...files: readonly ManifestFile[]) => ({ files }) as unknown as Manifest;
const file = (path: string, size: number, of: string): ManifestFile => ({ path, size, sha256: of.repeat(64) });

describe('the base that a provenance names', () => {
  it('is one release, by its digest', () => {
    expect(baseOf(naming(baseDependency(BASE)))).toEqual(BASE);
    expect(baseOf(usual)).toBeNull();
    expect(flawInBase(naming(baseDependency(BASE)))).toBeNull();
  });

  it.each<[string, readonly BuildDependency[]]>([
    ['two of them', [baseDependency(BASE), baseDependency({ ...BASE, version: '1.0.1' })]],
    ['one without its digest', [{ name: 'digits@1.0.0', annotations: { kind: 'base-release' } }]],
    ['one by another digest', [{ ...baseDependency(BASE), digest: { sha1: 'a'.repeat(40) } }]],
    ['one without a version', [{ ...baseDependency(BASE), name: 'digits' }]],
  ])('attack: %s is no provenance', (_, dependencies) => {
    const flaw = flawInBuild(naming(...dependencies), new Date().toISOString());
    expect(flaw).toMatchObject({ code: 'PROVENANCE_INVALID', reason: expect.stringMatching(/base-release|builds on/) });
  });
});

describe('what is taken over', () => {
  it('attack: is the same path, size and digest, and nothing that has two of them', () => {
    const base = manifest(file('a', 1, 'a'), file('b', 2, 'b'), file('c', 3, 'c'));
    const own = [file('a', 1, 'a'), file('b', 2, 'a'), file('c', 4, 'c'), file('d', 1, 'a')];
    expect(takenOver(manifest(...own), base)).toEqual([own[0]]);
  });
});

describe('the result of an earlier scan', () => {
  const means = { reader: 'r'.repeat(64), isolation: 'bubblewrap' } as const;

  it('may stand only from the same reader, isolated the same way', () => {
    expect(reuseFlaw(means, means)).toBeNull();
    expect(reuseFlaw({ isolation: 'bubblewrap' }, means)).toMatch(/does not say/);
    expect(reuseFlaw({ ...means, reader: 'x'.repeat(64) }, means)).toMatch(/another program/);
    expect(reuseFlaw({ ...means, isolation: 'none' }, means)).toMatch(/isolated/);
  });

  it('attack: stands for no file in another kind of component, of no format that a scanner is asked about, or that is refused', () => {
    const same = { before: 'weights', now: 'weights' } as const;
    const scanners = [{ name: 'picklescan', formats: ['pickle'] }] as const;
    expect(resultStands({ format: 'json' }, same, RULES)).toBe(true);
    expect(resultStands({ format: 'json' }, { ...same, now: 'serving' }, RULES)).toBe(false);
    expect(resultStands({ format: 'json' }, { before: undefined, now: undefined }, RULES)).toBe(false);
    expect(resultStands({ format: 'pickle' }, same, { ...RULES, scanners })).toBe(false);
    expect(resultStands({ format: 'pickle' }, same, RULES)).toBe(false);
  });
});
