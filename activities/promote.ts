import { checkRelease, newestStatus, progressOf } from '../adapters/dossier.js';
import type { Records } from '../adapters/records.js';
import { authoriseLoading, policyInForce } from '../domain/authorise.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import { lifecycleId, promoteId, type ReleaseName } from '../domain/names.js';
import { stableOf } from '../domain/routing.js';
import { MAY_SERVE, verifierId } from '../domain/promotion.js';
import { standsUntil } from '../domain/provisional.js';
import type { VerificationSummaryPredicate } from '../domain/provisional-predicates.js';
import type { VerifiedRelease } from '../domain/release-evidence.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime } from '../domain/time.js';
import { demand } from '../formats/evidence.js';
import type { SigningKey } from '../formats/keys.js';
import { policyDigest } from '../formats/policy.js';
import { signStatement } from '../formats/statements.js';
import type { Desk } from './control.js';
import type { PromotionControl, SigningActivities } from './contract.js';
import { LiftedOrders } from './lifted.js';
import { admitAsked, demandAsked, demandSigner, type AskedOfSigning } from './person-asks.js';
import { StoredKills } from './stored-kills.js';
import { StoredRoutes } from './stored-routes.js';

const asked = (name: ReleaseName): AskedOfSigning => ({
  kind: 'promote',
  workflowId: promoteId(name),
  what: 'its verification for another environment',
});

/** Control's part: the request of a person, and what came of it. */
export function createPromotionDesk(desk: Desk): Omit<PromotionControl, 'refuse'> {
  const { records, journal } = desk;
  return {
    admitPromotion: (name, envelope) => admitAsked(desk, name, asked(name), envelope),

    recordPromotion: async (name, digest, { release, summary }) => {
      const { verified } = await records.get('request', digest);
      await journal.note({
        change: 'release.promoted',
        key: digest,
        actor: { id: verified.predicate.requester, statement: digest },
        subject: { ...name, release },
        after: summary,
        policy: verified.predicate.policy,
        reason: 'verified for another environment, by the signing zone',
      });
    },
  };
}

/**
 * The signing zone's part. It says of a release what it has found itself, by all that a serving host checks before a load: nobody's
 * word is taken for it, control's least of all.
 */
export function createPromoting({
  records,
  key,
}: {
  readonly records: Records;
  readonly key: SigningKey;
}): Pick<SigningActivities, 'summariseRelease'> {
  return {
    summariseRelease: async (name, digest) => {
      const { verified } = await records.get('request', digest);
      await demandAsked(records, asked(name), verified);
      const release = await servingRelease(records, name);
      if (verified.predicate.release !== release)
        throw new CustodyError('REPLAYED', `the request is about another release than ${name.model} ${name.version}`);
      const kept = (await records.record(storeKeys.promotion(name, digest))) as { readonly summary: Digest } | null;
      if (kept !== null) return { release, summary: kept.summary };
      await demandSigner(records, key);
      // The status document says so, too, a moment later.
      if ((await records.bucket.read(storeKeys.revocation(release))) !== null)
        throw new CustodyError('REVOKED', 'the release has been revoked: it goes nowhere else');
      const checked = await checkRelease(records, name, release, await newestStatus(records));
      const { rules, status, policies } = checked;
      demand(policyInForce(rules));
      demand(authoriseLoading(checked.release, rules, status));
      const proviso = standsUntil(checked.release, rules);
      if (proviso !== null)
        throw new CustodyError('POLICY_REFUSED', `it stands until ${proviso.until} alone: ${proviso.why}`);
      if (status?.predicate.kills.some(({ model }) => model === name.model) === true || (await isKilled(records, name)))
        throw new CustodyError('POLICY_REFUSED', `${name.model} is killed: what is stopped here goes nowhere else`);
      const predicate: VerificationSummaryPredicate = {
        verifier: { id: verifierId(records.environment) },
        timeVerified: isoTime(Date.now()),
        resourceUri: lifecycleId(name),
        policy: {
          uri: storeKeys.policy(policies.newest.version),
          digest: { sha256: policyDigest(policies.newest) },
        },
        inputAttestations: inputsOf(checked.release),
        verificationResult: 'PASSED',
        verifiedLevels: [MAY_SERVE],
      };
      const subject = { name: lifecycleId(name), sha256: release };
      const summary = await records.keep(signStatement('verificationSummary', subject, predicate, [key]));
      return { release, ...(await records.recordOnce(storeKeys.promotion(name, digest), { summary })) };
    },
  };
}

/**
 * POLICY_REFUSED unless it is what the callers of its endpoint reach, by the newest routing document: what was rolled back, or
 * has been replaced, was promoted once, too. Whether it may serve, the evidence says.
 */
async function servingRelease(records: Records, name: ReleaseName): Promise<Digest> {
  const { ingested, rollout, outcome, retirement } = await progressOf(records, name);
  const route = await new StoredRoutes(records, () => undefined).newest(name.model);
  const stable = stableOf(route?.document ?? null)?.release;
  const serves = rollout?.kind === 'promoted' && outcome === undefined && retirement === undefined;
  if (ingested !== undefined && serves && stable === ingested.release) return ingested.release;
  throw new CustodyError('POLICY_REFUSED', `${name.model} ${name.version} is not in service: only what serves goes on`);
}

/** By an order in the store that nobody has lifted: a status document is control's word, and somebody may put back an older one. */
async function isKilled(records: Records, { model }: ReleaseName): Promise<boolean> {
  const routes = new StoredRoutes(records, () => undefined);
  const kills = new StoredKills(records, routes, new LiftedOrders(records, routes, () => undefined));
  return (await kills.active(model, await routes.newest(model))).length > 0;
}

/** What the finding rests on, where it lies in the store. */
function inputsOf(release: VerifiedRelease): VerificationSummaryPredicate['inputAttestations'] {
  const { admission, request, provenance, testResult, scan, change, promotion, approvals, bundle } = release;
  const statements = [provenance, testResult, scan, change, ...(promotion === null ? [] : [promotion]), ...approvals];
  return [
    ...[admission, request].map(({ digest }) => [storeKeys.request(digest), digest] as const),
    ...[bundle, ...statements.map(({ digest }) => digest)].map(
      (digest) => [storeKeys.statement(digest), digest] as const,
    ),
  ].map(([uri, digest]) => ({ uri, digest: { sha256: digest } }));
}
