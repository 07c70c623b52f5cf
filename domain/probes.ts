import type { Digest } from './digest.js';
import { PROBES, type DestructionPredicate, type ProbePredicate, type ProbingZone } from './ending-predicates.js';
import { denied, signedInRole, type Permission, type Rules } from './permission.js';
import type { Role } from './policy.js';
import type { Verified } from './statements.js';
import { MAX_SKEW_MS } from './time.js';

export const PROBING_ZONES = Object.keys(PROBES) as ProbingZone[];
const ROLES: Readonly<Record<ProbingZone, Role>> = {
  signing: 'release-signer',
  serving: 'serving',
  control: 'control',
};

/** A release whose keys are gone, by what the vault has answered. */
export interface Erased extends Pick<
  DestructionPredicate,
  'model' | 'version' | 'request' | 'destroyed' | 'destroyedAt'
> {
  readonly release: Digest;
}

/** Whether each zone has tried every way that it has, after the keys went, and was refused each time. */
export function probesHold(statements: readonly Verified<ProbePredicate>[], erased: Erased, rules: Rules): Permission {
  for (const zone of PROBING_ZONES) {
    const [own, second] = statements.filter(({ predicate }) => predicate.zone === zone);
    if (own === undefined) return denied('INPUT_MISSING', `the zone ${zone} has tried nothing`);
    if (second !== undefined) return denied('REPLAYED', `the zone ${zone} is said to have tried twice`);
    const held = probeHolds(own, erased, rules);
    if (!held.allowed) return held;
  }
  return { allowed: true, approvers: [] };
}

/** The same of one zone. */
export function probeHolds(statement: Verified<ProbePredicate>, erased: Erased, rules: Rules): Permission {
  const { zone, probes, blobs, issuedAt, ...said } = statement.predicate;
  if (!signedInRole(rules, statement, ROLES[zone]))
    return denied('NOT_AUTHORISED', `${statement.signers.join(', ')} may not say what the zone ${zone} has tried`);
  const isSame =
    statement.subject === erased.release &&
    said.environment === rules.environment &&
    said.model === erased.model &&
    said.version === erased.version &&
    said.request === erased.request;
  if (!isSame) return denied('REPLAYED', `what the zone ${zone} has tried is about another destruction`);
  if (Date.parse(issuedAt) < Date.parse(erased.destroyedAt) - MAX_SKEW_MS)
    return denied('REPLAYED', `the zone ${zone} has tried at ${issuedAt}, before the keys went`);
  const alive = probes.find(({ refused }) => !refused);
  if (alive !== undefined)
    return denied('VALIDATION_FAILED', `${alive.kind} ${alive.path} is not refused: ${alive.answer}`);
  const untried = PROBES[zone].find((kind) => kind !== 'vault key' && !probes.some((probe) => probe.kind === kind));
  if (untried !== undefined) return denied('INPUT_MISSING', `the zone ${zone} has not tried: ${untried}`);
  const unread = erased.destroyed.find(({ blob }) => !blobs.includes(blob));
  if (unread !== undefined)
    return denied('INPUT_MISSING', `the zone ${zone} has not looked at the ciphertext of ${unread.path}`);
  if (zone !== 'signing') return { allowed: true, approvers: [] };
  // Where living releases hold every file there is none.
  const tried = new Set(probes.flatMap(({ kind, path }) => (kind === 'vault key' ? [path] : [])));
  const standing = erased.destroyed.find(({ path }) => !tried.has(path));
  return standing === undefined
    ? { allowed: true, approvers: [] }
    : denied('INPUT_MISSING', `nobody has tried the key of ${standing.path}`);
}
