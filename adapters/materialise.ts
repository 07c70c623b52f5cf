import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, statfs, chmod } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import { MANIFEST_FILE, type Manifest, type ManifestFile } from '../domain/manifest.js';
import type { OpenedFile } from '../domain/vault.js';
import { quote } from '../formats/json.js';
import type { Bucket } from './object-store/port.js';
import { atMost, mismatch, openSealed } from './sealed.js';
import { shredTree, syncFolder } from './durable.js';

/** Bytes that are done, of this many. */
export type OnProgress = (done: number, total: number) => void;

/** Unfinished copies, and those being removed: nothing ever starts from a folder named like this. */
export const PARTIAL = '.partial-';
/** Keys held in memory at once. */
const KEYS_AT_ONCE = 256;
/** What a load must leave free for logs and state of this host. */
const SPARE_BYTES = 64 * 1024 * 1024;

export interface MaterialisedRelease {
  readonly manifest: Manifest;
  /** `custody.json`, whose digest is that of the release. */
  readonly text: string;
  readonly release: Digest;
}

export interface Materialising {
  /** Where the copies of this host are. */
  readonly releases: string;
  /** Keys in the order of their digests; asked for again and again while a large release is written. */
  readonly open: (sha256s: readonly Digest[]) => Promise<readonly OpenedFile<Buffer>[]>;
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
}

/**
 * Writes a verified copy of the release into `<releases>/<release digest>/`, read-only, which must not exist. Ciphertext
 * and plaintext are hashed as they stream. Whatever fails, no such folder is there afterwards.
 */
export async function materialise(
  bucket: Bucket,
  { manifest, text, release }: MaterialisedRelease,
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
      await writeFiles(bucket, some, { folder: partial, open: options.open, onBytes });
    }
    await writeNew(join(partial, MANIFEST_FILE), chunk(Buffer.from(text, 'utf8')), () => {});
    await sealFolder(partial);
    await rename(partial, join(releases, release));
    await syncFolder(releases);
  } catch (error) {
    await shredTree(partial);
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT')
      throw new CustodyError('NO_SPACE', `${releases} is full: free some space`, { cause: error });
    throw error;
  }
}

async function writeFiles(
  bucket: Bucket,
  files: readonly ManifestFile[],
  {
    folder,
    open: openKeys,
    onBytes,
  }: Pick<Materialising, 'open'> & { folder: string; onBytes: (count: number) => void },
): Promise<void> {
  const opened = await openKeys([...new Set(files.map(({ sha256 }) => sha256))]);
  try {
    const byDigest = new Map(opened.map((blob) => [blob.sha256, blob] as const));
    for (const { path, size, sha256 } of files) {
      const blob = byDigest.get(sha256);
      if (blob === undefined) throw new CustodyError('PENDING', `the vault holds no key for ${quote(path)}`);
      const plain = openSealed(bucket, blob, path);
      await mkdir(dirname(join(folder, path)), { recursive: true, mode: 0o700 });
      const found = await writeNew(join(folder, path), atMost(plain, size, path), onBytes);
      if (found.size !== size || found.sha256 !== sha256)
        throw mismatch(path, `${found.size} bytes with sha256 ${found.sha256}, expected ${size} with ${sha256}`);
    }
  } finally {
    for (const { key } of opened) key.fill(0);
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
