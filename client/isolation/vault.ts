import { gatherRelease, newestStatus, progressOf } from '../../adapters/dossier.js';
import { releaseNames } from '../../adapters/inventory.js';
import { createVaultClient } from '../../adapters/vault/client.js';
import { parseManifest } from '../../formats/manifest.js';
import { refused, type Cell } from './cell.js';
import type { Environment } from './environment.js';

/**
 * Everything that opens a release of `from`, put to the vault of `to` by somebody who may knock there: from its own root, nothing of it
 * counts. Nothing is tried while `from` has no release. A key that came would be wiped at once.
 */
export async function tryVault(from: Environment, to: Environment): Promise<readonly Omit<Cell, 'of' | 'on'>[]> {
  const { records } = from.reading;
  for (const name of await releaseNames(records)) {
    if ((await progressOf(records, name)).signed === undefined) continue;
    const evidence = await gatherRelease(records, name, await newestStatus(records));
    const [file] = parseManifest(Buffer.from(evidence.manifest)).files;
    if (file === undefined) continue;
    const open = to.reading.layout.path('sockets', 'vault-open', 'vault-open.sock');
    const found = await refused(['SIGNATURE_INVALID', 'POLICY_REFUSED', 'NOT_AUTHORISED'], async () => {
      const keys = await createVaultClient({ open }).open({ sha256s: [file.sha256], evidence });
      for (const { key } of keys) key.fill(0);
      return `the vault gives the key of ${file.path}`;
    });
    return [{ service: 'vault', credential: `evidence of ${name.model} ${name.version}`, ...found }];
  }
  return [];
}
