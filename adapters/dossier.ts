import { isDigest, type Digest } from '../domain/digest.js';
import { CustodyError, leadsNowhere } from '../domain/errors.js';
import type { ReleaseEvidence, RetirementEvidence } from '../domain/evidence.js';
import type { HeldRelease } from '../domain/hold.js';
import type { Condemned, Progress, Retirement, Signed } from '../domain/lifecycle.js';
import type { ReleaseName } from '../domain/names.js';
import type { PredicateName, SignedEnvelope, VulnerabilityPredicate } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { MAX_SKEW_MS } from '../domain/time.js';
import { signerOf, verifyRelease, type CheckedRelease } from '../formats/evidence.js';
import { parseManifest } from '../formats/manifest.js';
import { gatherNotices } from './notices.js';
import { gatherProvisional } from './provisions.js';
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
  'condemned',
  'retirement',
  'outcome',
] as const;

/** How far a release has come, by its records. They are references: whoever acts on them checks what they lead to. */
export async function progressOf(records: Records, name: ReleaseName): Promise<Progress> {
  const there = new Set<string>();
  for await (const key of records.bucket.list(storeKeys.recordsOf(name))) there.add(key);
  const made = PARTS.filter((part) => there.has(storeKeys.record(name, part)));
  const found = await Promise.all(
    made.map(async (part) => [part, await records.record(storeKeys.record(name, part))] as const),
  );
  return Object.fromEntries(found.filter(([, value]) => value !== null));
}

/** The release's name by its digest, from the manifest that has that digest. */
export async function nameOf(records: Records, release: Digest): Promise<ReleaseName> {
  const { model, version } = parseManifest(await records.getBytes(release, storeKeys.manifest));
  return { model, version };
}

/**
 * Everything in WORM that shows a release may be signed (`status: null`) or loaded. PENDING names what is missing. `asked`: a
 * request that nobody has decided on yet, instead of the approved one.
 */
export async function gatherRelease(
  records: Records,
  name: ReleaseName,
  status: SignedEnvelope | null,
  asked: SignedEnvelope | null = null,
): Promise<ReleaseEvidence> {
  const { admission, ingested, validated, signed, ...rest } = await progressOf(records, name);
  const approved = asked === null ? rest.approved : NOBODY;
  if (admission === undefined || ingested === undefined || validated === undefined || approved === undefined) {
    const missing = { admission, ingested, validated, approved };
    const first = Object.entries(missing).find(([, value]) => value === undefined)?.[0] ?? '';
    throw new CustodyError('PENDING', `${name.model} ${name.version} has no record of ${first} yet`);
  }
  // Verified here too, because only who reads the store knows when it got them.
  const envelope = async (kind: PredicateName, digest: Digest): Promise<SignedEnvelope> =>
    (await records.get(kind, digest)).envelope;
  const { envelope: request, verified } =
    asked === null ? await records.get('request', approved.request) : await records.verify('request', asked);
  const [{ envelopes: policies }, manifest, bundle, provisional, approvals, ...statements] = await Promise.all([
    records.policies(),
    records.getBytes(ingested.release, storeKeys.manifest),
    records.getBytes(ingested.bundle),
    gatherProvisional(records, verified.predicate),
    Promise.all(approved.approvals.map((digest) => envelope('approval', digest))),
    envelope('request', admission.request),
    envelope('provenance', ingested.provenance),
    envelope('testResult', validated.testResult),
    envelope('scan', ingested.scan),
    envelope('change', ingested.change),
  ]);
  const [asking, provenance, testResult, scan, change] = statements;
  const { promotion: named } = ingested;
  const promotion = named === undefined ? null : await envelope('verificationSummary', named);
  return {
    policies,
    manifest: manifest.toString('utf8'),
    bundle: bundle.toString('utf8'),
    signature: await signatureOf(records, name, manifest, signed ?? null),
    ...{ admission: asking, provenance, testResult, scan, change, promotion },
    ...{ request, approvals, provisional, status },
  };
}

const NOBODY = { request: '', approvals: [] };

/** The digests of a release's signatures by Custody, newest first. */
export async function signaturesOf(records: Records, name: ReleaseName, signed: Signed | null): Promise<Digest[]> {
  const later: Digest[] = [];
  for await (const key of records.bucket.list(storeKeys.resignedOf(name))) later.unshift(key.split('-').at(-1) ?? '');
  return [...later, ...(signed === null ? [] : [signed.signature])].filter(isDigest);
}

