import { activityInfo } from '@temporalio/activity';
import { checkDecision, tally } from '../domain/approvals.js';
import type { Found, Records } from '../adapters/records.js';
import type { AuditRecord } from '../domain/audit.js';
import { personAsks, policyInForce, type Rules } from '../domain/authorise.js';
import { emergencyQuorum, reviewQuorum, reviewTerms } from '../domain/emergency.js';
import { drillRestores } from '../domain/authorise-drill.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import { liftQuorum } from '../domain/hold.js';
import type { OpenGate } from '../domain/lifecycle.js';
import type { Policy, Quorum } from '../domain/policy.js';
import { planFor } from '../domain/plan.js';
import { agreedPlan, deployQuorum } from '../domain/provisional.js';
import { stableOf } from '../domain/routing.js';
import type { ApprovalPredicate, RequestPredicate, Verified } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime, outsideValidity, plusSeconds } from '../domain/time.js';
import { demand, rulesFor } from '../formats/evidence.js';
import { openGate } from './ask.js';
import { accepted, described, judgeAll } from './ballot.js';
import type { Desk } from './control.js';
import type { Act, Counted, LifecycleControl } from './contract.js';
import { isDrills, killsDrilled } from './drilled.js';
import { demandGround, demandUnchanged, groundOf } from './ground.js';
import { demandPlan, ownPlan } from './own-plan.js';
import { refusal } from './journal.js';
import { decideOverride, overrideNamed } from './override.js';
import { deployedBy } from './provisional.js';

type Gates = Pick<LifecycleControl, 'openDeployGate' | 'decide' | 'noteRejection' | 'refuse'>;

