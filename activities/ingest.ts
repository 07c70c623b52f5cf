import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Bucket, Lock } from '../adapters/object-store/port.js';
import { readRelease, MAX_DOCUMENT_BYTES, type SourceRelease } from '../adapters/source/folder.js';
import { expectedBytes, localPath, readSmall } from '../adapters/source/file.js';
import type { Scanners } from '../adapters/scan/external.js';
import type { Inspector } from '../adapters/scan/inspect.js';
import type { Records } from '../adapters/records.js';
import type { Rules } from '../domain/authorise.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { Admission } from '../domain/lifecycle.js';
import type { ManifestFile } from '../domain/manifest.js';
import type { ReleaseName } from '../domain/names.js';
import { holdsRole } from '../domain/policy.js';
import { flawInProvenance } from '../domain/provenance.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import type { BlobRef, ClaimAnswer, ClaimRequest, StoredRequest } from '../domain/vault.js';
import { MAX_ENVELOPE_BYTES } from '../formats/dsse.js';
import { signerOf } from '../formats/evidence.js';
import type { SigningKey } from '../formats/keys.js';
import { sha256 } from '../formats/sha256.js';
import { decryptStream, encryptStream } from '../formats/streaming-aead.js';
import { checkAdmission } from './admitted.js';
import type { IntakeActivities } from './contract.js';
import { withHeartbeat } from './heartbeat.js';
import { demandClean, keepScan, signScan } from './scan.js';
import { compareWithBefore, stateChange } from './versioning.js';

/** What intake may ask of the vault: a key for bytes that are not stored yet, and to note where they lie. */
export interface BlobKeys {
  claim(request: ClaimRequest): Promise<ClaimAnswer<Buffer>>;
  stored(request: StoredRequest): Promise<unknown>;
}

export interface IngestDependencies {
  readonly records: Records;
  readonly vault: BlobKeys;
  /** Signs what the release changes against the one before. */
  readonly validatorKey: SigningKey;
  /** Reads what is in the files, where they can do no harm. */
  readonly inspect: Inspector;
  /** Asks those that the policy names for some formats. */
  readonly scanners: Scanners;
}

interface Progress {
  hashed: number;
  stored: number;
}

/**
 * Takes a release from a folder into custody: everything is checked before anything is written, the version is claimed
 * before anything is uploaded, and each distinct file is encrypted under a key of its own. Files that are stored already are
 * not stored again, so that a second run goes on where the first ended.
 */
