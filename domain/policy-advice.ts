import { placeholdersOf } from './metrics.js';
import type { Authority, AuthorityKey, Policy, Role } from './policy.js';

/** What a policy may say and should not. An `error` could never work; a `warning` is for its signers to think about. */
export interface Advice {
  readonly severity: 'error' | 'warning';
  /** Where in the policy. */
  readonly path: readonly (string | number)[];
  readonly message: string;
}

const DAY_MS = 86_400_000;
const SHORT_DAYS = 30;
const DECIDING: readonly Role[] = ['release-approver', 'override-authority', 'security-authority'];

export function adviseOn(policy: Policy, now: string): readonly Advice[] {
  return [
    ...expiry(policy, now),
    ...roots(policy),
    ...quorums(policy, now),
    ...people(policy),
    ...triggers(policy),
    ...breaker(policy),
    ...labelledRows(policy),
    ...inventory(policy, now),
  ];
}

/** What living releases rest on by their roles: an approval, the evidence, a signature. */
const VOUCHING: readonly Role[] = [
  ...DECIDING,
  'requester',
  'reviewer',
  'producer',
  'validator',
  'control',
  'release-signer',
  'api',
  'verifier',
];

/** What a policy does to what has been signed under the one before: a key that is taken out never counted. */
export function adviseOnChange(before: Policy, after: Policy): readonly string[] {
  const kept = new Set(after.authorities.flatMap(({ id, keys }) => keys.map((key) => `${id} ${textOf(key)}`)));
  return before.authorities.flatMap(({ id, roles, keys }) => {
    if (!roles.some((role) => VOUCHING.includes(role))) return [];
    if (keys.every((key) => kept.has(`${id} ${textOf(key)}`))) return [];
    return roles.includes('release-signer')
      ? `a key of ${id} is taken out: releases that only it has signed are loaded no more. Under a policy with both keys, run \`custody resign --all\` first`
      : `a key of ${id} is taken out: nothing that it ever signed counts, and releases that rest on it are loaded no more. Unless it was stolen, give it \`validUntil\` instead`;
  });
}

function textOf(key: AuthorityKey): string {
  return 'pem' in key ? key.pem.trim() : key.ssh.trim();
}

function expiry({ expires }: Policy, now: string): Advice[] {
  const leftMs = Date.parse(expires) - Date.parse(now);
  const path = ['expires'];
  if (leftMs <= 0) return [{ severity: 'error', path, message: 'this is past: the policy can never be applied' }];
  if (leftMs >= SHORT_DAYS * DAY_MS) return [];
  const days = Math.floor(leftMs / DAY_MS);
  return [{ severity: 'warning', path, message: `${days} days are left until nothing can be approved any more` }];
}

function roots({ authorities, rootThreshold }: Policy): Advice[] {
  const holders = holdersOf(authorities, 'root').length;
  const advice: Advice[] = [];
  const warn = (message: string): number => advice.push({ severity: 'warning', path: ['rootThreshold'], message });
  if (rootThreshold === 1) warn('one person alone can change every rule: let two sign');
  if (holders === 1) warn('only one person holds the role root: without that key no policy follows this one');
  else if (holders === rootThreshold) warn('every root person must sign: one lost key, and no policy follows this one');
  return advice;
}

function quorums({ authorities, approvals }: Policy, now: string): Advice[] {
  return Object.entries(approvals).flatMap(([act, { role, count }]): Advice[] => {
    const path = ['approvals', act, 'count'];
    const able = holdersOf(authorities, role).filter((held) => canSign(held, now)).length;
    if (able < count) {
      const message = `only ${able} people with the role ${role} have a key that is valid: the gate could never open`;
      return [{ severity: 'error', path, message }];
    }
    return count > 1 ? [] : [{ severity: 'warning', path, message: `one person alone decides to ${act}` }];
  });
}

function people({ authorities }: Policy): Advice[] {
  return authorities.flatMap(({ roles }, at): Advice[] => {
    const deciding = DECIDING.find((role) => roles.includes(role));
    if (deciding === undefined || !roles.includes('requester')) return [];
    const message = `${deciding} and requester in one person: whoever asks cannot decide, so one of them counts less`;
    return [{ severity: 'warning', path: ['authorities', at, 'roles'], message }];
  });
}

function triggers({ rollout }: Policy): Advice[] {
  const { comparison, maxErrorRate, metrics = [] } = rollout.triggers;
  const path = ['rollout', 'triggers'];
  const warning = (message: string, ...at: (string | number)[]): Advice => ({
    severity: 'warning',
    path: [...path, ...at],
    message,
  });
  const loose = comparison !== undefined && comparison.tolerance >= maxErrorRate;
  return [
    ...(loose
      ? [warning('as much as maxErrorRate: the comparison finds nothing that it does not', 'comparison', 'tolerance')]
      : []),
    ...metrics.flatMap(({ query }, at) =>
      placeholdersOf(query).some((name) => name !== 'model')
        ? []
        : [
            warning(
              'without {{release}}, {{version}} or {{revision}} it says the same of every release',
              'metrics',
              at,
              'query',
            ),
          ],
    ),
  ];
}

/** How few rows would do. */
function labelledRows({ validation }: Policy): Advice[] {
  return validation.suites.flatMap((rule, at) => {
    const { minimumAccuracy, minimumRows, maximumGap, minimumGroupRows } = rule;
    const warn = (member: string, what: string): Advice => ({
      severity: 'warning',
      path: ['validation', 'suites', at, member],
      message: `without \`${what}\` a single labelled row would do`,
    });
    return [
      ...(minimumAccuracy === undefined || minimumRows !== undefined ? [] : [warn('minimumAccuracy', 'minimumRows')]),
      ...(maximumGap === undefined || minimumGroupRows !== undefined ? [] : [warn('maximumGap', 'minimumGroupRows')]),
    ];
  });
}

function inventory({ authorities, inventory: rule }: Policy, now: string): Advice[] {
  if (rule?.unknownCallers !== 'refuse') return [];
  const able = (['operator', 'consumer'] as const).flatMap((role) => holdersOf(authorities, role));
  if (able.some((held) => canSign(held, now))) return [];
  const message = 'nobody with the role operator or consumer has a key that is valid: every caller would be refused';
  return [{ severity: 'error', path: ['inventory', 'unknownCallers'], message }];
}

function holdersOf(authorities: readonly Authority[], role: Role): readonly Authority[] {
  return authorities.filter(({ roles }) => roles.includes(role));
}

function canSign({ keys }: Authority, now: string): boolean {
  return keys.some(({ validUntil }) => validUntil === undefined || Date.parse(validUntil) >= Date.parse(now));
}

function breaker({ rollout }: Policy): Advice[] {
  const warn = (path: readonly string[], message: string): Advice[] => [{ severity: 'warning', path, message }];
  if (rollout.breaker === undefined)
    return warn(['rollout'], 'without `breaker`, a release that fails after its rollout gets all callers all the same');
  const { windowSeconds, openSeconds } = rollout.breaker;
  if (openSeconds <= windowSeconds * 10) return [];
  const path = ['rollout', 'breaker', 'openSeconds'];
  return warn(path, 'callers of a release that is well again wait for long: let it be tried sooner');
}
