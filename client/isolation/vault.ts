import { gatherRelease, newestStatus, progressOf } from '../../adapters/dossier.js';
import { releaseNames } from '../../adapters/inventory.js';
import { createVaultClient, type VaultClient } from '../../adapters/vault/client.js';
import { CustodyError } from '../../domain/errors.js';
import type { OpenRequest } from '../../domain/vault.js';
import { parseManifest } from '../../formats/manifest.js';
import { refused, type Cell } from './cell.js';
import type { Environment } from './environment.js';

/** The answer to a policy chain whose root is not pinned there. Whatever else a vault says, it says once it believes the evidence. */
const FOREIGN = ['SIGNATURE_INVALID'] as const;

/**
 * Everything that opens a release of `from`, put to the vault of `to` by somebody who may knock there: from its own root, nothing of it
 * counts. Without a signed release there is nothing to find that out with. A key that came would be wiped at once.
 */
export async function tryVault(from: Environment, to: Environment): Promise<Omit<Cell, 'of' | 'on'>> {
  const { records } = from.reading;
  for (const name of await releaseNames(records)) {
    if ((await progressOf(records, name)).signed === undefined) continue;
    const evidence = await gatherRelease(records, name, await newestStatus(records));
    const [file] = parseManifest(Buffer.from(evidence.manifest)).files;
    if (file === undefined) continue;
    const open = to.reading.layout.path('sockets', 'vault-open', 'vault-open.sock');
    const found = await tryEvidence(createVaultClient({ open }), { sha256s: [file.sha256], evidence });
    if (found !== null) return { service: 'vault', credential: `evidence of ${name.model} ${name.version}`, ...found };
  }
  const how = `${from.name} has no signed release to try it with: roll one out, and run this again`;
  return { service: 'vault', credential: 'evidence of a release', state: 'unknown', how };
}

/** `null`: a release that was destroyed there is refused before its evidence is looked at. */
export async function tryEvidence(
  vault: Pick<VaultClient, 'open'>,
  request: OpenRequest,
): Promise<Pick<Cell, 'state' | 'how'> | null> {
  let isErased = false;
  const found = await refused(FOREIGN, async () => {
    const keys = await vault.open(request).catch((error: unknown) => {
      isErased = error instanceof CustodyError && error.code === 'ERASED';
      throw error;
    });
    for (const { key } of keys) key.fill(0);
    return 'the vault gives its key';
  });
  return isErased ? null : found;
}
