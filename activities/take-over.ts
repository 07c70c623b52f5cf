import { openBase, type OpenBase } from '../adapters/base.js';
import { inParts } from '../adapters/in-parts.js';
import { bindingFlaw } from '../adapters/object-store/rules.js';
import type { Records } from '../adapters/records.js';
import { takenOver } from '../domain/base.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { TakingOverEvidence } from '../domain/evidence.js';
import type { Manifest } from '../domain/manifest.js';
import type { NamedRelease } from '../domain/named-release.js';
import { storeKeys } from '../domain/store-keys.js';
import type { OpenedFile, ReopenRequest } from '../domain/vault.js';

/** What intake may ask of the vault where a release builds on another one. */
export interface Reopening {
  reopen(request: ReopenRequest): Promise<readonly OpenedFile<Buffer>[]>;
}

/** What a release takes over, by plaintext digest. `close` wipes the keys. */
export interface Taken {
  readonly files: ReadonlyMap<Digest, OpenedFile<Buffer>>;
  close(): void;
}

export const NOTHING_TAKEN: Taken = { files: new Map(), close: () => undefined };

const ATTEMPTS = 3;

interface Deps {
  readonly records: Records;
  readonly vault: Reopening;
}

/** What the vault is shown of a release to come; the start request by its digest. */
type Claims = Omit<TakingOverEvidence, 'base' | 'admission'> & { readonly admission: Digest };

/** Takes over, each time that it is called, whatever a release has of the base that it names; nothing where it names none. */
export function takerOf(
  deps: Deps,
  manifest: Manifest,
  named: NamedRelease | null,
  { admission, ...claims }: Claims,
): () => Promise<Taken> {
  return async () => {
    if (named === null) return NOTHING_TAKEN;
    const { envelope } = await deps.records.get('request', admission);
    return takeOver(deps, manifest, named, { ...claims, admission: envelope });
  };
}

/**
 * Takes the files that a release has of its base over from custody: the base is checked as it stands now, the vault makes the
 * release a holder of its keys, and each blob is the very version that was stored, still locked, and locked from now on for as
 * long as a new one would be. Does the same again when asked again. WORM_VIOLATED: a blob is not what was stored, or is not
 * safely locked.
 */
async function takeOver(
  { records, vault }: Deps,
  manifest: Manifest,
  named: NamedRelease,
  claims: Omit<TakingOverEvidence, 'base'>,
): Promise<Taken> {
  const opened = await reopen(records, vault, manifest, named, claims);
  const close = (): void => opened.forEach(({ key }) => void key.fill(0));
  try {
    await inParts(opened, (blob) => bind(records, blob));
  } catch (error) {
    close();
    throw error;
  }
  return { files: new Map(opened.map((blob) => [blob.sha256, blob])), close };
}

/** The vault never goes back in time: where it has seen a newer status document than ours, ours is read again. */
async function reopen(
  records: Records,
  vault: Reopening,
  manifest: Manifest,
  named: NamedRelease,
  claims: Omit<TakingOverEvidence, 'base'>,
): Promise<readonly OpenedFile<Buffer>[]> {
  for (let attempt = 1; ; attempt += 1) {
    const base: OpenBase = await openBase(records, manifest, named);
    const sha256s = [...new Set(takenOver(manifest, base.manifest).map(({ sha256 }) => sha256))];
    if (sha256s.length === 0) return [];
    try {
      return await vault.reopen({ sha256s, evidence: { base: base.evidence, ...claims } });
    } catch (error) {
      const isStale = error instanceof CustodyError && error.code === 'STATUS_STALE';
      if (!isStale || attempt === ATTEMPTS) throw error;
    }
  }
}

/** Nothing is trusted that was noted when it was stored: the store is asked now. */
async function bind(records: Records, blob: OpenedFile<Buffer>): Promise<void> {
  const { bucket } = records;
  const key = storeKeys.blob(blob.blob);
  const [head, versions] = await Promise.all([bucket.head(key, blob.versionId), bucket.versions(key)]);
  const flaw = bindingFlaw(head, versions, { versionId: blob.versionId, size: blob.ciphertextSize }, Date.now());
  if (flaw !== null)
    throw new CustodyError('WORM_VIOLATED', `${key} in version ${blob.versionId} ${flaw}: pack the release whole`, {
      details: { key, versionId: blob.versionId },
    });
  await bucket.extendLock(key, blob.versionId, await records.lock());
}
