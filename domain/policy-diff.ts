import type { Authority, Policy } from './policy.js';

/** One difference between two policies, as people speak of it. */
export interface PolicyChange {
  readonly path: string;
  readonly before: string | null;
  readonly after: string | null;
  /** Whether less is demanded, or more allowed, than before. */
  readonly weakens: boolean;
}

type Leaf = string | number | boolean | null;

/** Where more is weaker, and where less is. What is in neither says nothing by its size. */
const MORE_IS_WEAKER = [
  /^expires$/,
  /^artifacts\.max/,
  /^approvals\.\w+\.withinSeconds$/,
  /^rollout\.triggers\.(minimumSamples|maxErrorRate|maxLatencyMs)$/,
  /^rollout\.(stepTimeoutSeconds|deployWithinSeconds)$/,
  /^rollout\.steps\.\d+\.weight$/,
  /^emergency\./,
  /^freshness\.(reissueSeconds|lifetimeSeconds)$/,
  /^override\./,
  /^training\./,
  /^validation\.suites\.\d+\.maximumGap$/,
];
const LESS_IS_WEAKER = [
  /^rootThreshold$/,
  /^approvals\.\w+\.count$/,
  /^validation\.suites\.\d+\.(.*\.)?minimum\w+$/,
  /^rollout\.steps\.\d+\.bakeSeconds$/,
  /^rollback\.warmReleases$/,
  /^retention\./,
  /^retirement\./,
];

/**
 * What differs between two policies: people and workloads by id, everything else by path. A rule is weaker when it demands
 * less or allows more; so is what gives somebody a role or a key, or a key more time.
 */
export function diffPolicies(before: Policy, after: Policy): readonly PolicyChange[] {
  const { authorities: from, ...rulesBefore } = before;
  const { authorities: to, ...rulesAfter } = after;
  return [...diffAuthorities(from, to), ...diffRules(leaves(rulesBefore), leaves(rulesAfter))];
}

function diffRules(before: ReadonlyMap<string, Leaf>, after: ReadonlyMap<string, Leaf>): PolicyChange[] {
  const paths = [...new Set([...before.keys(), ...after.keys()])];
  return paths.flatMap((path): PolicyChange[] => {
    const [from, to] = [before.get(path), after.get(path)];
    if (from === to) return [];
    return [{ path, before: said(from), after: said(to), weakens: path !== 'version' && weaker(path, from, to) }];
  });
}

function weaker(path: string, from: Leaf | undefined, to: Leaf | undefined): boolean {
  if (path === 'freshness.whenStale') return to === 'serve';
  // A rule that is gone, or is text and says something else, is for people to read: it may be anything.
  if (typeof from === 'string' && typeof to === 'string' && path !== 'expires') return true;
  if (to === undefined) return true;
  // A suite that was for every model and now is for some, a group of which all had to pass.
  if (from === undefined) return /^validation\.suites\.\d+\.(models\.|groups\..+minimumShare$)/.test(path);
  const more = path === 'expires' ? Date.parse(String(to)) > Date.parse(String(from)) : Number(to) > Number(from);
  if (MORE_IS_WEAKER.some((known) => known.test(path))) return more;
  if (LESS_IS_WEAKER.some((known) => known.test(path))) return !more;
  return from === true && to === false;
}

function diffAuthorities(before: readonly Authority[], after: readonly Authority[]): PolicyChange[] {
  const ids = [...new Set([...before, ...after].map(({ id }) => id))];
  return ids.flatMap((id) => {
    const from = membersOf(before.find((held) => held.id === id));
    const to = membersOf(after.find((held) => held.id === id));
    const gone = [...from].filter((member) => !to.has(member));
    const come = [...to].filter((member) => !from.has(member));
    const path = `authorities.${id}`;
    return [
      ...gone.map((fact): PolicyChange => ({ path, before: fact, after: null, weakens: isBound(fact) })),
      ...come.map((fact): PolicyChange => ({ path, before: null, after: fact, weakens: !isBound(fact) })),
    ];
  });
}

/** An authority as single facts: each is there or is not. */
function membersOf(authority: Authority | undefined): ReadonlySet<string> {
  if (authority === undefined) return new Set();
  const { roles, keys, ...rest } = authority;
  return new Set([
    ...roles.map((role) => `role ${role}`),
    ...keys.flatMap(keyFacts),
    ...[...leaves(rest)].map(([path, value]) => `${path} ${said(value) ?? ''}`),
  ]);
}

const BOUND = / (counts from|counts until) /;

function keyFacts({ validFrom, validUntil, ...material }: Authority['keys'][number]): string[] {
  const text = Object.values(material).join(' ');
  const key = `key ${text.replace(/-----(BEGIN|END) PUBLIC KEY-----/g, '').replaceAll(/\s*\n\s*/g, '')}`;
  return [
    key,
    ...(validFrom === undefined ? [] : [`${key} counts from ${validFrom}`]),
    ...(validUntil === undefined ? [] : [`${key} counts until ${validUntil}`]),
  ];
}

/** Whether a fact takes something away from its authority. */
function isBound(fact: string): boolean {
  return BOUND.test(fact);
}

function leaves(value: object, prefix = ''): ReadonlyMap<string, Leaf> {
  const found = new Map<string, Leaf>();
  for (const [name, member] of Object.entries(value)) {
    const path = `${prefix}${name}`;
    if (typeof member === 'object' && member !== null)
      for (const [inner, leaf] of leaves(member as object, `${path}.`)) found.set(inner, leaf);
    else found.set(path, member as Leaf);
  }
  return found;
}

function said(value: Leaf | undefined): string | null {
  return value === undefined ? null : String(value);
}
