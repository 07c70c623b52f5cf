import { CONSTRUCTS } from './artifacts.js';
import { ACKNOWLEDGING } from './notice.js';
import { SAFETY } from './override.js';
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
  /\.withinSeconds$/,
  /^rollout\.triggers\.(minimumSamples|maxErrorRate|maxLatencyMs|comparison\.tolerance|metrics\.[^.]+\.atMost)$/,
  /^rollout\.breaker\.(minimumSamples|maxErrorRate|maxLatencyMs|consecutiveFailures|probes)$/,
  /^rollout\.(stepTimeoutSeconds|deployWithinSeconds)$/,
  /^emergency\.killResponseSeconds$/,
  /^freshness\.(reissueSeconds|lifetimeSeconds)$/,
  /^override\.holdsSeconds$/,
  /^training\.limits\./,
  /^drills\.\w+(Ms|Seconds)$/,
  /^promotion\.maxAgeSeconds$/,
  /^validation\.suites\.[^.]+\.maximumGap$/,
];
const LESS_IS_WEAKER = [
  /^rootThreshold$/,
  /\.count$/,
  /^validation\.suites\.[^.]+\.(.*\.)?minimum\w+$/,
  /\.bakeSeconds$/,
  // Whoever wants fewer false alarms gets fewer alarms.
  /^rollout\.triggers\.(comparison\.maxFalseAlarmRate|metrics\.[^.]+\.atLeast)$/,
  /^rollback\.(warmReleases|windowSeconds)$/,
  /^rollout\.breaker\.openSeconds$/,
  /^retention\./,
  /^retirement\.noticeSeconds$/,
  /^training\.repositories\.[^.]+\.reviewers$/,
];
/** What is an exception by being there: weaker where it appears, stronger where it goes. */
const EXCEPTIONS = [
  /^validation\.allowUnisolated$/,
  /^retirement\.waiver$/,
  /^artifacts\.allowUnreviewedPrompts$/,
  /^override\./,
  /^emergency\.deployment\./,
  /^versioning\.config\.keys\./,
  // What is listed here may come in.
  /^artifacts\.(formats|scanners)\./,
  /^readers\./,
  // Without these nothing is trained.
  /^training\.repositories\./,
  // Without these no run has a network.
  /^training\.destinations\./,
  /^approvals\.train\./,
  // There a machine takes back what it has stopped, without people.
  /^drills\.model$/,
];

/**
 * What differs between two policies: people and workloads by id, everything else by path, in which members of a list stand
 * by what they are called. A rule is weaker when it demands less or allows more; so is what gives somebody a role or a key, or
 * a key more time.
 */
export function diffPolicies(before: Policy, after: Policy): readonly PolicyChange[] {
  const [from, to] = [partsOf(before), partsOf(after)];
  return [
    ...diffAuthorities(before.authorities, after.authorities),
    ...diffSet('validation.always', from.always, to.always),
    ...diffSet('artifacts.denied', from.denied, to.denied),
    ...diffSet('retirement.acknowledge', from.acknowledge, to.acknowledge),
    ...diffRules(leaves(from.rules), leaves(to.rules)),
  ];
}

interface Parts {
  readonly rules: object;
  readonly always: readonly string[];
  readonly denied: readonly string[];
  readonly acknowledge: readonly string[];
}

/** `always`, `denied` and `acknowledge` are sets with a default; every other rule is a value at its path. */
function partsOf(policy: Policy): Parts {
  const { always = SAFETY, ...validation } = policy.validation;
  const { denied = CONSTRUCTS, ...artifacts } = policy.artifacts;
  const { acknowledge = ACKNOWLEDGING, ...retirement } = policy.retirement;
  const rules = { ...policy, authorities: null, validation, artifacts, retirement };
  return { rules, always, denied, acknowledge };
}

/** What stands in such a set is forbidden: the more, the stricter. */
function diffSet(path: string, from: readonly string[], to: readonly string[]): PolicyChange[] {
  const gone = from.filter((criterion) => !to.includes(criterion));
  const come = to.filter((criterion) => !from.includes(criterion));
  return [
    ...gone.map((criterion): PolicyChange => ({ path, before: criterion, after: null, weakens: true })),
    ...come.map((criterion): PolicyChange => ({ path, before: null, after: criterion, weakens: false })),
  ];
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
  if (path === 'inventory.unknownCallers') return from === 'refuse';
  if (EXCEPTIONS.some((known) => known.test(path)) && (from === undefined || to === undefined)) return to !== undefined;
  // A rule that is gone, or is text and says something else, is for people to read: it may be anything.
  if (typeof from === 'string' && typeof to === 'string' && path !== 'expires') return true;
  if (to === undefined) return true;
  // A suite that was for every model is now for some, of a group not all must pass.
  if (from === undefined) return /^validation\.suites\.[^.]+\.(models\.|groups\..+minimumShare$)/.test(path);
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
    const gone = [...from].filter(([fact]) => !to.has(fact));
    const come = [...to].filter(([fact]) => !from.has(fact));
    const path = `authorities.${id}`;
    return [
      ...gone.map(([fact, bounds]): PolicyChange => ({ path, before: fact, after: null, weakens: bounds })),
      ...come.map(([fact, bounds]): PolicyChange => ({ path, before: null, after: fact, weakens: !bounds })),
    ];
  });
}

/** An authority as single facts, each there or not, with whether it takes something away: a claim that tokens must have. */
function membersOf(authority: Authority | undefined): ReadonlyMap<string, boolean> {
  if (authority === undefined) return new Map();
  const { roles, keys, ...rest } = authority;
  return new Map([
    ...roles.map((role) => [`role ${role}`, false] as const),
    ...keys.flatMap(keyFacts),
    ...[...leaves(rest)].map(
      ([path, value]) => [`${path} ${said(value) ?? ''}`, path.startsWith('oidc.claims.')] as const,
    ),
  ]);
}

function keyFacts({ validFrom, validUntil, ...material }: Authority['keys'][number]): (readonly [string, boolean])[] {
  const text = Object.values(material).join(' ');
  const key = `key ${text.replace(/-----(BEGIN|END) PUBLIC KEY-----/g, '').replaceAll(/\s*\n\s*/g, '')}`;
  return [
    [key, false],
    ...(validFrom === undefined ? [] : [[`${key} counts from ${validFrom}`, true] as const]),
    ...(validUntil === undefined ? [] : [[`${key} counts until ${validUntil}`, true] as const]),
  ];
}

function leaves(value: object, prefix = ''): ReadonlyMap<string, Leaf> {
  const found = new Map<string, Leaf>();
  for (const [name, member] of Array.isArray(value) ? namedMembers(value) : Object.entries(value)) {
    const path = `${prefix}${name}`;
    if (typeof member === 'object' && member !== null)
      for (const [inner, leaf] of leaves(member as object, `${path}.`)) found.set(inner, leaf);
    else found.set(path, member as Leaf);
  }
  return found;
}

/** By name, so that one that comes or goes changes none of the others: of a step its weight, of a word or a number itself. */
function namedMembers(list: readonly unknown[]): [string, unknown][] {
  return list.map((member, at) => {
    if (typeof member !== 'object' || member === null) return [String(member), member];
    const { name, suite, weight } = member as {
      readonly name?: string;
      readonly suite?: string;
      readonly weight?: number;
    };
    return [name ?? suite ?? (weight === undefined ? String(at) : `${weight}%`), member];
  });
}

function said(value: Leaf | undefined): string | null {
  return value === undefined ? null : String(value);
}
