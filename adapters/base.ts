import { baseTitle, mayBuildOn, mayMakeWith } from '../domain/authorise-base.js';
import { authoriseLoading } from '../domain/authorise.js';
import { CustodyError } from '../domain/errors.js';
import type { ReleaseName } from '../domain/names.js';
import type { NamedRelease } from '../domain/named-release.js';
import { storeKeys } from '../domain/store-keys.js';
import { demand } from '../formats/evidence.js';
import { checkRelease, newestStatus } from './dossier.js';
import type { Records } from './records.js';

export type OpenBase = Awaited<ReturnType<typeof checkRelease>>;

/**
 * The release that another one is to be built on, checked as for a load: approved, signed, not revoked by a fresh status
 * document. It must be of the same model, not killed, and not on its way out. POLICY_REFUSED where custody has no such one.
 */
export async function openBase(
  records: Records,
  name: Pick<ReleaseName, 'model'>,
  named: NamedRelease,
): Promise<OpenBase> {
  const base = await openUsed(records, named, baseTitle(named));
  demand(mayBuildOn(name, named, base.release, base.status));
  return base;
}

/** The same of a release of any model that something new is made with; `title`: what it is to that. */
export async function openUsed(records: Records, named: NamedRelease, title: string): Promise<OpenBase> {
  const [used, revocation, retirement] = await Promise.all([
    gathered(records, named, title),
    records.bucket.read(storeKeys.revocation(named.release)),
    records.bucket.read(storeKeys.record(named, 'retirement')),
  ]);
  // The status document says so, too, a moment later.
  if (revocation !== null) throw new CustodyError('REVOKED', `${title} has been revoked`);
  if (retirement !== null)
    throw new CustodyError('POLICY_REFUSED', `${title} is being retired: nothing new is made with it`);
  demand(authoriseLoading(used.release, used.rules, used.status));
  demand(mayMakeWith(named, used.release, used.status, title));
  return used;
}

async function gathered(records: Records, named: NamedRelease, title: string): Promise<OpenBase> {
  try {
    return await checkRelease(records, named, named.release, await newestStatus(records));
  } catch (error) {
    if (!(error instanceof CustodyError) || error.code !== 'PENDING') throw error;
    throw new CustodyError('POLICY_REFUSED', `${title} has not been released here: ${error.message}`, { cause: error });
  }
}
