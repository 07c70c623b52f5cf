import type { ArtifactRules } from './artifacts.js';
import type { BreakerLimits } from './breaker.js';
import type { RepositoryRule } from './code-review.js';
import type { DrillRules } from './drill.js';
import type { RetirementRule } from './notice.js';
import type { PromotionRule } from './promotion.js';
import type { PlanStep } from './statements.js';
import type { SuiteGroup } from './suite.js';
import type { Triggers } from './routing.js';
import type { Versioning } from './versioning.js';

/** What a person may be trusted with. */
export const PERSON_ROLES = [
  'root',
  'requester',
  'release-approver',
  'override-authority',
  'security-authority',
  'operator',
  'data-steward',
  'reviewer',
  'auditor',
  'consumer',
  'monitor',
] as const;

/** What a process may be trusted with. */
export const WORKLOAD_ROLES = [
  'requester',
  'producer',
  'validator',
  'release-signer',
  'control',
  'gateway',
  'serving',
  'publisher',
  'api',
  'consumer',
  'monitor',
  'drill',
  'verifier',
] as const;

/** More and more callers; or a preview for whoever asks for it, and then all of them at once. */
export const STRATEGIES = ['canary', 'blue-green'] as const;

export type PersonRole = (typeof PERSON_ROLES)[number];
export type Role = PersonRole | (typeof WORKLOAD_ROLES)[number];

/** A public key: PEM (SPKI), or of a person the line of an OpenSSH public key. It signs while it is valid. */
export type AuthorityKey = ({ readonly pem: string } | { readonly ssh: string }) & {
  readonly validFrom?: string;
  readonly validUntil?: string;
};
/**
 * By which tokens a workload is known that holds no key here: signed by the issuer, for the audience, and with exactly these
 * claims.
 */
export interface OidcIdentity {
  /** The `iss` of its tokens, and where its discovery document lies. */
  readonly issuer: string;
  readonly audience: string;
  /** What further claims must say, to the letter. */
  readonly claims: Readonly<Record<string, string>>;
}

/** A person or a workload. Its id is the person: two keys of one authority are one vote. */
export interface Authority {
  readonly id: string;
  readonly kind: 'person' | 'workload';
  readonly roles: readonly Role[];
  readonly keys: readonly AuthorityKey[];
  /** A person's number on GitHub (`id` of https://api.github.com/users/<login>), by which reviews there are theirs. */
  readonly github?: number;
  /** A requester whose tokens the listener `api` checks, and whose requests it then signs. */
  readonly oidc?: OidcIdentity;
}

/** So many different people of a role, none of them the requester or the producer. */
export interface Quorum {
  readonly role: Role;
  readonly count: number;
  /** How long a request stays open for approval. */
  readonly withinSeconds: number;
}

/** One suite that releases must pass, and how well: all of it is fixed before the run. */
export interface SuiteRule {
  /** What the suite calls itself, and which version of it. */
  readonly suite: string;
  readonly version: string;
  /** Digest of its bytes. */
  readonly sha256: string;
  /** The models that it is for; without them, every one. */
  readonly models?: readonly string[];
  /** Cases that must come to a verdict. */
  readonly minimumCases: number;
  /** Least weighted share of passed cases, and least number of cases, of a group. Without a share all must pass. */
  readonly groups?: {
    readonly [G in SuiteGroup]?: { readonly minimumShare?: number; readonly minimumCases?: number };
  };
  /** Least share of labelled rows that are right; the suite's own floor counts, too. */
  readonly minimumAccuracy?: number;
  /** Labelled rows that accuracy must rest on, and those of each group that a gap must. */
  readonly minimumRows?: number;
  readonly minimumGroupRows?: number;
  /** How far apart two groups of labelled rows may be in accuracy. */
  readonly maximumGap?: number;
}

