import { certificateOf, gatherErasure } from '../adapters/certificate.js';
import { progressOf } from '../adapters/dossier.js';
import type { Records } from '../adapters/records.js';
import type { VaultClient } from '../adapters/vault/client.js';
import { CustodyError } from '../domain/errors.js';
import type { HeldRelease } from '../domain/hold.js';

/**
 * Keys that a certificate says are destroyed, and that the vault has again, as after it was restored from an older backup, are
 * destroyed once more, by the same request. Answers how many there were.
 */
export async function destroyAgain(
  records: Records,
  vault: Pick<VaultClient, 'holdings' | 'destroy'>,
  { release, ...name }: HeldRelease,
): Promise<number> {
  const certificate = await certificateOf(records, name);
  if (certificate === null) return 0;
  const { destroyed } = (await records.get('destruction', certificate)).verified.predicate;
  const gone = new Set(destroyed.map(({ blob }) => blob));
  const held = await vault.holdings({ release, sha256s: destroyed.map(({ sha256 }) => sha256) });
  const back = held.filter(({ blob }) => gone.has(blob));
  if (back.length === 0) return 0;
  const { retirement } = await progressOf(records, name);
  if (retirement === undefined)
    throw new CustodyError('WORM_VIOLATED', 'what its destruction rests on is gone from the store');
  await vault.destroy({ release, ...(await gatherErasure(records, { ...name, release }, retirement)) });
  return new Set(back.map(({ blob }) => blob)).size;
}
