import { randomBytes } from 'node:crypto';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { authoriseLoading } from '../../domain/authorise.js';
import type { Digest } from '../../domain/digest.js';
import { CustodyError } from '../../domain/errors.js';
import type { ReleaseName } from '../../domain/names.js';
import type { OpenedFile } from '../../domain/vault.js';
import { demand } from '../../formats/evidence.js';
import { checkRelease } from '../dossier.js';
import { PARTIAL } from '../materialise.js';
import type { Records } from '../records.js';
import { shredTree, syncFolder } from '../durable.js';
import type { KeyOpener } from './ports.js';
import type { StatusReader } from './status.js';

export type LoadableRelease = Awaited<ReturnType<typeof checkRelease>>;

const OPEN_ATTEMPTS = 3;

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

/** The vault never goes back in time: where it has seen a newer status document than ours, ours is read again. */
export async function openKeys(
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
  await shredTree(away);
}
