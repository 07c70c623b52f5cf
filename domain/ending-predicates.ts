import type { Criticality } from './consumers.js';
import type { Digest } from './digest.js';

/** What needs a release besides its consumers. */
export interface DependentRelease {
  readonly model: string;
  readonly version: string;
  readonly how: 'is made from it' | 'shares files with it';
  /** An endpoint routes to it, or keeps it warm. */
  readonly serves: boolean;
}

/** Control has looked who and what depends on a release before people are asked whether it may end. Subject: the release. */
export interface DependentsPredicate {
  readonly environment: string;
  readonly model: string;
  readonly version: string;
  /** The request to retire it. */
  readonly request: Digest;
  /** Declared, or seen by gateways (`owner: null`). */
  readonly consumers: readonly Pick<Noticed, 'id' | 'owner' | 'criticality'>[];
  readonly releases: readonly DependentRelease[];
  /** What its endpoint gives it: percent of callers, or 0 where it would be fallen back to; `null`: it is in no route. */
  readonly weight: number | null;
  /** Models whose endpoints call this one. */
  readonly endpoints: readonly string[];
  /** Drills run on its endpoint. */
  readonly isDrilled: boolean;
  readonly issuedAt: string;
}

/** Who is told of a retirement. */
export interface Noticed {
  readonly id: string;
  /** An authority of the policy, who answers for it; `null`: nobody has declared it. */
  readonly owner: string | null;
  readonly criticality: Criticality | null;
  /** `none`: the directory knows no way. `failed`: no way took it, and it is tried again. */
  readonly how: 'mail' | 'webhook' | 'none' | 'failed';
  readonly messageId: string | null;
}

/** Control has told everybody who depends on a release of its end. Subject: the release. */
export interface NoticePredicate {
  readonly environment: string;
  readonly model: string;
  readonly version: string;
  readonly consumers: readonly Noticed[];
  readonly retiresAt: string;
  readonly request: Digest;
  readonly issuedAt: string;
}

/** The end of a release that has been announced, as callers are told of it. */
export interface Retiring {
  readonly model: string;
  readonly version: string;
  readonly release: Digest;
  /** When notice was given first. */
  readonly since: string;
  /** The end of everybody's notice; it serves on for as long as somebody must still answer. */
  readonly endsAt: string;
  readonly reason: string;
  /** What callers are to use then, in the words of who asked for the retirement. */
  readonly instead?: string;
}

/** A consumer's owner has taken note, and will be ready by then. Subject: the release. */
export interface AcknowledgementPredicate {
  readonly environment: string;
  readonly model: string;
  readonly version: string;
  readonly consumer: string;
  /** The request to retire it. */
  readonly request: Digest;
  readonly issuedAt: string;
}

/** The designated authority stands in for a consumer that does not answer. Subject: the release. */
export interface WaiverPredicate extends AcknowledgementPredicate {
  readonly reason: string;
}

/** What each zone tries after a destruction, by the ways that it really has. */
export const PROBES = {
  signing: ['vault key', 'ciphertext'],
  serving: ['port', 'copy', 'loader', 'vault open', 'ciphertext'],
  control: ['gateway', 'ciphertext'],
} as const;
export type ProbingZone = keyof typeof PROBES;
export type ProbeKind = (typeof PROBES)[ProbingZone][number];

/** One attempt to get at a release that is gone, in the words of what it met. */
export interface Probe {
  readonly kind: ProbeKind;
  /** What was tried: a file of the release, a gateway, a folder. */
  readonly path: string;
  readonly refused: boolean;
  readonly answer: string;
}

/** What one zone has tried once the keys of a release were destroyed. Subject: the release. */
export interface ProbePredicate {
  readonly environment: string;
  readonly model: string;
  readonly version: string;
  readonly zone: ProbingZone;
  /** The request to retire it. */
  readonly request: Digest;
  /** Whose ciphertext was read, each of which had its key destroyed. */
  readonly blobs: readonly string[];
  readonly probes: readonly Probe[];
  readonly issuedAt: string;
}

/** The destruction certificate, in the words of NIST SP 800-88r2 where it has any. Subject: the release. */
export interface DestructionPredicate {
  readonly environment: string;
  readonly model: string;
  readonly version: string;
  readonly standard: 'NIST SP 800-88r2';
  /** Of the bytes in the store: their keys are gone. */
  readonly method: 'cryptographic erase';
  readonly sanitization: 'purge';
  /** Of the copies on serving hosts: overwritten, then removed. */
  readonly cachesMethod: 'overwrite';
  readonly cachesSanitization: 'clear';
  readonly media: string;
  readonly tool: string;
  readonly verification: string;
  /** Who asked for it, and who agreed. */
  readonly orderedBy: string;
  readonly approvedBy: readonly string[];
  readonly request: Digest;
  readonly approvals: readonly Digest[];
  readonly revocation: Digest;
  readonly destroyed: readonly { readonly path: string; readonly sha256: Digest; readonly blob: string }[];
  /** Bytes that living releases still need: their keys stand. */
  readonly kept: readonly { readonly path: string; readonly sha256: Digest; readonly holders: readonly Digest[] }[];
  /** The statements of the zones that have tried every path afterwards, and all that they say. */
  readonly probed: readonly { readonly zone: ProbingZone; readonly by: string; readonly statement: Digest }[];
  readonly probes: readonly (Probe & { readonly zone: ProbingZone })[];
  /** Ciphertext that stays in WORM until its lock ends. */
  readonly remains: readonly { readonly blob: string; readonly size: number; readonly until: string }[];
  /** Copies that the records tell of, and that are not Custody's to destroy. */
  readonly residual: readonly { readonly what: string; readonly where: string }[];
  readonly destroyedAt: string;
}

/**
 * A security authority says that a release must not serve any more. Subject: the release. Expiry bounds its acceptance, never
 * its effect.
 */
export interface VulnerabilityPredicate {
  readonly environment: string;
  readonly model: string;
  readonly version: string;
  /** What others call it: of CVE, GHSA, OSV, or of one's own. */
  readonly vulnerability: string;
  readonly reason: string;
  readonly issuedAt: string;
  readonly expiresAt: string;
}

/** Subject: the release. */
export interface RevocationPredicate {
  readonly environment: string;
  readonly model: string;
  readonly version: string;
  readonly reason: string;
  /** What it rests on: the request to retire the release, or in an emergency the vulnerability notice. */
  readonly request: Digest;
  readonly issuedAt: string;
}
