import { gatherCertificate } from '../adapters/certificate.js';
import type { Records } from '../adapters/records.js';
import type { VaultClient } from '../adapters/vault/client.js';
import type { Digest } from '../domain/digest.js';
import type { HeldRelease } from '../domain/hold.js';
import { storeKeys } from '../domain/store-keys.js';

/**
 * Keys that a certificate says are destroyed, and that the vault has again, as after it was restored from an older backup, are
 * destroyed once more, by the same request. Answers how many there were.
 */
export async function destroyAgain(
  records: Records,
  vault: Pick<VaultClient, 'holdings' | 'destroy'>,
  { release, ...name }: HeldRelease,
): Promise<number> {
  const done = (await records.record(storeKeys.record(name, 'destruction'))) as { certificate: Digest } | null;
  if (done === null) return 0;
  const { destroyed } = (await records.get('destruction', done.certificate)).verified.predicate;
  const gone = new Set(destroyed.map(({ blob }) => blob));
  const held = await vault.holdings({ release, sha256s: destroyed.map(({ sha256 }) => sha256) });
  const back = held.filter(({ blob }) => gone.has(blob));
  if (back.length === 0) return 0;
  const { revocation, certificate: _, probes: __, ...evidence } = await gatherCertificate(records, name);
  await vault.destroy({ release, evidence, revocation });
  return new Set(back.map(({ blob }) => blob)).size;
}
