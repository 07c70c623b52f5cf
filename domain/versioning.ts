import type { Digest } from './digest.js';
import { bumpBetween, compareBumps, compareVersions, isPrerelease, largestBump, raise, type Bump } from './semver.js';

export const DEMANDS = ['patch', 'minor', 'major'] as const;
/** What a change demands at least. No change is free: other bytes are another release, which needs another version. */
export type Demand = (typeof DEMANDS)[number];

/** The written criteria: which change demands which bump. Each line is one kind of change, and `Rule` names it. */
export interface Versioning {
  readonly components: { readonly added: Demand; readonly removed: Demand };
  readonly tensors: {
    readonly added: Demand;
    readonly removed: Demand;
    readonly shape: Demand;
    readonly dtype: Demand;
  };
  /** The values of a tensor. */
  readonly weights: Demand;
  readonly vocabulary: { readonly added: Demand; readonly removed: Demand; readonly reordered: Demand };
  readonly config: {
    readonly default: Demand;
    /** By dotted key, for everything below it too. The longest that fits counts. */
    readonly keys: Readonly<Record<string, Demand>>;
  };
  readonly prompts: Demand;
  readonly guardrails: Demand;
  readonly dependencies: {
    readonly added: Demand;
    readonly removed: Demand;
    readonly major: Demand;
    readonly minor: Demand;
    readonly patch: Demand;
  };
  /** The command, its flags, and the code behind it. */
  readonly serving: Demand;
  readonly documentation: Demand;
  /** Bytes that nobody here can read. */
  readonly other: Demand;
}

/** The line of the criteria that judges a change. */
export const RULES = [
  'components.added',
  'components.removed',
  'tensors.added',
  'tensors.removed',
  'tensors.shape',
  'tensors.dtype',
  'weights',
  'vocabulary.added',
  'vocabulary.removed',
  'vocabulary.reordered',
  'config',
  'prompts',
  'guardrails',
  'dependencies.added',
  'dependencies.removed',
  'dependencies.major',
  'dependencies.minor',
  'dependencies.patch',
  'serving',
  'documentation',
  'other',
] as const;
export type Rule = (typeof RULES)[number];

/** One way in which a release differs from the one before. */
export interface ReleaseChange {
  /** `null`: the release as such. */
  readonly component: string | null;
  readonly file: string | null;
  /** The line of the policy's criteria that judges it. */
  readonly what: Rule;
  /** Which tensor, word, key or package; `null` for the whole file, and for changes that are only counted. */
  readonly path: string | null;
  readonly from: string | null;
  readonly to: string | null;
  /** Of weights: the length of the difference, as a share of the length before. An estimate; `null` where there is none. */
  readonly measure: number | null;
  /** How many changes this one stands for, where they are too many to list; else 0. */
  readonly more: number;
  readonly demands: Demand;
}

/** What a release changes against the highest released version below its own. Subject: the release. */
export interface ChangePredicate {
  readonly version: string;
  /** Digest of the facts of this release, against which the next one is compared. */
  readonly facts: Digest;
  /** `null` where nothing below it had been released. */
  readonly from: { readonly version: string; readonly release: Digest } | null;
  /** The version of each component, `null` where there is none of that name. */
  readonly components: readonly { readonly name: string; readonly from: string | null; readonly to: string | null }[];
  readonly changes: readonly ReleaseChange[];
  readonly leastBump: Bump;
}

export function demandOf({ what, path }: Pick<ReleaseChange, 'what' | 'path'>, criteria: Versioning): Demand {
  if (what === 'config') return configDemand(path, criteria.config);
  const [section, line] = what.split('.') as [keyof Versioning, string | undefined];
  const found = criteria[section];
  return line === undefined ? (found as Demand) : ((found as Readonly<Record<string, Demand>>)[line] ?? 'major');
}

/** Changes that are only counted could be of any key: then the strictest counts. */
function configDemand(path: string | null, { default: other, keys }: Versioning['config']): Demand {
  if (path === null) return largestBump([other, ...Object.values(keys)]) as Demand;
  const fitting = Object.keys(keys).filter((key) => path === key || path.startsWith(`${key}.`));
  const longest = fitting.sort((a, b) => b.length - a.length)[0];
  return longest === undefined ? other : (keys[longest] ?? other);
}

/** The least bump that these changes demand under these criteria. */
export function leastBump(changes: readonly ReleaseChange[], criteria: Versioning): Bump {
  return largestBump(changes.map((change) => demandOf(change, criteria)));
}

/**
 * Why a release may not have its version under the criteria; `null` where it may. Judged by the changes alone: what the
 * statement says they demand is for people.
 */
export function versionProblem(change: Omit<ChangePredicate, 'facts'>, criteria: Versioning): string | null {
  const { from, version, changes } = change;
  if (from === null) return null;
  if (isPrerelease(from.version))
    return `it was compared with ${from.version}, a pre-release: what counts is the release before that`;
  if (compareVersions(version, from.version) <= 0) return `${version} does not come after ${from.version}`;
  const least = leastBump(changes, criteria);
  const given = bumpBetween(from.version, version);
  if (compareBumps(given, least) < 0) {
    const grounds = changes.filter((each) => demandOf(each, criteria) === least);
    return `${version} is a ${given} version after ${from.version}, but its changes demand ${article(least)}: ${listed(grounds)}. Call it ${raise(from.version, least)} or higher`;
  }
  return componentProblem(change, criteria);
}

/** A component's own version tells of its own content. One that has the release's version goes with the release. */
function componentProblem(
  { version, components, changes }: Omit<ChangePredicate, 'facts'>,
  criteria: Versioning,
): string | null {
  for (const { name, from, to } of components) {
    if (from === null || to === null) continue;
    const own = changes.filter(({ component }) => component === name);
    const least = leastBump(own, criteria);
    const given = bumpBetween(from, to);
    if (least === 'none') {
      if (to !== from && !(to === version && compareVersions(to, from) > 0))
        return `the component ${name} has not changed: it keeps its version ${from}, and is not ${to}`;
    } else if (compareBumps(given, least) < 0)
      return `the component ${name} went from ${from} to ${to}, but its changes demand ${article(least)}: ${listed(own)}. Call it ${raise(from, least)} or higher`;
  }
  return null;
}

const MAX_GROUNDS = 3;

function article(bump: Bump): string {
  return `a ${bump} one`;
}

function listed(changes: readonly ReleaseChange[]): string {
  const named = changes.slice(0, MAX_GROUNDS).map(describeChange);
  const more = changes.length - named.length;
  return `${named.join('; ')}${more > 0 ? `; and ${more} more` : ''}`;
}

/** A change in a few words. */
export function describeChange({ component, what, path, from, to, more }: ReleaseChange): string {
  const place = [component, path].filter((part) => part !== null).join(' ');
  if (more > 0) return `${what} ${place} (${more} of them)`;
  if (from === null && to === null) return `${what} ${place}`;
  return `${what} ${place} (${from ?? 'none'} → ${to ?? 'none'})`;
}
