import { mayProceed, type VerifiedProceed } from './authorise-proceed.js';
import { drillGoesBack } from './authorise-drill.js';
import { restoreFollows } from './authorise-restore.js';
import { denied, policyInForce, quorumReached, signedInRole, type Permission, type Rules } from './authorise.js';
import type { Digest } from './digest.js';
import { isEmergency, type VerifiedEmergency } from './emergency.js';
import { matches } from './intent.js';
import { lifecycleId } from './names.js';
import type { VerifiedOverride } from './override.js';
import { deployQuorum, stands, weakerThanAgreed } from './provisional.js';
import { planStep, promote, rollbackTo, stableOf, withdraw, type RoutingDocument } from './routing.js';
import type {
  ApprovalPredicate,
  KillPredicate,
  PlanStep,
  RequestAction,
  RequestPredicate,
  Verified,
} from './statements.js';
import { MAX_SKEW_MS, plusSeconds } from './time.js';

type DeployAction = Extract<RequestAction, { kind: 'deploy' }>;

/** A routing document with what it rests on, every signature checked, and the document it is to follow. */
export interface RouteCase {
  readonly current: { readonly digest: Digest; readonly document: RoutingDocument } | null;
  readonly next: Verified<RoutingDocument>;
  /** The deploy request of a plan, the restore request of a document that lifts; `null` for what only lowers. */
  readonly request: Verified<RequestPredicate> | null;
  readonly approvals: readonly Verified<ApprovalPredicate>[];
  /** What people said after the step before, where that one pauses. */
  readonly proceed: VerifiedProceed | null;
  /** What the deploy request provisionally rests on. */
  readonly override: VerifiedOverride | null;
  readonly emergency: VerifiedEmergency | null;
  /** The orders that a drill lifts. */
  readonly kills: readonly Verified<KillPredicate>[];
  /** Whether no later document follows: one that is being caught up with may have been due in the past. */
  readonly isNewest: boolean;
  /** When the step in `current` has been watched for its time, by `bakedAt`; `null` to whoever cannot know. */
  readonly baked: string | null;
}

/**
 * When the plan's step that a document carries out has been watched for its time: never by what control says of it. Where the
 * plan is served by (`inForce`), counted from now, as the document is admitted; where it is only caught up with, from when
 * enough people had approved the plan, through the times of all its steps so far. `null`: it is in no plan.
 */
export function bakedAt(
  { next, request, approvals, isNewest, baked }: RouteCase,
  approvers: readonly string[],
  rules: Rules,
  inForce: RoutingDocument | null,
): string | null {
  const { change, plan: position } = next.predicate;
  if (position === null) return null;
  if (change !== 'plan' || request?.predicate.action.kind !== 'deploy') return baked;
  const { plan } = request.predicate.action;
  const { request: planned, step } = position;
  if (isNewest || inForce?.plan?.request === planned) return plusSeconds(rules.now, plan[step]?.bakeSeconds ?? 0);
  const counted = approvals.filter(({ signers }) => signers.some((id) => approvers.includes(id)));
  const times = counted.map(({ predicate }) => predicate.issuedAt).sort();
  const agreed = times[(deployQuorum(rules.gate, request.predicate)?.count ?? 0) - 1] ?? rules.now;
  return plusSeconds(
    agreed,
    plan.slice(0, step + 1).reduce((sum, { bakeSeconds }) => sum + bakeSeconds, 0),
  );
}

/** Tried again, it is admitted once the time is over. */
function stillBaking({ current, baked }: RouteCase, { now }: Rules): Permission | null {
  if (baked === null || current?.document.plan == null || Date.parse(now) >= Date.parse(baked)) return null;
  return denied('PENDING', `step ${current.document.plan.step} is to be watched here until ${baked}`);
}

/**
 * Whether a gateway may serve by this document. What it says must be exactly what the rules make of the document before:
 * control's signature alone goes back, takes out, or ends a plan; only a quorum adds exposure or lifts a kill.
 */
export function authoriseRoute(route: RouteCase, rules: Rules): Permission {
  const { current, next } = route;
  const document = next.predicate;
  if (!next.signers.some((id) => signedInRole(rules, { ...next, signers: [id] }, 'control')))
    return denied('NOT_AUTHORISED', `${next.signers.join(', ')} may not route`);
  if (document.environment !== rules.environment)
    return denied('REPLAYED', `the document is for environment ${document.environment}`);
  if (current !== null && document.model !== current.document.model)
    return denied('REPLAYED', `the document is for model ${document.model}`);
  if (document.revision !== (current?.document.revision ?? 0) + 1 || document.previous !== (current?.digest ?? null))
    return denied('REPLAYED', `revision ${document.revision} does not follow the one in force`);
  if (Date.parse(document.issuedAt) > Date.parse(rules.now) + MAX_SKEW_MS)
    return denied('EXPIRED', `the document says it was made at ${document.issuedAt}, which is to come`);

  switch (document.change) {
    case 'plan':
      return planFollows(route, rules);
    case 'restore':
      return restoreFollows(route, rules);
    case 'promote': {
      const plan = current?.document.plan ?? null;
      const early = stillBaking(route, rules);
      if (early !== null) return early;
      const isLast = current !== null && plan !== null && current.document.releases[0]?.weight === 100;
      return isLast ? matches(document, promote(current.document)) : denied('POLICY_REFUSED', 'no plan is at its end');
    }
    case 'rollback': {
      if (current === null) return denied('POLICY_REFUSED', 'there is nothing to go back from');
      if (document.drill !== undefined) return drillGoesBack(current.document, document, rules);
      return matches(document, rollbackTo(current.document, document.releases[0]?.release ?? null));
    }
    case 'withdraw': {
      if (current === null) return denied('POLICY_REFUSED', 'there is nothing to take out');
      const gone = current.document.releases.find(
        ({ release }) => !document.releases.some((entry) => entry.release === release),
      );
      if (gone === undefined) return denied('POLICY_REFUSED', 'the document takes nothing out');
      return matches(document, withdraw(current.document, gone.release));
    }
  }
}

