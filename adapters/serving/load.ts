import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, statfs, chmod } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { authoriseLoading } from '../../domain/authorise.js';
import type { Digest } from '../../domain/digest.js';
import { CustodyError } from '../../domain/errors.js';
import { MANIFEST_FILE, type ManifestFile } from '../../domain/manifest.js';
import type { ReleaseName } from '../../domain/names.js';
import type { OpenedFile } from '../../domain/vault.js';
import { demand } from '../../formats/evidence.js';
import { quote } from '../../formats/json.js';
import { checkRelease } from '../dossier.js';
import type { Records } from '../records.js';
import { atMost, mismatch, openSealed } from '../sealed.js';
import { removeTree, syncFolder } from './durable.js';
import type { KeyOpener, ServingDeps } from './ports.js';
import type { StatusReader } from './status.js';

export type LoadableRelease = Awaited<ReturnType<typeof checkRelease>>;

/** Bytes that are done, of this many. */
export type OnProgress = (done: number, total: number) => void;

/** Unfinished copies, and those being removed: nothing ever starts from a folder named like this. */
export const PARTIAL = '.partial-';
/** Keys held in memory at once. */
const KEYS_AT_ONCE = 256;
const OPEN_ATTEMPTS = 3;
/** What a load must leave free for logs and state of this host. */
const SPARE_BYTES = 64 * 1024 * 1024;

/** Everything a load needs but the bytes: both signatures, approvals, tests, and a fresh status that does not revoke it. */
export async function authoriseLoad(
  records: Records,
  statuses: StatusReader,
  name: ReleaseName,
  release: Digest,
): Promise<LoadableRelease> {
  const status = await statuses.newest();
  const checked = await checkRelease(records, name, release, status?.envelope ?? null);
  demand(authoriseLoading(checked.release, checked.rules, checked.status));
  if (statuses.revoked.includes(release)) throw new CustodyError('REVOKED', 'the release has been revoked before');
  return checked;
}

export interface Materialising {
  /** Where the copies of this host are. */
  readonly releases: string;
  /** Asked again before keys are: a status document may grow old while a large release loads. */
  readonly authorise: () => Promise<LoadableRelease>;
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
}

/**
 * Writes a verified copy of the release into `<releases>/<release digest>/`, read-only, which must not exist. Ciphertext
 * and plaintext are hashed as they stream. Whatever fails, no such folder is there afterwards.
 */
export async function materialise(
  deps: Pick<ServingDeps, 'records' | 'vault'>,
  { manifest, evidence, release: { release } }: LoadableRelease,
  options: Materialising,
): Promise<void> {
  const { releases, signal } = options;
  const total = manifest.files.reduce((sum, { size }) => sum + size, 0);
  await demandSpace(releases, total);
  const partial = join(releases, `${PARTIAL}${release}-${randomBytes(6).toString('hex')}`);
  let done = 0;
  const onBytes = (count: number): void => {
    signal.throwIfAborted();
    done += count;
    options.onProgress(done, total);
  };
  try {
    await mkdir(partial, { mode: 0o700 });
    for (let at = 0; at < manifest.files.length; at += KEYS_AT_ONCE) {
      signal.throwIfAborted();
      const some = manifest.files.slice(at, at + KEYS_AT_ONCE);
      await writeFiles(deps, some, { folder: partial, authorise: options.authorise, onBytes });
    }
    await writeNew(join(partial, MANIFEST_FILE), chunk(Buffer.from(evidence.manifest, 'utf8')), () => {});
    await sealFolder(partial);
    await rename(partial, join(releases, release));
    await syncFolder(releases);
  } catch (error) {
    await removeTree(partial);
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT')
      throw new CustodyError('NO_SPACE', `${releases} is full: free some space`, { cause: error });
    throw error;
  }
}

/** Takes a copy out of reach first, so that a crash leaves none that could be started, and then off the disk. */
export async function discard(releases: string, release: Digest): Promise<void> {
  const away = join(releases, `${PARTIAL}${release}-${randomBytes(6).toString('hex')}`);
  try {
    await rename(join(releases, release), away);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  await syncFolder(releases);
  await removeTree(away);
}

async function writeFiles(
  { records, vault }: Pick<ServingDeps, 'records' | 'vault'>,
  files: readonly ManifestFile[],
  {
    folder,
    authorise,
    onBytes,
  }: Pick<Materialising, 'authorise'> & { folder: string; onBytes: (count: number) => void },
): Promise<void> {
  const opened = await openKeys(vault, [...new Set(files.map(({ sha256 }) => sha256))], authorise);
  try {
    const byDigest = new Map(opened.map((blob) => [blob.sha256, blob] as const));
    for (const { path, size, sha256 } of files) {
      const blob = byDigest.get(sha256);
      if (blob === undefined) throw new CustodyError('PENDING', `the vault holds no key for ${quote(path)}`);
      const plain = openSealed(records.bucket, blob, path);
      await mkdir(dirname(join(folder, path)), { recursive: true, mode: 0o700 });
      const found = await writeNew(join(folder, path), atMost(plain, size, path), onBytes);
      if (found.size !== size || found.sha256 !== sha256)
        throw mismatch(path, `${found.size} bytes with sha256 ${found.sha256}, expected ${size} with ${sha256}`);
    }
  } finally {
    for (const { key } of opened) key.fill(0);
  }
}

/** The vault never goes back in time: where it has seen a newer status document than ours, ours is read again. */
async function openKeys(
  vault: KeyOpener,
  sha256s: readonly Digest[],
  authorise: () => Promise<LoadableRelease>,
): Promise<readonly OpenedFile<Buffer>[]> {
  for (let attempt = 1; ; attempt += 1) {
    const { evidence } = await authorise();
    try {
      return await vault.open(sha256s, evidence);
    } catch (error) {
      const isStale = error instanceof CustodyError && error.code === 'STATUS_STALE';
      if (!isStale || attempt === OPEN_ATTEMPTS) throw error;
    }
  }
}

async function* chunk(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

async function writeNew(
  path: string,
  content: AsyncIterable<Buffer>,
  onBytes: (count: number) => void,
): Promise<{ readonly size: number; readonly sha256: Digest }> {
  const file = await open(path, 'wx', 0o600);
  try {
    const hash = createHash('sha256');
    let size = 0;
    for await (const bytes of content) {
      hash.update(bytes);
      size += bytes.length;
      await file.writeFile(bytes);
      onBytes(bytes.length);
    }
    await file.chmod(0o444);
    await file.sync();
    return { size, sha256: hash.digest('hex') };
  } finally {
    await file.close();
  }
}

/** From the inside out: nothing can be written any more, and every name is on disk. */
async function sealFolder(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true }))
    if (entry.isDirectory()) await sealFolder(join(folder, entry.name));
  await chmod(folder, 0o555);
  await syncFolder(folder);
}

async function demandSpace(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const [needed, available] = [bytes + SPARE_BYTES, bavail * bsize];
  if (needed <= available) return;
  throw new CustodyError('NO_SPACE', `${folder} has ${available} bytes free, the release needs ${needed}`, {
    details: { needed, available },
  });
}