/** Where people decide: a request is in WORM before anyone is asked, and each decision is checked against it. */
export function createGates(desk: Desk): Gates {
  const { records, journal, router } = desk;
  return {
    openDeployGate: async (name, { admission, ingested, validated, overridden }) => {
      const kept = (await records.record(storeKeys.record(name, 'gate'))) as OpenGate | null;
      if (kept !== null) {
        await demandUnchanged(records, (await records.get('request', kept.request)).verified.predicate);
        return kept;
      }
      if (admission === undefined || ingested === undefined || validated === undefined)
        throw new CustodyError('INTERNAL', 'a gate was opened for a release that has not been validated');
      const { newest, newestDigest } = await records.policies();
      const now = isoTime(Date.now());
      demand(policyInForce({ newest, now }));
      const { riskAssessment } = admission;
      const evidence = {
        ...groundOf(admission, ingested, validated),
        ...(overridden === undefined ? {} : overrideNamed(overridden)),
        ...(riskAssessment === undefined ? {} : { riskAssessment }),
        ...(ingested.promotion === undefined ? {} : { promotion: ingested.promotion }),
      };
      const isUrgent = riskAssessment !== undefined;
      const quorum = isUrgent ? emergencyQuorum(newest) : newest.approvals.deploy;
      if (quorum === null) throw new CustodyError('POLICY_REFUSED', 'the policy knows no emergency deployment');
      const current = await router.current(name.model);
      const stable = stableOf(current?.document ?? null)?.release ?? null;
      const expiresAt = plusSeconds(now, quorum.withinSeconds);
      const own = await ownPlan(records, admission.request);
      if (own !== null) demandPlan(own, newest, isUrgent);
      return openGate(desk, name, {
        part: 'gate',
        check: (envelope) => demandGround(records, name, envelope),
        of: { admission, ingested },
        policy: newestDigest,
        quorum,
        evidence,
        issuedAt: now,
        expiresAt,
        action: {
          kind: 'deploy',
          from: { revision: current?.document.revision ?? 0, stable },
          plan: own === null ? agreedPlan(newest, isUrgent, stable === null) : planFor(own, stable === null),
          deployBefore: plusSeconds(expiresAt, newest.rollout.deployWithinSeconds),
        },
      });
    },

    decide: async ({ gate, act, counted, decisions }) => {
      const request = (await records.get('request', gate.request)).verified;
      await demandUnchanged(records, request.predicate);
      if (act === 'override') return decideOverride(desk, request, decisions);
      const rules = rulesFor(await records.policies(), request, isoTime(Date.now()));
      const terms = { request, ...rules, ...(await termsOf(desk, act, request, rules)) };
      const verdicts = await judgeAll<'approval'>(desk, request, decisions, {
        kind: 'approval',
        check: (said, message) => {
          const { decision } = said.predicate;
          const checked = checkDecision(terms, said);
          if ('code' in checked || decision === message) return checked;
          const reason = `a decision to ${decision} came as the message ${message}`;
          return { statement: said.digest, code: 'MALFORMED', reason };
        },
        describe: described,
        // A rejection takes back what serves.
        ...(act === 'review' || act === 'proceed' ? { lowers: ({ decision }) => decision === 'reject' } : {}),
      });
      const counts = verdicts.flatMap((verdict) => (verdict.accepted ? [verdict] : []));
      const statements = await stillGenuine(
        records,
        new Set([...counted, ...counts.map(({ statement }) => statement)]),
      );
      const count = tally({ ...terms, approvals: statements.map(({ verified }) => verified) });
      const outcome = outcomeOf(count, gate);
      const unnoted =
        outcome.kind === 'rejected' &&
        counts.some((each) => each.statement === outcome.statement && each.unnoted === true);
      return { verdicts, outcome: unnoted ? { ...outcome, unnoted } : outcome };
    },

    noteRejection: async (digest, statement) => {
      const request = (await records.get('request', digest)).verified;
      const { verified } = await records.get('approval', statement);
      if (verified.subject !== digest || verified.predicate.decision !== 'reject')
        throw new CustodyError('REPLAYED', 'it does not reject this request');
      const by = verified.signers.join(' and ');
      await journal.note(accepted(request, statement, by, described(verified.predicate)));
    },

    refuse: async ({ model, decisions, reason, dropped }) => {
      if (decisions.length === 0 && dropped === 0) return;
      const names = [...new Set(decisions.map(({ message }) => message.slice(0, 80)))].join(', ');
      const envelopes = decisions.map(({ envelope }) => envelope);
      const told = dropped === 0 ? reason : `${reason}; ${dropped} more were dropped unread`;
      const entry = refusal(names, envelopes, { model, version: null, release: null }, told);
      // What was dropped unread has no digests that would tell one flood from the next.
      const { activityId, workflowExecution } = activityInfo();
      await journal.note({ ...entry, key: `${entry.key} ${workflowExecution?.runId ?? ''} ${activityId}` });
    },
  };
}

/** A decision whose key has been taken out since it counted counts no more, and hinders nobody else's. */
async function stillGenuine(
  records: Records,
  digests: ReadonlySet<Digest>,
): Promise<readonly Found<ApprovalPredicate>[]> {
  const found: Found<ApprovalPredicate>[] = [];
  for (const digest of digests)
    try {
      found.push(await records.get('approval', digest));
    } catch (error) {
      if (!(error instanceof CustodyError) || error.code !== 'SIGNATURE_INVALID') throw error;
    }
  return found;
}

/** Who must agree, and who may not because of a part in it. */
async function termsOf(
  { records }: Desk,
  act: Exclude<Act, 'override'>,
  { predicate }: Verified<RequestPredicate>,
  rules: Rules,
): Promise<{ readonly quorum: Quorum; readonly apart: readonly string[] }> {
  const { gate } = rules;
  const quorum = quorumOf(act, gate, predicate);
  if (quorum === null) throw new CustodyError('POLICY_REFUSED', 'the policy knows no emergency deployment');
  if (act !== 'review') return { quorum, apart: [] };
  const deployed = await deployedBy(records, predicate);
  return { quorum, apart: reviewTerms(deployed, rules).approvers };
}

/** Of what a drill restores: every gateway sees for itself that it is the drill's own. */
const AGREED_BEFOREHAND = { role: 'drill', count: 0 } as const;

