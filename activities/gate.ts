import { randomBytes } from 'node:crypto';
import { checkDecision, tally } from '../domain/approvals.js';
import type { AuditRecord } from '../domain/audit.js';
import { personAsks, policyInForce, type Rules } from '../domain/authorise.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import type { OpenGate } from '../domain/lifecycle.js';
import { lifecycleId } from '../domain/names.js';
import type { Policy, Quorum } from '../domain/policy.js';
import { stableOf } from '../domain/routing.js';
import type { ApprovalPredicate, RequestPredicate, Verified } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime, outsideValidity, plusSeconds } from '../domain/time.js';
import { demand, rulesFor } from '../formats/evidence.js';
import { signStatement } from '../formats/statements.js';
import type { Desk } from './control.js';
import type { Counted, Decision, DecisionVerdict, LifecycleControl } from './contract.js';
import { demandGround, demandUnchanged } from './ground.js';
import { refusal, type Entry } from './journal.js';

type Gates = Pick<LifecycleControl, 'openDeployGate' | 'decide' | 'refuse'>;

/** Where people decide: a request is in WORM before anyone is asked, and each decision is checked against it. */
export function createGates(desk: Desk): Gates {
  const { records, journal, key, id, router } = desk;
  return {
    openDeployGate: async (name, { admission, ingested, validated }) => {
      const kept = (await records.record(storeKeys.record(name, 'gate'))) as OpenGate | null;
      if (kept !== null) {
        await demandUnchanged(records, (await records.get('request', kept.request)).verified.predicate);
        return kept;
      }
      if (admission === undefined || ingested === undefined || validated === undefined)
        throw new CustodyError('INTERNAL', 'a gate was opened for a release that has not been validated');
      const { newest, newestDigest } = await records.policies();
      const issuedAt = isoTime(Date.now());
      demand(policyInForce({ newest, now: issuedAt }));
      const current = await router.current(name.model);
      const { rollout, approvals } = newest;
      const stable = stableOf(current?.document ?? null);
      const lastStep = rollout.steps.slice(-1);
      const expiresAt = plusSeconds(issuedAt, approvals.deploy.withinSeconds);
      const predicate: RequestPredicate = {
        requestId: `deploy-${name.model}-${name.version}-${randomBytes(4).toString('hex')}`,
        nonce: randomBytes(18).toString('base64url'),
        environment: records.environment,
        workflowId: lifecycleId(name),
        ...name,
        release: ingested.release,
        action: {
          kind: 'deploy',
          from: { revision: current?.document.revision ?? 0, stable: stable?.release ?? null },
          // With nothing to share callers with, a first release takes them all at once.
          plan: stable === null ? lastStep : rollout.steps,
          deployBefore: plusSeconds(expiresAt, rollout.deployWithinSeconds),
        },
        evidence: {
          admission: admission.request,
          manifest: ingested.release,
          bundle: ingested.bundle,
          provenance: ingested.provenance,
          testResult: validated.testResult,
          change: ingested.change,
        },
        policy: newestDigest,
        requester: admission.requester,
        producer: ingested.producer,
        issuedAt,
        expiresAt,
      };
      const envelope = signStatement('request', { name: lifecycleId(name), sha256: ingested.release }, predicate, [
        key,
      ]);
      await demandGround(records, name, envelope);
      const { digest } = await keepRequest(envelope);
      const { role, count } = approvals.deploy;
      const gate: OpenGate = { request: digest, requestId: predicate.requestId, role, count, expiresAt, envelope };
      const opened = await records.recordOnce(storeKeys.record(name, 'gate'), gate);
      await journal.note({
        change: 'gate.opened',
        key: 'deploy',
        actor: { id, statement: opened.request },
        subject: { ...name, release: ingested.release },
        after: opened.request,
        policy: newestDigest,
        reason: `${count} × ${role} must approve ${opened.requestId} before ${opened.expiresAt}`,
      });
      return opened;
    },

    decide: async ({ gate, act, counted, decisions }) => {
      const request = (await records.get('request', gate.request)).verified;
      await demandUnchanged(records, request.predicate);
      const policies = await records.policies();
      const rules = rulesFor(policies, request, isoTime(Date.now()));
      const quorum = rules.gate.approvals[act];
      const verdicts: DecisionVerdict[] = [];
      for (const decision of decisions) verdicts.push(await judge(decision, request, { ...rules, quorum }));
      await journal.note(...refusals(decisions, verdicts, request));
      const accepted = verdicts.flatMap((verdict) => (verdict.accepted ? [verdict.statement] : []));
      const statements = await Promise.all(
        [...new Set([...counted, ...accepted])].map((digest) => records.get('approval', digest)),
      );
      const count = tally({
        request,
        approvals: statements.map(({ verified }) => verified),
        quorum,
        gate: rules.gate,
        newest: rules.newest,
      });
      return { verdicts, outcome: outcomeOf(count, gate) };
    },

    refuse: async ({ model, decisions, reason, dropped }) => {
      if (decisions.length === 0 && dropped === 0) return;
      const names = [...new Set(decisions.map(({ message }) => message.slice(0, 80)))].join(', ');
      const envelopes = decisions.map(({ envelope }) => envelope);
      const told = dropped === 0 ? reason : `${reason}; ${dropped} more were dropped unread`;
      await journal.note(refusal(names, envelopes, { model, version: null, release: null }, told));
    },
  };

  async function keepRequest(envelope: unknown): Promise<Verified<RequestPredicate>> {
    const { envelope: kept, verified } = await records.verify('request', envelope);
    await records.keep(kept, storeKeys.request(verified.digest));
    return verified;
  }

  /** One person's decision, in the order of the checks: shape, signature and kind, what it is about, time, role, once. */
  async function judge(
    { message, envelope }: Decision,
    request: Verified<RequestPredicate>,
    rules: ReturnType<typeof rulesFor> & { readonly quorum: Quorum },
  ): Promise<DecisionVerdict> {
    const { model, version, release } = request.predicate;
    const subject = { model, version, release };
    try {
      const found = await records.verify('approval', envelope);
      const said: Verified<ApprovalPredicate> = found.verified;
      const checked = checkDecision({ request, ...rules }, said);
      if ('code' in checked) throw new CustodyError(checked.code, checked.reason);
      if (said.predicate.decision !== message)
        throw new CustodyError('MALFORMED', `a decision to ${said.predicate.decision} came as the message ${message}`);
      const outside = outsideValidity(said.predicate, rules.now);
      if (outside !== null) throw new CustodyError('EXPIRED', `the decision is ${outside}`);
      await records.spend(said.predicate.nonce, { statement: said.digest, request: request.digest });
      await records.keep(found.envelope);
      await journal.note({
        change: 'decision.accepted',
        key: said.digest,
        actor: { id: checked.approver, statement: said.digest },
        subject,
        before: request.digest,
        after: said.digest,
        policy: request.predicate.policy,
        reason: `${said.predicate.decision} ${request.predicate.requestId}: ${said.predicate.reason}`,
      });
      return { accepted: true, by: checked.approver, statement: said.digest };
    } catch (error) {
      if (!(error instanceof CustodyError) || !isPermanent(error.code)) throw error;
      return { accepted: false, code: error.code, reason: error.message };
    }
  }
}

