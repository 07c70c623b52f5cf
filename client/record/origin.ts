import { personAsks } from '../../domain/authorise.js';
import { baseOf } from '../../domain/base.js';
import { CustodyError } from '../../domain/errors.js';
import { lifecycleId } from '../../domain/names.js';
import { holdsRole } from '../../domain/policy.js';
import { dependenciesOf, flawInProvenance, type DependencyKind } from '../../domain/provenance.js';
import { comesRightly, sayVerified } from '../../domain/promotion.js';
import { modelsOf } from '../../domain/used-models.js';
import type { ProvenancePredicate, Verified } from '../../domain/statements.js';
import { sayConnection, sayTraffic, trafficIn } from '../../domain/traffic.js';
import { storeKeys } from '../../domain/store-keys.js';
import { demand, signerOf } from '../../formats/evidence.js';
import { parseManifest } from '../../formats/manifest.js';
import type { Examination } from './examination.js';

/** Who asked, for what. */
export async function requester(exam: Examination): Promise<void> {
  const { admission } = exam.progress;
  if (admission === undefined) return exam.absent('requester');
  const checked = 'its signature, the right to ask, and that it asks for this release of this source';
  const request = await exam.check('requester', checked, async () => {
    const verified = await exam.statement('request', admission.request);
    const { action, requester: asker, issuedAt, policy } = verified.predicate;
    const gate = exam.policies.byDigest(policy);
    const rules = { environment: exam.records.environment, gate, newest: exam.policies.newest, now: exam.now };
    demand(personAsks(rules, verified, 'release', lifecycleId(exam.name)));
    const isSame =
      action.kind === 'release' &&
      action.source === admission.source &&
      action.bundle === admission.bundle &&
      action.provenance === admission.provenance &&
      action.promotion === admission.promotion;
    if (!isSame) throw new CustodyError('REPLAYED', 'what was admitted is not what was asked for');
    const says = `${asker} asked for it at ${issuedAt}`;
    return { value: verified, says, by: verified.signers, statement: verified.digest, policy: gate.version };
  });
  if (request !== null) exam.shown.admission = request;
}

/** The release digest, and the manifest that has it. */
export async function release(exam: Examination): Promise<void> {
  const { ingested } = exam.progress;
  if (ingested === undefined) return exam.absent('release');
  const checked = 'the SHA-256 of the manifest, the names in it, and the one release that this version is a name for';
  const manifest = await exam.check('release', checked, async () => {
    const text = await exam.records.getBytes(ingested.release, storeKeys.manifest);
    const { model, version, files, components, ...rest } = parseManifest(text);
    if (model !== exam.name.model || version !== exam.name.version)
      throw new CustodyError('DIGEST_MISMATCH', `the manifest is of ${model} ${version}`);
    const claimed = (await exam.records.record(storeKeys.version(exam.name))) as { readonly release?: string } | null;
    if (claimed?.release !== ingested.release)
      throw new CustodyError('DIGEST_MISMATCH', `the version names the release ${claimed?.release ?? 'none'}`);
    const bytes = files.reduce((sum, { size }) => sum + size, 0);
    const says = `${ingested.release}: ${files.length} files, ${bytes} bytes, ${components.length} components`;
    const value = { manifest: { model, version, files, components, ...rest }, text };
    return { value, says, statement: ingested.release };
  });
  if (manifest !== null) exam.shown.manifest = manifest;
}

/** Whose signature the release came with. */
export async function producer(exam: Examination): Promise<void> {
  const { ingested } = exam.progress;
  const { manifest } = exam.shown;
  if (ingested === undefined || manifest === undefined) return exam.absent('producer', ingested !== undefined);
  const checked = `the OpenSSF model signature over ${manifest.manifest.files.length} files and the manifest`;
  const found = await exam.check('producer', checked, async () => {
    const bundle = (await exam.records.getBytes(ingested.bundle)).toString('utf8');
    const { newest, gate } = exam.rules;
    const signer = signerOf(bundle, 'producer', newest, manifest.manifest, manifest.text);
    if (!holdsRole(gate, newest, signer, 'producer'))
      throw new CustodyError('NOT_AUTHORISED', `${signer} is no producer`);
    return { value: signer, says: `signed by ${signer}`, by: [signer], statement: ingested.bundle };
  });
  if (found !== null) exam.shown.producer = found;
}

