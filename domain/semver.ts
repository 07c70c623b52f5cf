/** Semantic Versioning 2.0.0 of the versions that `isVersion` accepts: without build metadata, so that no two are equal. */

export const BUMPS = ['none', 'patch', 'minor', 'major'] as const;
/** By how much a version is raised; `none` where nothing has changed. */
export type Bump = (typeof BUMPS)[number];

interface Parts {
  readonly core: readonly [number, number, number];
  readonly prerelease: readonly string[];
}

function partsOf(version: string): Parts {
  const dash = version.indexOf('-');
  const [major = 0, minor = 0, patch = 0] = (dash < 0 ? version : version.slice(0, dash)).split('.').map(Number);
  return { core: [major, minor, patch], prerelease: dash < 0 ? [] : version.slice(dash + 1).split('.') };
}

export function isPrerelease(version: string): boolean {
  return version.includes('-');
}

/** Precedence by SemVer 2.0.0, section 11: below zero where `a` comes before `b`. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [partsOf(a), partsOf(b)];
  const core = left.core.map((part, at) => part - (right.core[at] ?? 0)).find((difference) => difference !== 0);
  if (core !== undefined) return core;
  const [before, after] = [left.prerelease, right.prerelease];
  if (before.length === 0 || after.length === 0) return after.length - before.length;
  for (let at = 0; at < Math.min(before.length, after.length); at += 1) {
    const difference = compareIdentifiers(before[at] ?? '', after[at] ?? '');
    if (difference !== 0) return difference;
  }
  return before.length - after.length;
}

/** Numbers by size, and before text; text by ASCII. */
function compareIdentifiers(a: string, b: string): number {
  const [left, right] = [a, b].map((text) => /^\d+$/.test(text)) as [boolean, boolean];
  if (left !== right) return left ? -1 : 1;
  if (left && a.length !== b.length) return a.length - b.length;
  return a === b ? 0 : a < b ? -1 : 1;
}

export function compareBumps(a: Bump, b: Bump): number {
  return BUMPS.indexOf(a) - BUMPS.indexOf(b);
}

export function largestBump(bumps: Iterable<Bump>): Bump {
  let largest: Bump = 'none';
  for (const bump of bumps) if (compareBumps(bump, largest) > 0) largest = bump;
  return largest;
}

/**
 * The highest place in which `to` is above `from`. A pre-release counts as the version it leads to; between two of one
 * version nothing is raised: otherwise a chain of pre-releases could change everything under one number.
 */
export function bumpBetween(from: string, to: string): Bump {
  const [before, after] = [partsOf(from).core, partsOf(to).core];
  const at = before.findIndex((part, place) => part !== after[place]);
  if (at < 0 || (after[at] ?? 0) < (before[at] ?? 0)) return 'none';
  return (['major', 'minor', 'patch'] as const)[at] ?? 'none';
}

/** The lowest version that is raised by so much. */
export function raise(version: string, bump: Bump): string {
  const [major, minor, patch] = partsOf(version).core;
  switch (bump) {
    case 'major':
      return `${major + 1}.0.0`;
    case 'minor':
      return `${major}.${minor + 1}.0`;
    case 'patch':
    case 'none':
      return `${major}.${minor}.${patch + 1}`;
  }
}
