import { tally } from '../../domain/approvals.js';
import { reviewQuorum } from '../../domain/emergency.js';
import { liftQuorum } from '../../domain/hold.js';
import { holdsRole, type Policy, type Quorum, type Role } from '../../domain/policy.js';
import type { PolicyChain } from '../../adapters/records.js';
import { deployQuorum } from '../../domain/provisional.js';
import type { Digest } from '../../domain/digest.js';
import type { RequestPredicate } from '../../domain/statements.js';
import { policyDigest } from '../../formats/policy.js';
import type { Documents, Stated } from './documents.js';
import type { EvidenceDecision, EvidenceQuorum } from './model.js';

interface Told {
  readonly act: string;
  readonly at: string;
  readonly subject: string;
  readonly says: string;
  /** Any of which lets somebody decide this. */
  readonly roles: readonly Role[];
  readonly gate: Policy;
}

/** Everything that a person or a process has decided of a release, in the order of its time. */
export function decisionsOf(documents: Documents, policies: PolicyChain): readonly EvidenceDecision[] {
  const kinds = ['request', 'approval', 'override', 'riskAssessment', 'kill', 'rollback', 'hold', 'alert'] as const;
  const told = kinds.flatMap((kind) =>
    documents.of(kind).map((each) => ({ each, told: tell(each, documents, policies) })),
  );
  return told
    .flatMap(({ each: { verified }, told: said }) =>
      said === null
        ? []
        : verified.signers.map((who) => ({
            at: said.at,
            who,
            roles: said.roles.filter((role) => holdsRole(said.gate, policies.newest, who, role)),
            act: said.act,
            subject: said.subject,
            says: said.says,
            document: verified.digest,
          })),
    )
    .sort((a, b) => Date.parse(a.at) - Date.parse(b.at) || (a.document < b.document ? -1 : 1));
}

function tell(stated: Stated, documents: Documents, policies: PolicyChain): Told | null {
  const { newest } = policies;
  switch (stated.kind) {
    case 'request': {
      const { issuedAt: at, requestId, action, requester, policy } = stated.verified.predicate;
      const isPersons = stated.verified.signers.includes(requester);
      const roles = isPersons ? ([...askers(action.kind), 'api'] as const) : (['control', 'api', 'drill'] as const);
      const says = 'reason' in action ? action.reason : '';
      return { act: `asks: ${action.kind}`, at, subject: requestId, says, roles, gate: policyOf(policies, policy) };
    }
    case 'approval': {
      const { issuedAt: at, requestId, decision: act, reason: says } = stated.verified.predicate;
      const request = documents.stated('request', stated.verified.subject);
      const gate = request === null ? newest : policyOf(policies, request.predicate.policy);
      const quorum = request === null ? null : quorumFor(request.predicate, gate);
      return { act, at, subject: requestId, says, roles: quorum === null ? [] : [quorum.role], gate };
    }
    case 'override': {
      const { issuedAt: at, requestId: subject, justification, lifts } = stated.verified.predicate;
      const says = `${lifts.join(', ')}: ${justification}`;
      return { act: 'overrides', at, subject, says, roles: ['override-authority'], gate: newest };
    }
    case 'riskAssessment': {
      const { issuedAt: at, assessment, model, version } = stated.verified.predicate;
      const says = `${assessment.what}; now, because ${assessment.whyNow}`;
      return { act: 'assesses the risk', at, subject: `${model} ${version}`, says, roles: ['requester'], gate: newest };
    }
    case 'kill': {
      const { issuedAt: at, model: subject, reason: says } = stated.verified.predicate;
      return { act: 'kills', at, subject, says, roles: ['operator', 'control', 'gateway', 'drill'], gate: newest };
    }
    case 'rollback': {
      const { issuedAt: at, model: subject, reason: says } = stated.verified.predicate;
      return { act: 'rolls back', at, subject, says, roles: ['operator', 'drill'], gate: newest };
    }
    case 'hold': {
      const { issuedAt: at, model, version, reason: says } = stated.verified.predicate;
      const roles = ['operator', 'security-authority'] as const;
      return { act: 'holds', at, subject: `${model} ${version}`, says, roles, gate: newest };
    }
    case 'alert': {
      const { issuedAt: at, model: subject, reason: says } = stated.verified.predicate;
      const roles = ['monitor', 'security-authority', 'operator', 'api'] as const;
      return { act: 'alerts', at, subject, says, roles, gate: newest };
    }
    default:
      return null;
  }
}

function askers(action: RequestPredicate['action']['kind']): readonly Role[] {
  return action === 'release' || action === 'train' ? ['requester'] : ['requester', 'operator'];
}

/** What people decide on in this way; `null` for what is no vote. */
function quorumFor(request: RequestPredicate, gate: Policy): Quorum | null {
  switch (request.action.kind) {
    case 'deploy':
      return deployQuorum(gate, request);
    case 'proceed':
      return gate.approvals.deploy;
    case 'restore':
      return gate.approvals.restore;
    case 'retire':
      return gate.approvals.retire;
    case 'lift':
      return liftQuorum(gate);
    case 'review':
      return reviewQuorum(gate);
    default:
      return null;
  }
}

/** Whether enough people have agreed to each thing that was asked of people. */
export function quorumsOf(documents: Documents, policies: PolicyChain): readonly EvidenceQuorum[] {
  const approvals = documents.of('approval').map(({ verified }) => verified);
  return documents.of('request').flatMap(({ verified: request }) => {
    const gate = policyOf(policies, request.predicate.policy);
    const quorum = quorumFor(request.predicate, gate);
    // Who may review depends on who has approved: a lapse says whether it came to that.
    if (quorum === null || request.predicate.action.kind === 'review') return [];
    const said = approvals.filter(({ subject }) => subject === request.digest);
    const found = tally({ request, approvals: said, quorum, gate, newest: policies.newest });
    const people = found.kind === 'rejected' ? [] : found.approvers;
    const act = `${request.predicate.action.kind} ${request.predicate.requestId}`;
    return [{ act, role: quorum.role, needed: quorum.count, people, holds: found.kind === 'approved' }];
  });
}

/** The rules that a statement names; those of now where nobody has ever applied such a policy. */
function policyOf({ chain, newest }: PolicyChain, digest: Digest): Policy {
  return chain.find((policy) => policyDigest(policy) === digest) ?? newest;
}
