import { openBase } from '../adapters/base.js';
import type { Found, Records } from '../adapters/records.js';
import { MAX_DOCUMENT_BYTES, ownPart, readRelease, type SourceRelease } from '../adapters/source/folder.js';
import { localPath, readSmall } from '../adapters/source/file.js';
import { recordCode } from '../adapters/used-code.js';
import type { Rules } from '../domain/authorise.js';
import { baseOf } from '../domain/base.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { Admission } from '../domain/lifecycle.js';
import type { ManifestFile } from '../domain/manifest.js';
import type { ReleaseName } from '../domain/names.js';
import { holdsRole } from '../domain/policy.js';
import { flawInProvenance } from '../domain/provenance.js';
import { comesRightly } from '../domain/promotion.js';
import type { ProvenancePredicate, SignedEnvelope } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { MAX_ENVELOPE_BYTES } from '../formats/dsse.js';
import { demand, signerOf } from '../formats/evidence.js';
import type { SigningKey } from '../formats/keys.js';
import { sha256 } from '../formats/sha256.js';
import { checkAdmission } from './admitted.js';
import type { IntakeActivities } from './contract.js';
import { withHeartbeat } from './heartbeat.js';
import { lookInto, type LookDependencies } from './look.js';
import { promptsIn, type PromptDependencies } from './prompts.js';
import { demandModels } from './training-models.js';
import { demandClean, keepScan, signScan } from './scan.js';
import { storeFile, type BlobKeys } from './store-blob.js';
import { takerOf, type Reopening } from './take-over.js';
import { compareWithBefore, stateChange } from './versioning.js';

export interface IngestDependencies extends LookDependencies, PromptDependencies {
  readonly vault: BlobKeys & Reopening;
  /** Signs what the release changes against the one before. */
  readonly validatorKey: SigningKey;
}

/**
 * Takes a release from a folder into custody: everything is checked before anything is written, the version is claimed
 * before anything is uploaded, and each distinct file is encrypted under a key of its own. Files that are stored already are
 * not stored again, so that a second run goes on where the first ended; what it has of its base is not even read.
 */
export function createIngestActivities(dependencies: IngestDependencies): Pick<IntakeActivities, 'ingest'> {
  const { records, vault, validatorKey } = dependencies;
  return {
    ingest: async (name, admission) => {
      const progress: Progress = { hashed: 0, stored: 0 };
      return withHeartbeat(
        () => progress,
        async (signal) => {
          const rules = await checkAdmission(records, name, admission);
          const said = await readProvenance(records, admission);
          const named = baseOf(said.verified.predicate);
          const base = named === null ? null : await openBase(records, name, named);
          const { artifacts, versioning } = rules.gate;
          const source = await readRelease(localPath(admission.source), artifacts, base?.manifest);
          const { bundle, producer } = await checkSignature(source, name, admission, rules);
          demandProvenance(source, producer, said, rules);
          const promotion = await readPromotion(records, name, admission, source, rules);
          await demandModels(records, said.verified.predicate);
          const prompts = await promptsIn(dependencies, source.manifest, said.verified.predicate, rules, signal);
          const claims = { manifest: source.text.toString('utf8'), bundle: bundle.toString('utf8') };
          const take = takerOf({ records, vault }, source.manifest, named, {
            ...{ ...claims, provenance: said.envelope, admission: admission.request },
          });
          const onBytes = (bytes: number): void => void (progress.hashed += bytes);
          const look = await lookInto(dependencies, source, base && { base, take }, artifacts, { signal, onBytes });
          const scan = signScan(validatorKey, name, sha256(source.text), { ...look, prompts }, artifacts);
          await demandClean(records, scan);
          const compared = await compareWithBefore(records, name, look.facts, versioning);
          const release = await claimVersion(records, name, source);
          // The base is asked about once more: what has been revoked or killed meanwhile is not built on.
          (await take()).close();
          const { files } = source.manifest;
          for (const file of distinct(ownPart(source, base?.manifest ?? null).manifest.files)) {
            await storeFile(dependencies, source, file, release, signal);
            progress.stored += file.size;
          }
          await records.keepBytes(source.text, storeKeys.manifest);
          const scanned = await keepScan(records, scan);
          if (prompts.from !== null) await recordCode(records, prompts.from, { scan: scanned });
          return {
            ...{ release, producer, files: files.length, bytes: files.reduce((sum, { size }) => sum + size, 0) },
            bundle: await records.keepBytes(bundle),
            provenance: await records.keep(said.envelope),
            ...(promotion === null ? {} : { promotion: await records.keep(promotion) }),
            scan: scanned,
            change: await stateChange(records, validatorKey, name, release, look.facts, compared),
          };
        },
      );
    },
  };
}