/** One record for all that were refused for the same reason. */
function refusals(
  decisions: readonly Decision[],
  verdicts: readonly DecisionVerdict[],
  { predicate: { model, version, release } }: Verified<RequestPredicate>,
): Entry[] {
  const refused = new Map<string, { readonly message: string; readonly why: string; readonly envelopes: unknown[] }>();
  decisions.forEach(({ message, envelope }, index) => {
    const verdict = verdicts[index];
    if (verdict === undefined || verdict.accepted) return;
    const why = `${verdict.code}: ${verdict.reason}`;
    const same = refused.get(`${message} ${why}`) ?? { message, why, envelopes: [] };
    same.envelopes.push(envelope);
    refused.set(`${message} ${why}`, same);
  });
  const subject = { model, version, release };
  return [...refused.values()].map(({ message, why, envelopes }) => refusal(message, envelopes, subject, why));
}

/**
 * Opens a gate on a person's own signed request: kept, its nonce spent, and in the log. `check` throws what speaks against
 * it besides; a refusal is audited.
 */
export function openAskedGate(
  { records, journal }: Desk,
  asked: {
    readonly kind: 'restore' | 'retire';
    readonly envelope: unknown;
    readonly workflowId: string;
    readonly subject: AuditRecord['subject'];
    readonly check: (predicate: RequestPredicate, newest: Policy) => Promise<void> | void;
  },
): Promise<OpenGate> {
  const { kind, envelope, workflowId, subject, check } = asked;
  return journal.refusing({ name: kind, envelope, subject }, async () => {
    const { envelope: request, verified } = await records.verify('request', envelope);
    const { predicate, digest } = verified;
    const { newest, newestDigest } = await records.policies();
    const now = isoTime(Date.now());
    const rules: Rules = { environment: records.environment, gate: newest, newest, now };
    demand(policyInForce(rules));
    // An older policy could ask for fewer people.
    if (predicate.policy !== newestDigest)
      throw new CustodyError('POLICY_REFUSED', 'the policy has changed since the request was made: ask again');
    demand(personAsks(rules, verified, kind, workflowId));
    const outside = outsideValidity(predicate, now);
    if (outside !== null) throw new CustodyError('EXPIRED', `the request is ${outside}`);
    await check(predicate, newest);
    await records.keep(request, storeKeys.request(digest));
    await records.spend(predicate.nonce, { statement: digest, request: digest });
    const { role, count } = newest.approvals[kind];
    const { requestId, expiresAt, requester, policy } = predicate;
    await journal.note({
      change: 'gate.opened',
      key: digest,
      actor: { id: requester, statement: digest },
      subject,
      after: digest,
      policy,
      reason: `${count} × ${role} must approve ${requestId} before ${expiresAt}`,
    });
    return { request: digest, requestId, role, count, expiresAt, envelope: request };
  });
}

function outcomeOf(count: ReturnType<typeof tally>, gate: OpenGate): Counted['outcome'] {
  switch (count.kind) {
    case 'pending':
      return { kind: 'pending', missing: count.missing };
    case 'rejected':
      return { kind: 'rejected', by: count.by, reason: count.reason };
    case 'approved': {
      const { approvals, approvers } = count;
      return { kind: 'approved', approved: { request: gate.request, approvals, approvers } };
    }
  }
}
