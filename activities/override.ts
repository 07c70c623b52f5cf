import { progressOf } from '../adapters/dossier.js';
import { genuineUnder } from '../adapters/genuine.js';
import { policyInForce } from '../domain/authorise.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { Approved, OpenGate } from '../domain/lifecycle.js';
import { checkOverride, liftingRefused, overrideQuorum } from '../domain/override.js';
import type { RequestPredicate, Verified } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime, plusSeconds } from '../domain/time.js';
import { demand } from '../formats/evidence.js';
import { openGate } from './ask.js';
import { judgeAll } from './ballot.js';
import type { Counted, Decision, DecisionVerdict, LifecycleControl } from './contract.js';
import type { Desk } from './control.js';
import { groundOf } from './ground.js';
import { provisoOf } from './provisional.js';

type Overrides = Pick<LifecycleControl, 'openOverrideGate' | 'renewOverride'>;

/** A failed validation, and the few who may lift what has failed for a time. */
export function createOverrides(desk: Desk): Overrides {
  const { records } = desk;
  return {
    openOverrideGate: async (name, { admission, ingested, validated }) => {
      const kept = (await records.record(storeKeys.record(name, 'overrideGate'))) as OpenGate | null;
      if (kept !== null) return kept;
      if (admission === undefined || ingested === undefined || validated === undefined)
        throw new CustodyError('INTERNAL', 'an override was asked for of a release that has not been validated');
      const { newest, newestDigest } = await records.policies();
      const issuedAt = isoTime(Date.now());
      const failed = (await records.get('testResult', validated.testResult)).verified.predicate.failedTests;
      const quorum = overrideQuorum(newest);
      const refused = liftingRefused(failed, newest);
      if (quorum === null || refused !== null)
        throw new CustodyError('VALIDATION_FAILED', `failed: ${failed.join(', ')}; ${refused ?? ''}`);
      demand(policyInForce({ newest, now: issuedAt }));
      return openGate(desk, name, {
        part: 'overrideGate',
        of: { admission, ingested },
        action: { kind: 'override', failed },
        evidence: groundOf(admission, ingested, validated),
        policy: newestDigest,
        quorum,
        issuedAt,
        expiresAt: plusSeconds(issuedAt, quorum.withinSeconds),
      });
    },

    renewOverride: async (name, decisions) => {
      const { overridden } = await progressOf(records, name);
      if (overridden === undefined)
        throw new CustodyError('POLICY_REFUSED', 'the release rests on no override that could be renewed');
      const request = (await records.get('request', overridden.request)).verified;
      const verdicts = await judge(desk, request, decisions, true);
      return { verdicts, proviso: await provisoOf(desk, name) };
    },
  };
}

/** Verifies overrides, keeps those that count, and says whether enough people hold it now. */
export async function decideOverride(
  desk: Desk,
  request: Verified<RequestPredicate>,
  decisions: readonly Decision[],
): Promise<Counted> {
  const { records } = desk;
  const verdicts = await judge(desk, request, decisions, false);
  const policies = await records.policies();
  const gate = policies.byDigest(request.predicate.policy);
  const now = isoTime(Date.now());
  const people = new Map<string, Digest>();
  for (const { verified } of await genuineUnder(records, 'override', storeKeys.override(request.digest, ''))) {
    const checked = checkOverride({ request, gate }, verified, policies.newest, false);
    if ('approver' in checked && verified.predicate.holdsUntil > now) people.set(checked.approver, verified.digest);
  }
  const missing = (overrideQuorum(gate)?.count ?? Infinity) - people.size;
  if (missing > 0) return { verdicts, outcome: { kind: 'pending', missing } };
  const approved: Approved = {
    request: request.digest,
    approvals: [...people.values()],
    approvers: [...people.keys()],
  };
  return { verdicts, outcome: { kind: 'approved', approved } };
}

async function judge(
  desk: Desk,
  request: Verified<RequestPredicate>,
  decisions: readonly Decision[],
  isRenewal: boolean,
): Promise<readonly DecisionVerdict[]> {
  const policies = await desk.records.policies();
  const gate = policies.byDigest(request.predicate.policy);
  return judgeAll(desk, request, decisions, {
    kind: 'override',
    check: (said) => checkOverride({ request, gate }, said, policies.newest, isRenewal),
    key: (statement) => storeKeys.override(request.digest, statement),
    describe: ({ lifts, holdsUntil, justification }) =>
      `lifts ${lifts.join(', ')} until ${holdsUntil}: ${justification}`,
  });
}

/** How a deploy request names an override: the request to lift, and each statement, so that approvers have seen them. */
export function overrideNamed({ request, approvals }: Approved): Readonly<Record<string, Digest>> {
  return Object.fromEntries([
    ['override', request],
    ...approvals.map((statement, index) => [`override/${index + 1}`, statement] as const),
  ]);
}
