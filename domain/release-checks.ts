import type { Digest } from './digest.js';
import type { ErrorCode } from './errors.js';
import { denied, policyInForce, quorumReached, type Permission, type Rules } from './permission.js';
import { holdsRole } from './policy.js';
import { deployQuorum, stands } from './provisional.js';
import { sayVerified } from './promotion.js';
import {
  admissionHolds,
  producerHolds,
  promotionHolds,
  provenanceHolds,
  requestHolds,
  scanHolds,
  validationHolds,
  versionHolds,
  type VerifiedRelease,
} from './release-evidence.js';
import type { StatusPredicate, Verified } from './statements.js';
import { outsideValidity, plusSeconds } from './time.js';

/** One thing that is looked at before a release may do anything, and what came of it. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

/** With the error that it is refused with. */
export interface FoundCheck extends Check {
  readonly code: ErrorCode | null;
}

/** What is looked at: a release, and the status document where the act needs one. */
export interface Looked {
  readonly release: VerifiedRelease;
  readonly status: Verified<StatusPredicate> | null;
}

interface Step {
  readonly name: string;
  readonly permits: (looked: Looked, rules: Rules) => Permission;
  /** What was found, in words, where it is permitted. */
  readonly says: (looked: Looked, rules: Rules, approvers: readonly string[]) => string;
}

const of = (permits: (release: VerifiedRelease, rules: Rules) => Permission): Step['permits'] => {
  return ({ release }, rules) => permits(release, rules);
};

const POLICY: Step = {
  name: 'policy in force',
  permits: (_, rules) => policyInForce(rules),
  says: (_, { newest }) => `version ${newest.version}, until ${newest.expires}`,
};
const SIGNATURE: Step = {
  name: 'release signature',
  permits: of(rightlySigned),
  says: ({ release }) => `over the release and every file of it, by ${release.signer ?? ''}`,
};
const STATUS: Step = {
  name: 'not revoked',
  permits: ({ release, status }, rules) => notRevoked(release.release, rules, status),
  says: ({ status }) => `by the status document of ${status?.predicate.issuedAt ?? ''}`,
};
const EVIDENCE: readonly Step[] = [
  {
    name: 'deploy request',
    permits: of(requestHolds),
    says: ({ release: { request } }) =>
      `${request.predicate.requestId}, for this release, by ${request.signers.join(', ')}`,
  },
  {
    name: 'start request',
    permits: of(admissionHolds),
    says: ({ release: { admission } }) => `${admission.predicate.requestId}, by ${admission.predicate.requester}`,
  },
  {
    name: 'producer',
    permits: of(producerHolds),
    says: ({ release }) => `${release.producer} has signed the release and every file of it`,
  },
  {
    name: 'promotion',
    permits: of(promotionHolds),
    says: ({ release: { promotion } }) =>
      promotion === null
        ? 'the policy demands none'
        : `${sayVerified(promotion.predicate)}, by ${promotion.signers.join(', ')}`,
  },
  {
    name: 'provenance',
    permits: of(provenanceHolds),
    says: ({ release: { provenance } }) => `by ${provenance.signers.join(', ')}`,
  },
  {
    name: 'scan',
    permits: of(scanHolds),
    says: ({ release: { scan } }) => `${scan.predicate.verdict}, isolation: ${scan.predicate.isolation}`,
  },
  {
    name: 'validation',
    permits: of(validationHolds),
    says: ({ release: { testResult, override } }) => {
      const { passedTests, failedTests } = testResult.predicate;
      return `${passedTests.length} criteria passed${override === null ? '' : `, ${failedTests.length} lifted`}`;
    },
  },
  {
    name: 'version',
    permits: of(versionHolds),
    says: ({ release: { version, change } }) =>
      `${version} says as much as its changes (${change.predicate.leastBump})`,
  },
  {
    name: 'standing',
    permits: of(stands),
    says: ({ release: { override, emergency } }) =>
      override === null && emergency === null ? 'for good' : 'provisional, and its time has not passed',
  },
];
const APPROVALS: Step = {
  name: 'approvals',
  permits: of(approved),
  says: (_looked, _rules, approvers) => `by ${approvers.join(', ')}`,
};

/** What is looked at before each act, in this order: the first that fails is why it is refused. */
const STEPS = {
  /** Before people are asked. */
  ask: [POLICY, ...EVIDENCE],
  /** Before the release key signs. */
  sign: [POLICY, ...EVIDENCE, APPROVALS],
  /** What becomes of a release under other rules. */
  stand: [SIGNATURE, ...EVIDENCE, APPROVALS],
  /** Before a key is handed out, before each load and start, and in `custody verify`. */
  load: [SIGNATURE, STATUS, ...EVIDENCE, APPROVALS],
  evidence: EVIDENCE,
} as const satisfies Readonly<Record<string, readonly Step[]>>;
export type Act = keyof typeof STEPS;

/** Whether all that an act demands of a release holds. */
export function permitted(act: Act, looked: Looked, rules: Rules): Permission {
  let last: Permission = { allowed: true, approvers: [] };
  for (const { permits } of STEPS[act]) {
    last = permits(looked, rules);
    if (!last.allowed) return last;
  }
  return last;
}

/** The same, each check by itself, also those after one that fails. */
export function checksOf(act: Act, looked: Looked, rules: Rules): readonly FoundCheck[] {
  return STEPS[act].map(({ name, permits, says }) => {
    const found = permits(looked, rules);
    return found.allowed
      ? { name, ok: true, detail: says(looked, rules, found.approvers), code: null }
      : { name, ok: false, detail: found.reason, code: found.code };
  });
}

function rightlySigned({ signer }: VerifiedRelease, rules: Rules): Permission {
  if (signer === null) return denied('UNSIGNED', 'it bears no release signature');
  if (holdsRole(rules.gate, rules.newest, signer, 'release-signer')) return { allowed: true, approvers: [] };
  return denied('NOT_AUTHORISED', `${signer} may not sign releases`);
}

/** "Not revoked" counts only from a status document that control has signed and that is still fresh. */
export function notRevoked(release: Digest, rules: Rules, status: Verified<StatusPredicate> | null): Permission {
  if (status === null) return denied('STATUS_STALE', 'there is no status document');
  if (status.predicate.environment !== rules.environment)
    return denied('REPLAYED', `the status document is for environment ${status.predicate.environment}`);
  if (!status.signers.some((id) => holdsRole(rules.newest, rules.newest, id, 'control')))
    return denied('NOT_AUTHORISED', `${status.signers.join(', ')} may not issue the status document`);
  const { issuedAt, expiresAt } = status.predicate;
  const latest = plusSeconds(issuedAt, rules.newest.freshness.lifetimeSeconds);
  const outside = outsideValidity({ issuedAt, expiresAt: expiresAt < latest ? expiresAt : latest }, rules.now);
  if (outside !== null) return denied('STATUS_STALE', `the status document is ${outside}`);
  if (status.predicate.revoked.includes(release)) return denied('REVOKED', 'the release has been revoked');
  return { allowed: true, approvers: [] };
}

function approved(release: VerifiedRelease, rules: Rules): Permission {
  const quorum = deployQuorum(rules.gate, release.request.predicate);
  if (quorum === null) return denied('POLICY_REFUSED', 'the policy knows no emergency deployment');
  return quorumReached(rules, release.request, release.approvals, quorum);
}
