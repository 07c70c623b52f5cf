import { personAsks, type Permission, type Rules, type VerifiedRelease } from './authorise.js';
import { baseOf } from './base.js';
import type { Digest } from './digest.js';
import { lifecycleId, type ReleaseName } from './names.js';
import type { NamedRelease } from './named-release.js';
import { denied } from './permission.js';
import { holdsRole } from './policy.js';
import { flawInProvenance } from './provenance.js';
import type { ProvenancePredicate, RequestPredicate, StatusPredicate, Verified } from './statements.js';
import { outsideValidity } from './time.js';

/** A release that is to come, every signature checked: what its producer signed, and who asked for it. */
export interface Successor extends ReleaseName {
  readonly release: Digest;
  /** Whose signature it came with. */
  readonly producer: string;
  readonly admission: Verified<RequestPredicate>;
  readonly provenance: Verified<ProvenancePredicate>;
}

type Found = Pick<VerifiedRelease, 'release' | 'model' | 'version'>;

/**
 * Whether something new may be made with a release at all: the one that is named, by its digest, while its endpoint is not
 * killed. That it may be loaded now, `authoriseLoading` says. `title`: what it is to what is new.
 */
export function mayMakeWith(
  named: NamedRelease,
  found: Found,
  status: Verified<StatusPredicate> | null,
  title: string,
): Permission {
  if (named.release !== found.release || named.model !== found.model || named.version !== found.version)
    return denied('REPLAYED', `${title} is not the release ${found.release}`);
  if (status === null) return denied('STATUS_STALE', 'there is no status document');
  return status.predicate.kills.some((kill) => kill.model === found.model)
    ? denied('POLICY_REFUSED', `${found.model} is killed: nothing is built on ${title} until that is lifted`)
    : { allowed: true, approvers: [] };
}

/** The same of a release that another one takes files over from: one of the same model. */
export function mayBuildOn(
  { model }: Pick<ReleaseName, 'model'>,
  named: NamedRelease,
  base: Found,
  status: Verified<StatusPredicate> | null,
): Permission {
  const title = baseTitle(named);
  const permission = mayMakeWith(named, base, status, title);
  if (!permission.allowed || base.model === model) return permission;
  return denied('POLICY_REFUSED', `${title} is of another model than ${model}: pack it whole`);
}

export const baseTitle = ({ model, version }: ReleaseName): string => `its base ${model} ${version}`;

/**
 * Before what custody holds of a base becomes part of another release: its requester has asked for it, in time, and its
 * producer has signed it and names this very base.
 */
export function authoriseTakingOver(
  successor: Successor,
  base: Pick<VerifiedRelease, 'release' | 'model' | 'version'>,
  rules: Rules,
  status: Verified<StatusPredicate> | null,
): Permission {
  const { admission, provenance, producer } = successor;
  const asked = personAsks(rules, admission, 'release', lifecycleId(successor));
  if (!asked.allowed) return asked;
  const outside = outsideValidity(admission.predicate, rules.now);
  if (outside !== null) return denied('EXPIRED', `the start request is ${outside}`);
  if (!holdsRole(rules.gate, rules.newest, producer, 'producer'))
    return denied('NOT_AUTHORISED', `${producer} may not produce releases`);
  const flaw = flawInProvenance(successor, provenance, rules);
  if (flaw !== null) return denied(flaw.code, flaw.reason);
  const named = baseOf(provenance.predicate);
  if (named === null) return denied('POLICY_REFUSED', 'its producer names no release that it builds on');
  return mayBuildOn(successor, named, base, status);
}