/** Where everything that is agreed beforehand stands. Signed by root keys; versions go up by exactly one. */
export interface Policy {
  readonly version: number;
  readonly environment: string;
  readonly expires: string;
  /** Root signatures that the next version needs, of this version's root keys and of its own. */
  readonly rootThreshold: number;
  readonly authorities: readonly Authority[];
  /** Which change of a release demands which version. */
  readonly versioning: Versioning;
  /** What the files of a release may be, and what may be in them. */
  readonly artifacts: ArtifactRules;
  readonly validation: {
    /** What a release must pass. A model that none is for can never be released. */
    readonly suites: readonly SuiteRule[];
    /** Longest time of one suite. */
    readonly timeoutSeconds: number;
    /** Criteria that nobody may lift, by name or with `*`; by default all of safety. */
    readonly always?: readonly string[];
    /** Scans and test results count that were made on a host without a sandbox, beside intake's own keys. */
    readonly allowUnisolated?: true;
  };
  /** Without it a failed validation is final. */
  readonly override?: {
    readonly count: number;
    readonly withinSeconds: number;
    /** For how long an override, and each renewal, holds at most. */
    readonly holdsSeconds: number;
  };
  readonly approvals: {
    readonly deploy: Quorum;
    readonly restore: Quorum;
    readonly retire: Quorum;
    /** Without it nothing is trained. */
    readonly train?: Quorum;
  };
  readonly rollout: {
    /** Without it, `canary`. */
    readonly strategy?: (typeof STRATEGIES)[number];
    readonly steps: readonly PlanStep[];
    readonly triggers: Triggers;
    /** When a gateway sends nobody to a release for a while, by itself. Without it, established releases get all callers. */
    readonly breaker?: BreakerLimits;
    /** A step without enough evidence by then fails. */
    readonly stepTimeoutSeconds: number;
    /** How long an approved plan may take to begin its last step. */
    readonly deployWithinSeconds: number;
  };
  readonly rollback: {
    readonly warmReleases: number;
    /** For how long after its promotion a release that breaks a trigger is rolled back by itself. Without it: never. */
    readonly windowSeconds?: number;
  };
  readonly retention: { readonly releasesDays: number; readonly auditDays: number; readonly statusDays: number };
  readonly retirement: RetirementRule;
  readonly emergency: {
    readonly killResponseSeconds: number;
    /** Without it there is no shorter path. */
    readonly deployment?: {
      readonly approval: { readonly count: number; readonly withinSeconds: number };
      /** Its time counts from the approval. */
      readonly review: Quorum;
      readonly bakeSeconds: number;
    };
  };
  /** Without it, releases come in as they are asked for. */
  readonly promotion?: PromotionRule;
  /** Without it nothing is drilled. */
  readonly drills?: DrillRules;
  /** Without it, callers that nobody has declared are recorded. */
  readonly inventory?: {
    /** What a gateway does with a caller that does not prove to be a consumer declared for the model. */
    readonly unknownCallers: 'record' | 'refuse';
  };
  /** Who else is told what a model was: the holders of a role, of these models alone. An auditor is told everything. */
  readonly readers?: readonly { readonly role: Role; readonly models: readonly string[] }[];
  readonly training: {
    /** Where code may come from. Without them nothing is trained. */
    readonly repositories?: readonly RepositoryRule[];
    /** What runs may reach, as `host:port`, through a proxy that records it. Without them a run has no network. */
    readonly destinations?: readonly string[];
    /** What no trainer may exceed, whatever it allows itself. */
    readonly limits: {
      readonly wallSeconds: number;
      readonly cpuSeconds: number;
      readonly memoryMb: number;
      readonly outputMb: number;
    };
  };
  readonly freshness: {
    readonly reissueSeconds: number;
    readonly lifetimeSeconds: number;
    /** What a gateway does without a fresh status document. */
    readonly whenStale: 'serve' | 'stop';
  };
}

export function findAuthority(policy: Policy, id: string): Authority | null {
  return policy.authorities.find((authority) => authority.id === id) ?? null;
}

/** Whether `id` may act in `role` under the rules of `gate`, having been revoked in nothing newer. */
export function holdsRole(gate: Policy, newest: Policy, id: string, role: Role): boolean {
  const then = findAuthority(gate, id);
  const now = findAuthority(newest, id);
  return then !== null && now !== null && then.roles.includes(role) && now.roles.includes(role);
}

/** Whether `id` orders drills of this model: of the one endpoint that is declared for them, then and now. */
export function mayDrill(gate: Policy, newest: Policy, id: string, model: string): boolean {
  return holdsRole(gate, newest, id, 'drill') && gate.drills?.model === model && newest.drills?.model === model;
}

/** One operator may stop an endpoint; so may control and gateways, by orders of their own, and a drill its own endpoint. */
export function mayKill(policy: Policy, id: string, model: string): boolean {
  const roles = ['operator', 'control', 'gateway'] as const;
  return roles.some((role) => holdsRole(policy, policy, id, role)) || mayDrill(policy, policy, id, model);
}

/** Whether `id` is told what this model was; `null`: whatever is in the log. */
export function mayRead(newest: Policy, id: string, model: string | null): boolean {
  if (holdsRole(newest, newest, id, 'auditor')) return true;
  return (newest.readers ?? []).some(
    ({ role, models }) => model !== null && models.includes(model) && holdsRole(newest, newest, id, role),
  );
}
