import { progressOf } from '../adapters/dossier.js';
import type { Digest } from '../domain/digest.js';
import { isModelName, isVersion, type ReleaseName } from '../domain/names.js';
import { startResign } from '../workflows/messages.js';
import type { ResignOutcome } from '../workflows/resign.js';
import type { Custody } from './connect.js';
import { runToEnd } from './messages.js';
import { requestResign, type Signer } from './requests.js';

/** Every release that has been signed and has not ended. */
export async function livingReleases({ records }: Pick<Custody, 'records'>): Promise<readonly ReleaseName[]> {
  const living: ReleaseName[] = [];
  for await (const key of records.bucket.list('versions/')) {
    const [, model = '', version = ''] = key.split('/');
    if (!isModelName(model) || !isVersion(version)) continue;
    const { signed, outcome } = await progressOf(records, { model, version });
    if (signed !== undefined && outcome === undefined) living.push({ model, version });
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
