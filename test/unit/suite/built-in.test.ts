import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { builtInFolder } from '../../../adapters/model-server/built-in.js';
import { compareVersions } from '../../../domain/semver.js';
import { sha256 } from '../../../formats/sha256.js';
import { parseSuite } from '../../../formats/suite.js';

/**
 * The digest of every version of every suite that comes with Custody: policies name them, and a version means the same bytes
 * for ever. Who changes a suite raises its version and adds a line; no line is ever changed.
 */
const PINNED = JSON.parse(readFileSync(new URL('built-in.json', import.meta.url), 'utf8')) as Record<
  string,
  Record<string, string>
>;
const files = readdirSync(builtInFolder()).filter((name) => name.endsWith('.yaml'));

describe('a suite that comes with Custody', () => {
  it('is pinned', () => {
    expect(files.sort()).toEqual(Object.keys(PINNED).sort());
  });

  it.each(files)('attack: %s does not change under its version', (file) => {
    const bytes = readFileSync(join(builtInFolder(), file));
    const { suite, version } = parseSuite(bytes);
    const versions = PINNED[file] ?? {};
    expect(file).toBe(`${suite}.yaml`);
    expect(
      sha256(bytes),
      `${file} is not what it was as ${version}: raise its version, and add the digest to built-in.json`,
    ).toBe(versions[version]);
    expect(Object.keys(versions).sort(compareVersions).at(-1)).toBe(version);
    expect(new Set(Object.values(versions)).size).toBe(Object.keys(versions).length);
  });
});
