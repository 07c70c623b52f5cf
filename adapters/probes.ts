import type { Digest } from '../domain/digest.js';
import type { Probe, ProbePredicate, ProbingZone } from '../domain/ending-predicates.js';
import { CustodyError, exitCodeOf, isPermanent } from '../domain/errors.js';
import { lifecycleId, type ReleaseName } from '../domain/names.js';
import { holdsRole } from '../domain/policy.js';
import type { SignedEnvelope, Verified } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime } from '../domain/time.js';
import type { OpenedFile } from '../domain/vault.js';
import type { SigningKey } from '../formats/keys.js';
import { signStatement } from '../formats/statements.js';
import { decryptStream } from '../formats/streaming-aead.js';
import { inParts } from './in-parts.js';
import type { Bucket, ObjectVersion } from './object-store/port.js';
import type { Records } from './records.js';

/** Exit codes of what policy, authority or integrity refuse. */
const REFUSALS: ReadonlySet<number> = new Set([3, 4, 6]);
const MAX_ANSWER = 1000;

/** Whether somebody has said no, and will tomorrow: what is down, stale or not there yet has refused nothing. */
export function isRefusal(error: unknown): error is CustodyError {
  return error instanceof CustodyError && isPermanent(error.code) && REFUSALS.has(exitCodeOf(error.code));
}

export function refusedWith({ code, message }: CustodyError): Pick<Probe, 'refused' | 'answer'> {
  return { refused: true, answer: `${code}: ${message}`.slice(0, MAX_ANSWER) };
}

/**
 * What a zone may go by that is to try a release: the signing zone has destroyed its keys, and said so. So nobody gets a release
 * tried, which may serve, by asking for it.
 */
export async function erasedBy(
  records: Records,
  name: ReleaseName,
  release: Digest,
  erased: Digest,
): Promise<Verified<ProbePredicate>> {
  const { verified } = await records.get('probe', erased);
  const { newest } = await records.policies();
  const said = verified.predicate;
  const isSigners = verified.signers.some((id) => holdsRole(newest, newest, id, 'release-signer'));
  if (!isSigners || said.zone !== 'signing')
    throw new CustodyError('NOT_AUTHORISED', `${verified.signers.join(', ')} may not say that keys were destroyed`);
  const { model, version } = name;
  if (verified.subject !== release || said.model !== model || said.version !== version)
    throw new CustodyError('REPLAYED', `it is the keys of ${said.model} ${said.version} that were destroyed`);
  if (said.environment !== records.environment)
    throw new CustodyError('REPLAYED', `that was in the environment ${said.environment}`);
  return verified;
}

/** What lies in the store of these blobs, read with this process's own credential: it holds no key that opens them. */
export async function tryCiphertext(bucket: Bucket, blobs: readonly string[]): Promise<Probe> {
  const stored = await bucket.versionsOf(blobs.map(storeKeys.blob));
  const there = [...stored.values()].flat().filter(({ isDeleteMarker }) => !isDeleteMarker);
  const sizes = await inParts(there, async (each) => ((await isReadable(bucket, each)) ? [each.size] : []));
  const left = sizes.flat();
  const bytes = left.reduce((sum, size) => sum + size, 0);
  const answer =
    left.length === 0 ? 'no ciphertext is left' : `${left.length} objects of ${bytes} bytes in all: no key opens them`;
  return { kind: 'ciphertext', path: storeKeys.blob(''), refused: true, answer };
}

async function isReadable(bucket: Bucket, { key, versionId }: ObjectVersion): Promise<boolean> {
  for await (const piece of await bucket.readStream(key, versionId)) return (piece as Buffer).length > 0;
  return false;
}

/** The first of these files of which some ciphertext decrypts with the key that somebody has handed out; `null`: none does. */
export async function decrypting(bucket: Bucket, opened: readonly OpenedFile<Buffer>[]): Promise<Digest | null> {
  for (const { blob, versionId, key, sha256 } of opened) {
    const cipher = await bucket.readStream(storeKeys.blob(blob), versionId);
    try {
      for await (const _ of decryptStream(cipher, key, Buffer.from(sha256, 'hex'))) return sha256;
    } catch (error) {
      if (!(error instanceof CustodyError) || error.code !== 'DIGEST_MISMATCH') throw error;
    } finally {
      cipher.destroy();
    }
  }
  return null;
}

/** Signs what a zone has tried. VALIDATION_FAILED where something was not refused: then there is nothing to certify. */
export function signProbes(
  name: ReleaseName,
  release: Digest,
  said: Pick<ProbePredicate, 'environment' | 'request' | 'blobs' | 'probes'> & { readonly zone: ProbingZone },
  key: SigningKey,
): SignedEnvelope {
  const alive = said.probes.find(({ refused }) => !refused);
  if (alive !== undefined)
    throw new CustodyError('VALIDATION_FAILED', `${alive.kind} ${alive.path} is not refused: ${alive.answer}`);
  const predicate = { ...said, model: name.model, version: name.version, issuedAt: isoTime(Date.now()) };
  return signStatement('probe', { name: lifecycleId(name), sha256: release }, predicate, [key]);
}