/** What a person asks for in its own name. */
type AskedAct = 'restore' | 'retire' | 'lift' | 'train';

function quorumOf(act: Exclude<Act, 'override'>, gate: Policy, predicate: RequestPredicate): Quorum | null {
  switch (act) {
    case 'deploy':
      return deployQuorum(gate, predicate);
    case 'proceed':
      return gate.approvals.deploy;
    case 'review':
      return reviewQuorum(gate);
    case 'restore':
    case 'retire':
    case 'lift':
    case 'train':
      return askedQuorum(act, gate);
  }
}

function askedQuorum(act: AskedAct, policy: Policy): Quorum {
  const quorum = act === 'lift' ? liftQuorum(policy) : policy.approvals[act];
  if (quorum === undefined) throw new CustodyError('POLICY_REFUSED', `the policy has no approvals.${act}`);
  return quorum;
}

/**
 * Opens a gate on a person's own signed request: kept, its nonce spent, and in the log. `check` throws what speaks against
 * it besides; a refusal is audited.
 */
export function openAskedGate(
  { records, journal }: Desk,
  asked: {
    readonly kind: AskedAct;
    readonly envelope: unknown;
    readonly workflowId: string;
    readonly subject: AuditRecord['subject'];
    readonly check: (request: Verified<RequestPredicate>, rules: Rules) => Promise<void> | void;
  },
): Promise<OpenGate> {
  const { kind, envelope, workflowId, subject, check } = asked;
  return journal.refusing({ name: kind, envelope, subject }, async () => {
    const { envelope: request, verified } = await records.receive('request', envelope);
    const { predicate, digest } = verified;
    const policies = await records.policies();
    const { newest, newestDigest } = policies;
    const now = isoTime(Date.now());
    const rules: Rules = { environment: records.environment, gate: newest, newest, now };
    demand(policyInForce(rules));
    // An older policy could ask for fewer people.
    if (predicate.policy !== newestDigest)
      throw new CustodyError('POLICY_REFUSED', 'the policy has changed since the request was made: ask again');
    const isDrill = kind === 'restore' && isDrills(verified, newest, newest);
    const kills = isDrill ? await killsDrilled(records, verified, policies) : [];
    if (!isDrill) demand(personAsks(rules, verified, kind, workflowId));
    else
      demand(
        drillRestores(
          verified,
          kills.map((kill) => kill.verified),
          rules,
        ),
      );
    if (predicate.workflowId !== workflowId)
      throw new CustodyError('REPLAYED', `the request is for workflow ${predicate.workflowId}`);
    const outside = outsideValidity(predicate, now);
    if (outside !== null) throw new CustodyError('EXPIRED', `the request is ${outside}`);
    await check(verified, rules);
    await records.keep(request, storeKeys.request(digest));
    await records.spend(predicate.nonce, { statement: digest, request: digest });
    const { role, count } = isDrill ? AGREED_BEFOREHAND : askedQuorum(kind, newest);
    const { requestId, expiresAt, requester, policy } = predicate;
    await journal.note({
      change: 'gate.opened',
      key: digest,
      actor: { id: requester, statement: digest },
      subject,
      after: digest,
      policy,
      reason: isDrill
        ? `${requestId} is a drill's: the policy has agreed beforehand`
        : `${count} × ${role} must approve ${requestId} before ${expiresAt}`,
    });
    return { request: digest, requestId, role, count, expiresAt, envelope: request };
  });
}

function outcomeOf(count: ReturnType<typeof tally>, gate: OpenGate): Counted['outcome'] {
  switch (count.kind) {
    case 'pending':
      return { kind: 'pending', missing: count.missing };
    case 'rejected':
      return { kind: 'rejected', by: count.by, statement: count.statement, reason: count.reason };
    case 'approved': {
      const { approvals, approvers } = count;
      return { kind: 'approved', approved: { request: gate.request, approvals, approvers } };
    }
  }
}