/** The producer whose signature over exactly these files came with the release, and who may sign them still. */
async function checkSignature(
  { manifest, text }: SourceRelease,
  name: ReleaseName,
  admission: Admission,
  { gate, newest }: Rules,
): Promise<{ bundle: Buffer; producer: string }> {
  if (manifest.model !== name.model || manifest.version !== name.version)
    throw new CustodyError(
      'POLICY_REFUSED',
      `the folder holds ${manifest.model} ${manifest.version}, asked for was ${name.model} ${name.version}`,
    );
  const bundle = await readBundle(localPath(admission.bundle));
  const producer = signerOf(bundle.toString('utf8'), 'producer', newest, manifest, text);
  if (!holdsRole(gate, newest, producer, 'producer'))
    throw new CustodyError('NOT_AUTHORISED', `${producer} was no producer when the release was asked for`);
  return { bundle, producer };
}

async function readBundle(path: string): Promise<Buffer> {
  try {
    return await readSmall(path, MAX_DOCUMENT_BYTES);
  } catch (cause) {
    if (!(cause instanceof CustodyError) || cause.code !== 'INPUT_MISSING') throw cause;
    throw new CustodyError('UNSIGNED', `there is no signature at ${path}: the release's producer has to sign it`, {
      cause,
    });
  }
}

/** How these bytes came to be, as somebody has signed it: by whom, and about which bytes, is checked with them. */
async function readProvenance(
  records: Records,
  { provenance }: Admission,
): Promise<Found<ProvenancePredicate> & { readonly path: string }> {
  const path = localPath(provenance);
  return { ...(await records.verify('provenance', await readStatement(path))), path };
}

/** PROVENANCE_INVALID where it says too little; other codes where it is another's, or about other bytes. */
function demandProvenance(
  { text }: SourceRelease,
  producer: string,
  { path, verified }: Awaited<ReturnType<typeof readProvenance>>,
  rules: Rules,
): void {
  const flaw = flawInProvenance({ release: sha256(text), producer }, verified, rules);
  if (flaw !== null) throw new CustodyError(flaw.code, `${path}: ${flaw.reason}`);
}

/** What the environment before has found, as it comes in: refused at the door where the policy wants another, or any, or none. */
async function readPromotion(
  records: Records,
  name: ReleaseName,
  { promotion }: Admission,
  { text }: SourceRelease,
  rules: Rules,
): Promise<SignedEnvelope | null> {
  const found =
    promotion === undefined
      ? null
      : await records.receive('verificationSummary', await readSmall(localPath(promotion), MAX_ENVELOPE_BYTES));
  const coming = { ...name, release: sha256(text), at: rules.now };
  // A request may name an older policy: it gains nothing by that.
  for (const gate of [rules.gate, rules.newest])
    demand(comesRightly(coming, { ...rules, gate }, found?.verified ?? null));
  return found?.envelope ?? null;
}

async function readStatement(path: string): Promise<Buffer> {
  try {
    return await readSmall(path, MAX_ENVELOPE_BYTES);
  } catch (cause) {
    if (!(cause instanceof CustodyError) || cause.code !== 'INPUT_MISSING') throw cause;
    throw new CustodyError('PROVENANCE_INVALID', `there is no provenance at ${path}: make it with \`custody pack\``, {
      cause,
    });
  }
}

interface Progress {
  hashed: number;
  stored: number;
}

/** A version is a name for one release, for ever. VERSION_TAKEN when it already names other bytes. */
async function claimVersion(records: Records, name: ReleaseName, { text }: SourceRelease): Promise<Digest> {
  const release = sha256(text);
  const taken = await records.recordOnce(storeKeys.version(name), { release });
  if (taken.release !== release)
    throw new CustodyError(
      'VERSION_TAKEN',
      `${name.model} ${name.version} is already another release (${taken.release}): give these bytes the next version`,
      { details: { release, taken: taken.release } },
    );
  return release;
}

function distinct(files: readonly ManifestFile[]): ManifestFile[] {
  return [...new Map(files.map((file) => [file.sha256, file] as const)).values()];
}
