import { tally, type Tally } from './approvals.js';
import type { ErrorCode } from './errors.js';
import { holdsRole, type Policy, type Quorum, type Role } from './policy.js';
import type { ApprovalPredicate, RequestPredicate, Verified } from './statements.js';
import { MAX_SKEW_MS } from './time.js';

/**
 * Whether a privileged act is allowed. Each acting process calls these itself, over statements whose signatures it has
 * checked against the policy chain from its own pinned root: nobody's word is taken for a decision.
 */
export type Permission =
  | { readonly allowed: true; readonly approvers: readonly string[] }
  | { readonly allowed: false; readonly code: ErrorCode; readonly reason: string };

/** The rules a decision is made under: those its request was made under, the newest ones, and the time. */
export interface Rules {
  readonly environment: string;
  readonly gate: Policy;
  readonly newest: Policy;
  readonly now: string;
  /** When the newest policy came to whoever decides, where that is known. */
  readonly newestSince?: string | null;
}

export const denied = (code: ErrorCode, reason: string): Permission => ({ allowed: false, code, reason });

/** Whether one of the signers may act in the role: then under the gate's rules, and still under the newest. */
export function signedInRole(
  { gate, newest }: Pick<Rules, 'gate' | 'newest'>,
  statement: Verified<unknown>,
  role: Role,
): boolean {
  return statement.signers.some((id) => holdsRole(gate, newest, id, role));
}

export function policyInForce({ newest, now }: Pick<Rules, 'newest' | 'now'>): Permission {
  if (Date.parse(now) <= Date.parse(newest.expires)) return { allowed: true, approvers: [] };
  return denied('POLICY_EXPIRED', `policy ${newest.version} expired at ${newest.expires}: apply the next one`);
}

/** Whether people agreed to a request: by the quorum's role, separate from requester, producer and those in `apart`. */
export function quorumReached(
  rules: Rules,
  request: Verified<RequestPredicate>,
  approvals: readonly Verified<ApprovalPredicate>[],
  quorum: Quorum,
  apart: readonly string[] = [],
): Permission {
  const asked = rightlyAsked(rules, request, quorum);
  if (!asked.allowed) return asked;
  const early = approvals.find(({ predicate }) => isToCome(predicate.issuedAt, rules.now));
  if (early !== undefined)
    return denied('EXPIRED', `a decision says it was made at ${early.predicate.issuedAt}, which is to come`);
  const counted: Tally = tally({ request, approvals, quorum, apart, gate: rules.gate, newest: rules.newest });
  switch (counted.kind) {
    case 'approved':
      return { allowed: true, approvers: counted.approvers };
    case 'rejected':
      return denied('POLICY_REFUSED', `${counted.by} rejected it: ${counted.reason}`);
    case 'pending':
      return denied('NOT_AUTHORISED', `${counted.missing} more with the role ${quorum.role} must approve`);
  }
}

/** Made under rules that were in force, and open no longer than they allow. */
export function rightlyAsked({ gate }: Rules, { predicate }: Verified<RequestPredicate>, quorum: Quorum): Permission {
  const issuedAt = Date.parse(predicate.issuedAt);
  if (issuedAt > Date.parse(gate.expires))
    return denied('POLICY_EXPIRED', `the request was made after its policy ${gate.version} had expired`);
  if (Date.parse(predicate.expiresAt) > issuedAt + quorum.withinSeconds * 1000)
    return denied('POLICY_REFUSED', `a request may stay open for ${quorum.withinSeconds} s, this one for longer`);
  return { allowed: true, approvers: [] };
}

export function isToCome(time: string, now: string): boolean {
  return Date.parse(time) > Date.parse(now) + MAX_SKEW_MS;
}
