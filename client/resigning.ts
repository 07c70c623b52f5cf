import { progressOf } from '../adapters/dossier.js';
import { releaseNames } from '../adapters/inventory.js';
import type { Digest } from '../domain/digest.js';
import type { ReleaseName } from '../domain/names.js';
import { startResign } from '../workflows/messages.js';
import type { ResignOutcome } from '../workflows/resign.js';
import type { Custody } from './connect.js';
import { runToEnd } from './messages.js';
import { requestResign, type Signer } from './requests.js';

/** Every release that has been signed and has not ended. */
export async function livingReleases({ records }: Pick<Custody, 'records'>): Promise<readonly ReleaseName[]> {
  const living: ReleaseName[] = [];
  for (const name of await releaseNames(records)) {
    const { signed, outcome } = await progressOf(records, name);
    if (signed !== undefined && outcome === undefined) living.push(name);
  }
  return living;
}

/** Asks for one more signature, and waits for it. */
export function resignRelease(
  custody: Custody,
  signer: Signer,
  name: ReleaseName,
  release: Digest,
): Promise<Extract<ResignOutcome, { kind: 'resigned' }>> {
  return runToEnd(custody, 'resign', startResign(name), { request: requestResign(signer, name, release) });
}
