import { progressOf } from '../adapters/dossier.js';
import { gatherProvisional } from '../adapters/provisions.js';
import type { Records } from '../adapters/records.js';
import type { Digest } from '../domain/digest.js';
import { reviewQuorum, reviewTerms } from '../domain/emergency.js';
import { CustodyError } from '../domain/errors.js';
import type { OpenGate } from '../domain/lifecycle.js';
import { lifecycleId, type ReleaseName } from '../domain/names.js';
import { standsUntil, type Proviso } from '../domain/provisional.js';
import {
  establishedOf,
  rollbackTo,
  weightOf,
  withdraw,
  type RouteIntent,
  type RoutingDocument,
} from '../domain/routing.js';
import type { VerificationSummaryPredicate } from '../domain/provisional-predicates.js';
import type { ApprovalPredicate, RequestPredicate, Verified } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime, plusSeconds } from '../domain/time.js';
import { rulesFor, verifyProvisional } from '../formats/evidence.js';
import { signStatement } from '../formats/statements.js';
import { openGate } from './ask.js';
import type { LifecycleControl } from './contract.js';
import type { Desk } from './control.js';

type Provisions = Pick<LifecycleControl, 'proviso' | 'openReviewGate' | 'recordLapse' | 'noteLapse' | 'revertRelease'>;

/** A release that stands only until a time: when that is, the review that can end it, and the way back. */
export function createProvisions(desk: Desk): Provisions {
  const { records, journal, router, id } = desk;
  return {
    proviso: (name) => provisoOf(desk, name),

    openReviewGate: async (name, { admission, ingested, approved }) => {
      const kept = (await records.record(storeKeys.record(name, 'reviewGate'))) as OpenGate | null;
      if (kept !== null) return kept;
      if (admission === undefined || ingested === undefined || approved === undefined)
        throw new CustodyError('INTERNAL', 'a review was asked for of a release that has not been approved');
      const deployed = await deployment(records, approved);
      const now = isoTime(Date.now());
      const { evidence, policy } = deployed.request.predicate;
      const rules = rulesFor(await records.policies(), deployed.request, now);
      const quorum = reviewQuorum(rules.gate);
      if (quorum === null) throw new CustodyError('POLICY_REFUSED', 'the policy knows no emergency deployment');
      const { due } = reviewTerms(deployed, rules);
      const latest = plusSeconds(now, quorum.withinSeconds);
      return openGate(desk, name, {
        part: 'reviewGate',
        of: { admission, ingested },
        action: { kind: 'review' },
        evidence: { ...evidence, deploy: deployed.request.digest },
        policy,
        quorum,
        issuedAt: now,
        expiresAt: due < latest ? due : latest,
      });
    },

    recordLapse: (name, _release, proviso) => records.recordOnce(storeKeys.record(name, 'lapsed'), proviso),

    noteLapse: async (name, release) => {
      const { lapsed } = await progressOf(records, name);
      if (lapsed === undefined)
        throw new CustodyError('PENDING', `${name.model} ${name.version} is not known to have lapsed`);
      const statement = await summarise(desk, name, release);
      await journal.note({
        change: 'release.lapsed',
        key: 'lapsed',
        actor: { id, statement },
        subject: { ...name, release },
        after: statement,
        reason: `stood until ${lapsed.until}: ${lapsed.why}`,
      });
    },

    revertRelease: ({ model }, release) => router.takeOut(model, release, wayBack),
  };
}

/** Where callers reach it, back to the release that served before; where it is only kept warm, it is taken out. */
function wayBack(document: RoutingDocument, release: Digest): RouteIntent {
  if (weightOf(document, release) === 0) return withdraw(document, release);
  const established = establishedOf(document);
  const before = established[established.findIndex((entry) => entry.release === release) + 1];
  return rollbackTo(document, before?.release ?? null);
}

/** Until when a release stands, by everything in WORM; `null`: for good. */
export async function provisoOf({ records }: Desk, name: ReleaseName): Promise<Proviso | null> {
  const { approved } = await progressOf(records, name);
  if (approved === undefined) throw new CustodyError('PENDING', `${name.model} ${name.version} has not been approved`);
  const deployed = await deployment(records, approved);
  const policies = await records.policies();
  const evidence = await gatherProvisional(records, deployed.request.predicate);
  const rests = verifyProvisional(evidence, policies);
  return standsUntil({ ...deployed, ...rests }, rulesFor(policies, deployed.request, isoTime(Date.now())));
}

interface Deployed {
  readonly request: Verified<RequestPredicate>;
  readonly approvals: readonly Verified<ApprovalPredicate>[];
}

async function deployment(
  records: Records,
  { request, approvals }: { readonly request: Digest; readonly approvals: readonly Digest[] },
): Promise<Deployed> {
  const found = await Promise.all(approvals.map((digest) => records.get('approval', digest)));
  return {
    request: (await records.get('request', request)).verified,
    approvals: found.map(({ verified }) => verified),
  };
}

/** The deployment that a request to review is about. */
export async function deployedBy(records: Records, { model, version, evidence }: RequestPredicate): Promise<Deployed> {
  const { approved } = version === null ? {} : await progressOf(records, { model, version });
  if (approved === undefined || approved.request !== evidence['deploy'])
    throw new CustodyError('REPLAYED', 'the request is to review another deployment');
  return deployment(records, approved);
}

/**
 * Control's signed finding that a release may not, or no longer, serve: with the policy and every statement that it rests
 * on. Made once; answers its digest.
 */
export async function summarise({ records, key, id }: Desk, name: ReleaseName, release: Digest): Promise<Digest> {
  const at = storeKeys.record(name, 'summary');
  const made = (await records.record(at)) as { readonly statement: Digest } | null;
  if (made !== null) return made.statement;
  const progress = await progressOf(records, name);
  const policies = await records.policies();
  const policy = progress.admission?.policy ?? policies.newestDigest;
  const requests = [progress.admission, progress.overrideGate, progress.gate, progress.reviewGate].flatMap((each) =>
    each === undefined ? [] : [each.request],
  );
  const statements = [
    ...(progress.ingested === undefined ? [] : [progress.ingested.provenance]),
    ...(progress.validated === undefined ? [] : [progress.validated.testResult]),
    ...(progress.admission?.riskAssessment === undefined ? [] : [progress.admission.riskAssessment]),
    ...[progress.approved, progress.reviewed].flatMap((each) => each?.approvals ?? []),
  ];
  const inputs = [
    ...requests.map((digest) => [storeKeys.request(digest), digest] as const),
    ...statements.map((digest) => [storeKeys.statement(digest), digest] as const),
    ...(progress.overridden?.approvals ?? []).map(
      (digest) => [storeKeys.override(progress.overridden?.request ?? '', digest), digest] as const,
    ),
  ];
  const predicate: VerificationSummaryPredicate = {
    verifier: { id },
    timeVerified: isoTime(Date.now()),
    resourceUri: lifecycleId(name),
    policy: { uri: storeKeys.policy(policies.byDigest(policy).version), digest: { sha256: policy } },
    inputAttestations: inputs.map(([uri, digest]) => ({ uri, digest: { sha256: digest } })),
    verificationResult: 'FAILED',
    verifiedLevels: ['FAILED'],
  };
  const subject = { name: lifecycleId(name), sha256: release };
  const statement = await records.keep(signStatement('verificationSummary', subject, predicate, [key]));
  return (await records.recordOnce(at, { statement })).statement;
}
