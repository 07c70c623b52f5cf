import type { Digest } from '../domain/digest.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import type { ProvisionalEvidence, ReleaseEvidence, RetirementEvidence } from '../domain/evidence.js';
import type { Approved, Progress, Retirement } from '../domain/lifecycle.js';
import type { ReleaseName } from '../domain/names.js';
import type { OverridePredicate } from '../domain/provisional-predicates.js';
import type { RequestPredicate, SignedEnvelope } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime } from '../domain/time.js';
import { parseEnvelope } from '../formats/dsse.js';
import { verifyRelease, type CheckedRelease } from '../formats/evidence.js';
import { parseManifest } from '../formats/manifest.js';
import type { Found, Records } from './records.js';

/** The stages whose end is a record of its own, in the order they end. */
const PARTS = [
  'admission',
  'ingested',
  'validated',
  'overrideGate',
  'overridden',
  'gate',
  'approved',
  'signed',
  'rollout',
  'reviewGate',
  'reviewed',
  'lapsed',
  'retirement',
  'outcome',
] as const;

/** How far a release has come, by its records. They are references: whoever acts on them checks what they lead to. */
export async function progressOf(records: Records, name: ReleaseName): Promise<Progress> {
  const found = await Promise.all(
    PARTS.map(async (part) => [part, await records.record(storeKeys.record(name, part))] as const),
  );
  return Object.fromEntries(found.filter(([, value]) => value !== null));
}

/** The release's name by its digest, from the manifest that has that digest. */
export async function nameOf(records: Records, release: Digest): Promise<ReleaseName> {
  const { model, version } = parseManifest(await records.getBytes(release, storeKeys.manifest));
  return { model, version };
}

/** Everything in WORM that shows a release may be signed (`status: null`) or loaded. PENDING names what is missing. */
export async function gatherRelease(
  records: Records,
  name: ReleaseName,
  status: SignedEnvelope | null,
): Promise<ReleaseEvidence> {
  const { admission, ingested, validated, approved, signed } = await progressOf(records, name);
  if (admission === undefined || ingested === undefined || validated === undefined || approved === undefined) {
    const missing = { admission, ingested, validated, approved };
    const first = Object.entries(missing).find(([, value]) => value === undefined)?.[0] ?? '';
    throw new CustodyError('PENDING', `${name.model} ${name.version} has no record of ${first} yet`);
  }
  const envelope = async (key: string): Promise<SignedEnvelope> => {
    const stored = await records.bucket.read(key);
    if (stored === null) throw new CustodyError('PENDING', `the store holds no ${key}`);
    return parseEnvelope(stored.body);
  };
  const [{ envelopes: policies }, request, manifest, bundle, signature] = await Promise.all([
    records.policies(),
    records.get('request', approved.request),
    records.getBytes(ingested.release, storeKeys.manifest),
    records.getBytes(ingested.bundle),
    signed === undefined ? null : records.getBytes(signed.signature),
  ]);
  return {
    policies,
    manifest: manifest.toString('utf8'),
    bundle: bundle.toString('utf8'),
    signature: signature === null ? null : signature.toString('utf8'),
    admission: await envelope(storeKeys.request(admission.request)),
    provenance: await envelope(storeKeys.statement(ingested.provenance)),
    testResult: await envelope(storeKeys.statement(validated.testResult)),
    change: await envelope(storeKeys.statement(ingested.change)),
    request: request.envelope,
    approvals: await Promise.all(approved.approvals.map((digest) => envelope(storeKeys.statement(digest)))),
    provisional: await gatherProvisional(records, request.verified.predicate),
    status,
  };
}

/** What a deploy request provisionally rests on, by what it names: the override with all its renewals, the emergency. */
export async function gatherProvisional(
  records: Records,
  { evidence, model, version }: RequestPredicate,
): Promise<ProvisionalEvidence> {
  const { override, riskAssessment } = evidence;
  return {
    override:
      override === undefined
        ? null
        : {
            request: (await records.get('request', override)).envelope,
            statements: (await overridesOf(records, override)).map(({ envelope }) => envelope),
          },
    emergency:
      riskAssessment === undefined || version === null
        ? null
        : {
            assessment: (await records.get('riskAssessment', riskAssessment)).envelope,
            review: await reviewOf(records, { model, version }),
          },
  };
}

/** The overrides of one request whose signatures count today: whoever lost his key since then holds nothing any more. */
export async function overridesOf(records: Records, request: Digest): Promise<readonly Found<OverridePredicate>[]> {
  const found: Found<OverridePredicate>[] = [];
  for await (const key of records.bucket.list(storeKeys.override(request, ''))) {
    try {
      const statement = await records.find('override', key);
      if (statement !== null) found.push(statement);
    } catch (error) {
      if (!(error instanceof CustodyError) || !isPermanent(error.code)) throw error;
    }
  }
  return found;
}

async function reviewOf(
  records: Records,
  name: ReleaseName,
): Promise<NonNullable<ProvisionalEvidence['emergency']>['review']> {
  const reviewed = (await records.record(storeKeys.record(name, 'reviewed'))) as Approved | null;
  if (reviewed === null) return null;
  const approvals = await Promise.all(reviewed.approvals.map((digest) => records.get('approval', digest)));
  return {
    request: (await records.get('request', reviewed.request)).envelope,
    approvals: approvals.map(({ envelope }) => envelope),
  };
}

/** A release's evidence, gathered and checked against this process's own root, and about the release that was asked for. */
export async function checkRelease(
  records: Records,
  name: ReleaseName,
  release: Digest,
  status: SignedEnvelope | null,
): Promise<CheckedRelease & { readonly evidence: ReleaseEvidence }> {
  const evidence = await gatherRelease(records, name, status);
  const checked = verifyRelease(evidence, records.root, isoTime(Date.now()));
  const { model, version } = checked.release;
  if (checked.release.release !== release || model !== name.model || version !== name.version)
    throw new CustodyError('DIGEST_MISMATCH', `${name.model} ${name.version} is not the release ${release}`);
  return { ...checked, evidence };
}

export async function gatherRetirement(
  records: Records,
  release: Digest,
  retirement: Retirement,
): Promise<RetirementEvidence> {
  const [{ envelopes: policies }, manifest, request, notice, ...approvals] = await Promise.all([
    records.policies(),
    records.getBytes(release, storeKeys.manifest),
    records.get('request', retirement.request),
    records.get('notice', retirement.notice),
    ...retirement.approvals.map((digest) => records.get('approval', digest)),
  ]);
  return {
    policies,
    manifest: manifest.toString('utf8'),
    request: request.envelope,
    approvals: approvals.map(({ envelope }) => envelope),
    notice: notice.envelope,
  };
}

/** The newest status document: those older than its lifetime cannot be fresh and are not looked at. */
export async function newestStatus(records: Records): Promise<SignedEnvelope | null> {
  const { newest } = await records.policies();
  const oldest = Date.now() - newest.freshness.lifetimeSeconds * 1000;
  let key: string | null = null;
  for await (const found of records.bucket.list('status/', { startAfter: storeKeys.status(Math.max(0, oldest)) }))
    key = found;
  return key === null ? null : ((await records.find('status', key))?.envelope ?? null);
}
