import { checkForSigning } from '../adapters/dossier.js';
import type { Records } from '../adapters/records.js';
import type { VaultClient } from '../adapters/vault/client.js';
import { authoriseSigning } from '../domain/authorise.js';
import { CustodyError } from '../domain/errors.js';
import { demand } from '../formats/evidence.js';
import type { SigningKey } from '../formats/keys.js';
import { omsResources } from '../formats/manifest.js';
import { signOms } from '../formats/oms.js';
import type { SigningActivities } from './contract.js';
import type { EmergencySigning } from './emergency-contract.js';
import { createErasing } from './erase.js';
import { createPromoting } from './promote.js';
import { createResigning } from './resign.js';
import { createRevoking } from './revoke.js';

export interface SigningDeps {
  readonly records: Records;
  /** ECDSA: model signatures have no Ed25519 in key mode. */
  readonly key: SigningKey;
  readonly vault: Pick<VaultClient, 'destroy' | 'probe'>;
}

/** Signs and destroys, each only after it has checked for itself that people agreed to it. */
export function createSigningActivities({ records, key, vault }: SigningDeps): SigningActivities & EmergencySigning {
  return {
    ...createRevoking({ records, key }),
    ...createResigning({ records, key }),
    ...createPromoting({ records, key }),
    ...createErasing({ records, key, vault }),

    signRelease: async (name, progress) => {
      const release = progress.ingested?.release;
      if (release === undefined) throw new CustodyError('PENDING', 'the release has not been ingested');
      const { release: checked, manifest, rules, evidence } = await checkForSigning(records, name, release);
      demand(authoriseSigning(checked, rules));
      const signature = signOms(
        `${name.model} ${name.version}`,
        omsResources(manifest, Buffer.from(evidence.manifest, 'utf8')),
        key,
      );
      return { signature: await records.keepBytes(signature) };
    },
  };
}
