import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { materialise } from '../adapters/materialise.js';
import { createVaultClient } from '../adapters/vault/client.js';
import type { Digest } from '../domain/digest.js';
import type { ReleaseName } from '../domain/names.js';
import type { OpenedFile } from '../domain/vault.js';
import { storeKeys } from '../domain/store-keys.js';
import { parseManifest } from '../formats/manifest.js';
import { askProved } from './audit.js';
import type { Reading } from './connect.js';
import { interruption } from './interruption.js';
import type { Signer } from './requests.js';

export interface Recovered {
  readonly version: string;
  readonly release: Digest;
  readonly folder: string;
  readonly files: number;
}

/**
 * Writes each of these releases into `<folder>/<release digest>/`, every file from WORM and hashed on its way. The wish is in the
 * log before the vault opens a key: by the vault's own check of the proof.
 */
export async function recoverAll(
  reading: Reading,
  auditor: Signer,
  model: string,
  releases: readonly { readonly version: string; readonly release: Digest }[],
  folder: string,
): Promise<readonly Recovered[]> {
  mkdirSync(folder, { recursive: true });
  const recovered: Recovered[] = [];
  for (const { version, release } of releases)
    recovered.push(await recover(reading, auditor, { model, version }, release, folder));
  return recovered;
}

async function recover(
  reading: Reading,
  auditor: Signer,
  name: ReleaseName,
  release: Digest,
  releases: string,
): Promise<Recovered> {
  const { records, description } = reading;
  const text = (await records.getBytes(release, storeKeys.manifest)).toString('utf8');
  const manifest = parseManifest(Buffer.from(text, 'utf8'));
  const vault = createVaultClient({ recover: description.vault.recover });
  // Each time by a question of its own: one that is minutes old opens nothing any more.
  const open = async (sha256s: readonly Digest[]): Promise<readonly OpenedFile<Buffer>[]> => {
    const { question, proofs } = await askProved(reading, auditor, { question: 'recover', ...name, release });
    const { envelopes } = await records.policies();
    const evidence = { policies: envelopes, manifest: text, question, proof: proofs[0] ?? '' };
    return vault.recover({ sha256s, evidence });
  };
  const onProgress = (): void => undefined;
  await materialise(
    records.bucket,
    { manifest, text, release },
    { releases, open, signal: interruption(), onProgress },
  );
  return { version: name.version, release, folder: join(releases, release), files: manifest.files.length };
}