function planFollows(route: RouteCase, rules: Rules): Permission {
  const { current, next, request, approvals, override, emergency, isNewest } = route;
  const document = next.predicate;
  const inForce = isNewest ? policyInForce(rules) : { allowed: true as const, approvers: [] };
  if (!inForce.allowed) return inForce;
  if (document.plan === null || request === null || request.digest !== document.plan.request)
    return denied('NOT_AUTHORISED', 'the document does not come with the request of its plan');
  const asked = request.predicate;
  if (asked.action.kind !== 'deploy') return denied('REPLAYED', 'the request is not for a deployment');
  if (asked.environment !== rules.environment || asked.model !== document.model)
    return denied('REPLAYED', `the request is for ${asked.model} in ${asked.environment}`);
  if (asked.version === null || asked.release === null || request.subject !== asked.release)
    return denied('MALFORMED', 'the request names no release');
  if (asked.workflowId !== lifecycleId({ model: asked.model, version: asked.version }))
    return denied('REPLAYED', `the request belongs to ${asked.workflowId}`);
  if (!signedInRole(rules, request, 'control')) return denied('NOT_AUTHORISED', 'the request was not made by control');

  if (document.policy !== asked.policy)
    return denied('POLICY_REFUSED', 'the document names another policy than its request');

  // One that is being caught up with is judged by its own time, as is whether its plan was due.
  const then = isNewest ? rules : { ...rules, now: document.issuedAt };
  const standing = stands({ request, approvals, override, emergency }, then);
  if (!standing.allowed) return standing;
  const quorum = deployQuorum(rules.gate, asked);
  if (quorum === null) return denied('POLICY_REFUSED', 'the policy knows no emergency deployment');

  const { from, deployBefore } = asked.action;
  const step = stepOf(document, asked.action, asked, rules);
  if ('allowed' in step) return step;
  if (document.revision !== from.revision + 1 + document.plan.step)
    return denied('REPLAYED', `step ${document.plan.step} was approved from revision ${from.revision}`);
  if ((stableOf(current?.document ?? null)?.release ?? null) !== from.stable)
    return denied('REPLAYED', 'the endpoint no longer serves what the request was made for');
  const due = Date.parse(deployBefore) + MAX_SKEW_MS;
  if (Date.parse(document.issuedAt) > due || (isNewest && Date.parse(rules.now) > due))
    return denied('EXPIRED', `the plan had to begin this step before ${deployBefore}`);
  const before = stepBefore(current?.document ?? null, document, asked.action.plan);
  if (!before.allowed) return before;

  const target = { release: asked.release, version: asked.version, weight: step.weight };
  const { rollout, rollback } = rules.gate;
  const intent = planStep(current?.document ?? null, target, document.plan, rollout.triggers, rollback.warmReleases);
  const same = matches(document, intent);
  if (!same.allowed) return same;
  const reached = quorumReached(rules, request, approvals, quorum);
  if (!reached.allowed || document.plan.step === 0) return reached;
  const early = stillBaking(route, rules);
  if (early !== null) return early;
  const after = asked.action.plan[document.plan.step - 1];
  if (current === null || after?.pause !== true) return reached;
  const to = { step: document.plan.step, weight: step.weight, after };
  const agreed = mayProceed(route.proceed, request, current.document, to, then);
  return agreed.allowed ? reached : agreed;
}

/** The planned step, of a plan no weaker than the policy's: people agree to a release, not to a way around the rollout. */
function stepOf(
  { plan: position }: RoutingDocument,
  { from, plan, deployBefore }: DeployAction,
  asked: RequestPredicate,
  { gate }: Rules,
): PlanStep | Permission {
  const { deployWithinSeconds } = gate.rollout;
  const { expiresAt } = asked;
  const weaker = weakerThanAgreed(plan, gate, isEmergency(asked), from.stable === null);
  if (weaker !== null) return denied('POLICY_REFUSED', `the plan is weaker than the policy's: ${weaker}`);
  if (Date.parse(deployBefore) > Date.parse(expiresAt) + deployWithinSeconds * 1000)
    return denied('POLICY_REFUSED', `the policy gives a plan ${deployWithinSeconds} s from the end of its request`);
  return plan[position?.step ?? 0] ?? denied('POLICY_REFUSED', `the plan has no step ${position?.step ?? 0}`);
}

/** Later steps go on from the one before in the same plan, after the time that it was to be watched. */
function stepBefore(
  current: RoutingDocument | null,
  { plan: position, issuedAt }: RoutingDocument,
  plan: readonly PlanStep[],
): Permission {
  if (position === null || position.step === 0) return { allowed: true, approvers: [] };
  const before = current?.plan ?? null;
  if (current === null || before?.request !== position.request || before.step !== position.step - 1)
    return denied('REPLAYED', `step ${position.step} does not follow the step before it`);
  const { bakeSeconds = 0 } = plan[before.step] ?? {};
  if (Date.parse(issuedAt) >= Date.parse(current.issuedAt) + bakeSeconds * 1000)
    return { allowed: true, approvers: [] };
  return denied('POLICY_REFUSED', `step ${before.step} was to be watched for ${bakeSeconds} s`);
}