const KINDS: readonly DependencyKind[] = [
  'training-data',
  'training-code',
  'hyperparameters',
  'dependency-lock',
  'checkpoint',
];

/** How it was made, from what, when. */
export async function provenance(exam: Examination): Promise<void> {
  const { ingested } = exam.progress;
  const { producer: by } = exam.shown;
  if (ingested === undefined || by === undefined) return exam.absent('provenance', ingested !== undefined);
  const checked =
    "the producer's signature, that it is about this release, names its training data, and ended before now";
  const made = await exam.check('provenance', checked, async () => {
    const verified = await exam.statement('provenance', ingested.provenance);
    const flaw = flawInProvenance({ release: ingested.release, producer: by }, verified, exam.rules);
    if (flaw !== null) throw new CustodyError(flaw.code, flaw.reason);
    const { builder, metadata } = verified.predicate.runDetails;
    const says = `built by ${builder.id}, run ${metadata.invocationId}`;
    return { value: verified, says, by: verified.signers, statement: verified.digest };
  });
  if (made === null) return;
  exam.shown.provenance = made;
  const { startedOn, finishedOn } = made.predicate.runDetails.metadata;
  exam.detail('created', `${finishedOn} (begun ${startedOn})`, made);
  const { buildType, internalParameters } = made.predicate.buildDefinition;
  const sandbox = internalParameters?.['sandbox'];
  exam.detail('build', `${buildType}${typeof sandbox === 'string' ? `, in a sandbox (${sandbox})` : ''}`, made);
  const network = trafficIn(internalParameters);
  if (network !== null) exam.detail('network', sayTraffic(network), made);
  for (const connection of network?.connections ?? []) exam.detail('reached', sayConnection(connection), made);
  const base = baseOf(made.predicate);
  if (base !== null) exam.detail('base', `${base.model} ${base.version}, release ${base.release}`, made);
  for (const { model, version, release: digest } of modelsOf(made.predicate))
    exam.detail('made with', `${model} ${version}, release ${digest}`, made);
  for (const kind of KINDS) tell(exam, kind, made);
}

/** Which environment has verified it before, where it comes from one or has to. */
export async function promotion(exam: Examination): Promise<void> {
  const { ingested } = exam.progress;
  const asked = exam.shown.request ?? exam.shown.admission;
  if (ingested === undefined || asked === undefined) return;
  const { promotion: named } = ingested;
  const rule = exam.rules.gate.promotion;
  if (named === undefined && rule === undefined) return;
  const checked = `the signature and the role verifier, that it is about this release, of ${rule?.from ?? 'another environment'}, PASSED, and its age`;
  await exam.check('promotion', checked, async () => {
    const summary = named === undefined ? null : await exam.statement('verificationSummary', named);
    const coming = { ...exam.name, release: ingested.release, at: asked.predicate.issuedAt };
    demand(comesRightly(coming, exam.rules, summary));
    if (summary === null) return { value: null, says: 'the policy demands none' };
    return { value: null, says: sayVerified(summary.predicate), by: summary.signers, statement: summary.digest };
  });
}

function tell(exam: Examination, kind: DependencyKind, made: Verified<ProvenancePredicate>): void {
  for (const { name, sha256, commit, reviewers } of dependenciesOf(made.predicate, kind)) {
    const at = commit === undefined ? '' : ` commit ${commit}`;
    const by = reviewers === undefined ? '' : `, reviewed by ${reviewers.join(' and ')}`;
    exam.detail(kind, `${name}${at} ${sha256 === null ? 'without a SHA-256' : `sha256 ${sha256}`}${by}`, made);
  }
}