/** The newest signature by a key that the newest policy still has; where there is none, the first: its key is named then. */
async function signatureOf(
  records: Records,
  name: ReleaseName,
  text: Buffer,
  signed: Signed | null,
): Promise<string | null> {
  const { newest } = await records.policies();
  const manifest = parseManifest(text);
  for (const digest of await signaturesOf(records, name, signed)) {
    try {
      const bundle = (await records.getBytes(digest)).toString('utf8');
      signerOf(bundle, 'release-signer', newest, manifest, text);
      return bundle;
    } catch (error) {
      // Whoever can write to the store can leave anything under this prefix: it counts for nothing.
      if (!leadsNowhere(error)) throw error;
    }
  }
  return signed === null ? null : (await records.getBytes(signed.signature)).toString('utf8');
}

/** The same evidence without the signature: what it takes to sign. */
export async function checkForSigning(
  records: Records,
  name: ReleaseName,
  release: Digest,
): Promise<CheckedRelease & { readonly evidence: ReleaseEvidence }> {
  const evidence = { ...(await gatherRelease(records, name, null)), signature: null };
  return checkEvidence(evidence, records, name, release);
}

/** A release's evidence, gathered and checked against this process's own root, and about the release that was asked for. */
export async function checkRelease(
  records: Records,
  name: ReleaseName,
  release: Digest,
  status: SignedEnvelope | null,
): Promise<CheckedRelease & { readonly evidence: ReleaseEvidence }> {
  return checkEvidence(await gatherRelease(records, name, status), records, name, release);
}

function checkEvidence(
  evidence: ReleaseEvidence,
  records: Records,
  name: ReleaseName,
  release: Digest,
): CheckedRelease & { readonly evidence: ReleaseEvidence } {
  const checked = verifyRelease(evidence, records.root, records.now());
  const { model, version } = checked.release;
  if (checked.release.release !== release || model !== name.model || version !== name.version)
    throw new CustodyError('DIGEST_MISMATCH', `${name.model} ${name.version} is not the release ${release}`);
  return { ...checked, evidence };
}

export async function gatherRetirement(
  records: Records,
  { release, ...name }: HeldRelease,
  retirement: Retirement,
): Promise<RetirementEvidence> {
  const [{ envelopes: policies }, manifest, request, told, vulnerability, ...approvals] = await Promise.all([
    records.policies(),
    records.getBytes(release, storeKeys.manifest),
    records.get('request', retirement.request),
    gatherNotices(records, name, retirement),
    vulnerabilityOf(records, name),
    ...retirement.approvals.map((digest) => records.get('approval', digest)),
  ]);
  return {
    policies,
    manifest: manifest.toString('utf8'),
    request: request.envelope,
    approvals: approvals.map(({ envelope }) => envelope),
    notice: told.notice.envelope,
    laterNotices: told.laterNotices.map(({ envelope }) => envelope),
    acknowledgements: told.acknowledgements.map(({ envelope }) => envelope),
    waivers: told.waivers.map(({ envelope }) => envelope),
    vulnerability: vulnerability?.envelope ?? null,
  };
}

/** The notice that has condemned a release. */
export async function vulnerabilityOf(
  records: Records,
  name: ReleaseName,
): Promise<Found<VulnerabilityPredicate> | null> {
  const condemned = (await records.record(storeKeys.record(name, 'condemned'))) as Condemned | null;
  return condemned === null ? null : records.get('vulnerability', condemned.vulnerability);
}

/** The same of a release that must be condemned; PENDING where it is not. */
export async function condemnationOf(records: Records, name: ReleaseName): Promise<Found<VulnerabilityPredicate>> {
  const notice = await vulnerabilityOf(records, name);
  if (notice === null) throw new CustodyError('PENDING', `nobody has condemned ${name.model} ${name.version}`);
  return notice;
}

/**
 * The newest status document: those older than its lifetime cannot be fresh, and those from the future, which a control with a wrong
 * clock has left for good, would hide every later one until then. Neither are looked at.
 */
export async function newestStatus(records: Records): Promise<SignedEnvelope | null> {
  const { newest } = await records.policies();
  const now = Date.parse(records.now());
  const oldest = storeKeys.status(Math.max(0, now - newest.freshness.lifetimeSeconds * 1000));
  const latest = storeKeys.status(now + MAX_SKEW_MS);
  let key: string | null = null;
  for await (const found of records.bucket.list('status/', { startAfter: oldest })) {
    if (found > latest) break;
    key = found;
  }
  return key === null ? null : ((await records.find('status', key))?.envelope ?? null);
}