export function createIngestActivities(dependencies: IngestDependencies): Pick<IntakeActivities, 'ingest'> {
  const { records, validatorKey, inspect, scanners } = dependencies;
  return {
    ingest: async (name, admission) => {
      const progress: Progress = { hashed: 0, stored: 0 };
      return withHeartbeat(
        () => progress,
        async (signal) => {
          const rules = await checkAdmission(records, name, admission);
          const source = await readRelease(localPath(admission.source), rules.gate.artifacts);
          const { bundle, producer } = await checkSignature(source, name, admission, rules);
          const provenance = await checkProvenance(records, source, producer, admission, rules);
          const inspection = await inspect(source, { signal, onBytes: (bytes) => (progress.hashed += bytes) });
          const { facts } = inspection;
          const { artifacts } = rules.gate;
          const verdicts = await scanners(source, inspection.files, artifacts, signal);
          const scan = signScan(validatorKey, name, sha256(source.text), inspection, verdicts, artifacts);
          await demandClean(records, scan);
          const compared = await compareWithBefore(records, name, facts, rules.gate.versioning);
          const release = await claimVersion(records, name, source);
          for (const file of distinct(source.manifest.files))
            await storeFile(dependencies, source, file, release, { progress, signal });
          await records.keepBytes(source.text, storeKeys.manifest);
          const { files } = source.manifest;
          const bytes = files.reduce((sum, { size }) => sum + size, 0);
          return {
            ...{ release, producer, files: files.length, bytes },
            bundle: await records.keepBytes(bundle),
            provenance: await records.keep(provenance),
            scan: await keepScan(records, scan),
            change: await stateChange(records, validatorKey, name, release, facts, compared),
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

/** How these bytes came to be, as their producer has signed it. PROVENANCE_INVALID without one, or with one that says too little. */
async function checkProvenance(
  records: Records,
  { text }: SourceRelease,
  producer: string,
  { provenance: place }: Admission,
  rules: Rules,
): Promise<SignedEnvelope> {
  const path = localPath(place);
  const { envelope, verified } = await records.verify('provenance', await readProvenance(path));
  const flaw = flawInProvenance({ release: sha256(text), producer }, verified, rules);
  if (flaw !== null) throw new CustodyError(flaw.code, `${path}: ${flaw.reason}`);
  return envelope;
}

async function readProvenance(path: string): Promise<Buffer> {
  try {
    return await readSmall(path, MAX_ENVELOPE_BYTES);
  } catch (cause) {
    if (!(cause instanceof CustodyError) || cause.code !== 'INPUT_MISSING') throw cause;
    throw new CustodyError('PROVENANCE_INVALID', `there is no provenance at ${path}: make it with \`custody pack\``, {
      cause,
    });
  }
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

/**
 * Encrypts and uploads one file, unless its bytes are stored already. The bytes are hashed again on their way: what is not
 * what was checked before never becomes a whole object, nor is it told to the vault.
 */
async function storeFile(
  { records, vault }: IngestDependencies,
  { folder }: SourceRelease,
  file: ManifestFile,
  release: Digest,
  { progress, signal }: { progress: Progress; signal: AbortSignal },
): Promise<void> {
  const { sha256: digest, size } = file;
  const claimed = await vault.claim({ sha256: digest, size, release });
  const key = storeKeys.blob(claimed.blob);
  const lock = await records.lock();
  if (claimed.state === 'stored') await records.bucket.extendLock(key, claimed.versionId, lock);
  else {
    const target: Target = { bucket: records.bucket, lock, key, signal };
    const plain = expectedBytes(join(folder, file.path), file, { signal });
    const ciphertext = (await adopt(target, file, claimed.key)) ?? (await upload(target, plain, file, claimed.key));
    await vault.stored({ sha256: digest, blob: claimed.blob, ...ciphertext });
  }
  progress.stored += size;
}

interface Target {
  readonly bucket: Bucket;
  readonly lock: Lock;
  readonly key: string;
  readonly signal: AbortSignal;
}
type Ciphertext = Omit<BlobRef, 'blob'>;

/** A blob is bound to its plaintext: the associated data is the raw SHA-256, so that none can stand in for another. */
function associatedData({ sha256: digest }: ManifestFile): Buffer {
  return Buffer.from(digest, 'hex');
}

async function upload(
  { bucket, lock, key, signal }: Target,
  plain: AsyncIterable<Buffer>,
  file: ManifestFile,
  secret: Buffer,
): Promise<Ciphertext> {
  const {
    versionId,
    sha256: ciphertext,
    size,
  } = await bucket.upload(key, encryptStream(plain, secret, associatedData(file)), { lock, signal });
  return { versionId: versioned(versionId, key), ciphertext, ciphertextSize: size };
}

/**
 * What an attempt before this one has uploaded and not lived to report: whole, since an object appears only as a whole, and
 * believed once it decrypts to the file. `null` where there is nothing yet.
 */
async function adopt(
  { bucket, lock, key, signal }: Target,
  file: ManifestFile,
  secret: Buffer,
): Promise<Ciphertext | null> {
  const head = await bucket.head(key, null);
  if (head === null) return null;
  const versionId = versioned(head.versionId, key);
  const sealed = createHash('sha256');
  const opened = createHash('sha256');
  const stream = await bucket.readStream(key, versionId);
  const cipher = async function* (): AsyncGenerator<Buffer> {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      signal.throwIfAborted();
      sealed.update(chunk);
      yield chunk;
    }
  };
  for await (const chunk of decryptStream(cipher(), secret, associatedData(file))) opened.update(chunk);
  if (opened.digest('hex') !== file.sha256)
    throw new CustodyError('WORM_VIOLATED', `${key} holds something else than ${file.sha256}`, { details: { key } });
  await bucket.extendLock(key, versionId, lock);
  return { versionId, ciphertext: sealed.digest('hex'), ciphertextSize: head.size };
}

function versioned(versionId: string | null, key: string): string {
  if (versionId === null)
    throw new CustodyError('STORE_NOT_WORM', `${key} has no version: the bucket needs versioning and Object Lock`);
  return versionId;
}
