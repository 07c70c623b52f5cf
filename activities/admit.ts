import { progressOf } from '../adapters/dossier.js';
import { denied, personAsks, policyInForce, type Rules } from '../domain/authorise.js';
import type { Change } from '../domain/audit.js';
import type { Digest } from '../domain/digest.js';
import { assessed } from '../domain/emergency.js';
import { CustodyError } from '../domain/errors.js';
import type { Admission, Progress } from '../domain/lifecycle.js';
import { lifecycleId } from '../domain/names.js';
import type { RequestPredicate } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime, outsideValidity } from '../domain/time.js';
import { demand } from '../formats/evidence.js';
import { canonicalBytes } from '../formats/jcs.js';
import { sha256 } from '../formats/sha256.js';
import type { Desk } from './control.js';
import type { LifecycleControl, StagePart } from './contract.js';
import { demandPlan } from './own-plan.js';
import { summarise } from './provisional.js';
import { erasureOf } from './retire.js';

/** How each stage's end is called in the log. */
const CHANGES: Record<StagePart, Change> = {
  ingested: 'release.ingested',
  validated: 'release.validated',
  overridden: 'release.overridden',
  approved: 'release.approved',
  signed: 'release.signed',
  rollout: 'rollout.ended',
  reviewed: 'release.reviewed',
};

type Admissions = Pick<LifecycleControl, 'resumeLifecycle' | 'admitRelease' | 'record' | 'recordOutcome'>;

/** A release's way in, and the record of each stage it passes. */
export function createAdmission(desk: Desk): Admissions {
  const { records, journal, id } = desk;
  return {
    resumeLifecycle: (name) => progressOf(records, name),

    admitRelease: (name, envelope, assessment) =>
      journal.refusing({ name: 'start', envelope, subject: { ...name, release: null } }, async () => {
        const { newest, newestDigest } = await records.policies();
        const { envelope: request, verified } = await records.receive('request', envelope);
        const now = isoTime(Date.now());
        const rules: Rules = { environment: records.environment, gate: newest, newest, now };
        demand(policyInForce(rules));
        demand(personAsks(rules, verified, 'release', lifecycleId(name)));
        const asked = verified.predicate;
        if (asked.action.kind !== 'release' || asked.model !== name.model || asked.version !== name.version)
          demand(denied('REPLAYED', `the request is for ${asked.model} ${asked.version ?? ''}`));
        const outside = outsideValidity(asked, now);
        if (outside !== null) demand(denied('EXPIRED', `the request is ${outside}`));
        if (asked.policy !== newestDigest)
          demand(denied('POLICY_REFUSED', 'the policy has changed since the request was made: ask again'));

        const riskAssessment = await keepAssessment(assessment, asked, rules);
        const { source, bundle, provenance, promotion, plan } = asked.action as Extract<
          typeof asked.action,
          { kind: 'release' }
        >;
        if (plan !== undefined) demandPlan(plan, newest, riskAssessment !== null);
        await records.keep(request, storeKeys.request(verified.digest));
        await records.spend(asked.nonce, { statement: verified.digest, request: verified.digest });
        const admission: Admission = {
          request: verified.digest,
          requester: asked.requester,
          source,
          bundle,
          provenance,
          ...(promotion === undefined ? {} : { promotion }),
          ...(riskAssessment === null ? {} : { riskAssessment }),
          policy: newestDigest,
        };
        const kept = await records.recordOnce(storeKeys.record(name, 'admission'), admission);
        await journal.note({
          change: 'release.admitted',
          key: kept.request,
          actor: { id: kept.requester, statement: kept.request },
          subject: { ...name, release: null },
          after: kept.request,
          policy: kept.policy,
          reason: `${kept.requester} asks for ${name.model} ${name.version}`,
        });
        return kept;
      }),

    record: async (name, part, value, release, later = false) => {
      const kept = await records.recordOnce(storeKeys.record(name, part), value);
      if (later) return kept;
      await journal.note({
        change: CHANGES[part],
        key: part,
        actor: { id, statement: null },
        subject: { ...name, release: releaseOf(part, kept) ?? release },
        after: sha256(canonicalBytes(kept)),
        reason: describe(part, kept),
      });
      return kept;
    },

    recordOutcome: async (name, release, outcome) => {
      const kept = await records.recordOnce(storeKeys.record(name, 'outcome'), outcome);
      // What ends otherwise than by its retirement leaves a signed finding.
      const summary = kept.kind === 'retired' || release === null ? null : await summarise(desk, name, release);
      const erased = kept.kind === 'retired' && release !== null ? await erasureOf(records, name, release) : [];
      await journal.note(...erased, {
        change: kept.kind === 'retired' ? 'release.retired' : 'release.ended',
        key: 'outcome',
        actor: { id, statement: summary },
        subject: { ...name, release },
        after: kept.kind === 'retired' ? kept.certificate : sha256(canonicalBytes(kept)),
        reason: 'reason' in kept ? `${kept.kind}: ${kept.reason}` : kept.kind,
      });
      return kept;
    },
  };

  /** An emergency comes with its assessment, and everything else without one. */
  async function keepAssessment(given: unknown, asked: RequestPredicate, rules: Rules): Promise<Digest | null> {
    const named = asked.evidence['riskAssessment'];
    if (named === undefined && given === null) return null;
    if (named === undefined || given === null)
      throw new CustodyError('MALFORMED', 'the risk assessment and the request that names it must come together');
    const { envelope, verified } = await records.receive('riskAssessment', given);
    if (verified.digest !== named) demand(denied('REPLAYED', 'the request names another risk assessment'));
    demand(assessed(asked, verified, rules));
    return records.keep(envelope);
  }
}

function releaseOf(part: StagePart, value: unknown): string | null {
  return part === 'ingested' ? (value as NonNullable<Progress['ingested']>).release : null;
}

function describe<K extends StagePart>(part: K, value: NonNullable<Progress[K]>): string {
  const facts = Object.entries(value).map(
    ([name, fact]) => `${name} ${typeof fact === 'object' ? JSON.stringify(fact) : String(fact)}`,
  );
  return `${part}: ${facts.join(', ')}`;
}
