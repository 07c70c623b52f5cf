import { authoriseLoading } from '../domain/authorise.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { ReleaseEvidence } from '../domain/evidence.js';
import type { Manifest } from '../domain/manifest.js';
import type { OpenAnswer, OpenedFile, OpenRequest } from '../domain/vault.js';
import { isoTime } from '../domain/time.js';
import { encodeBase64 } from '../formats/base64.js';
import { demand, verifyRelease, type CheckedRelease } from '../formats/evidence.js';
import { sha256 as digestOf } from '../formats/sha256.js';
import type { Entry } from './ledger-schema.js';
import type { Vault } from './vault.js';

/** Hands out keys of a release that is approved, signed and, by a fresh status document, not revoked. */
export async function open(vault: Vault, { sha256s, evidence }: OpenRequest): Promise<OpenAnswer<string>> {
  const release = digestOf(evidence.manifest);
  // What is erased stays erased, whatever else is true of it.
  assertNotErased(vault, release);
  const checked = await demandLoadable(vault, evidence, isoTime(Date.now()));
  return openListed(vault, release, checked.manifest, sha256s);
}

/** A release that is approved, signed and not revoked, by the newest policy and status that this vault has seen. */
export async function demandLoadable(
  { root, seen }: Vault,
  evidence: ReleaseEvidence,
  now: string,
): Promise<CheckedRelease> {
  const checked = verifyRelease(evidence, root, now);
  await seen.acceptPolicy(checked.policies.newest);
  await seen.acceptStatus(checked);
  demand(authoriseLoading(checked.release, checked.rules, checked.status));
  if (seen.isRevoked(checked.release.release)) throw new CustodyError('REVOKED', 'the release has been revoked');
  return checked;
}

/** NOT_AUTHORISED for a file that the release's manifest does not list. */
export async function openListed(
  vault: Vault,
  release: Digest,
  manifest: Manifest,
  sha256s: readonly Digest[],
): Promise<OpenAnswer<string>> {
  const listed = new Set(manifest.files.map((file) => file.sha256));
  const foreign = sha256s.find((sha256) => !listed.has(sha256));
  if (foreign !== undefined)
    throw new CustodyError('NOT_AUTHORISED', `${foreign} is not a file of the release ${release}`);
  const files: OpenedFile<string>[] = [];
  for (const sha256 of sha256s) files.push(await openFile(vault, release, sha256));
  return { files };
}

function openFile(vault: Vault, release: Digest, sha256: Digest): Promise<OpenedFile<string>> {
  const { ledger, locks } = vault;
  return locks.hold([sha256], async () => {
    // A destruction holds this lock while it decides: so it is seen here, or it comes after us.
    assertNotErased(vault, release);
    const entry = await ledger.entry(sha256);
    if (!entry?.holders.includes(release))
      throw new CustodyError('NOT_AUTHORISED', `the release ${release} does not hold ${sha256} in this vault`);
    if (await ledger.isBuried(entry.blob)) throw buried(entry.blob);
    return keyOf(vault, entry);
  });
}

export function buried(blob: string): CustodyError {
  return new CustodyError('ERASED', `the key of blob ${blob} has been destroyed`);
}

/** PENDING: it has no ciphertext yet. */
export async function keyOf({ ledger }: Vault, entry: Entry): Promise<OpenedFile<string>> {
  const { sha256, blob, stored } = entry;
  if (stored === null) throw new CustodyError('PENDING', `${sha256} has been claimed, but not stored yet`);
  return { sha256, blob, ...stored, key: encodeBase64(await ledger.key(blob)) };
}

export function assertNotErased({ ledger }: Vault, release: Digest): void {
  if (ledger.isDestroyed(release))
    throw new CustodyError('ERASED', `the release ${release} has been destroyed: its keys are gone`);
}
