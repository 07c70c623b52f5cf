import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packRelease, type PackedRelease } from '../../adapters/source/pack.js';
import { readTrainer } from '../../adapters/training/trainer.js';
import { digitsFolder } from './assets.js';
import { trainRelease } from './train.js';

export const SHIPPED_VERSIONS = ['1.0.0', '1.1.0', '1.2.0'] as const;

/** Where the releases lie that are shipped already trained, unsigned, for hosts without a sandbox. */
export function shippedFolder(version: string): string {
  return join(digitsFolder(), 'trained', version);
}

/** Trains a version and packs it, exactly as the training zone does, without its sandbox. */
export async function trainAndPack(version: string, folder: string): Promise<PackedRelease> {
  const digits = digitsFolder();
  const { components, serving } = await readTrainer(join(digits, 'trainer.json'));
  trainRelease({
    config: join(digits, 'releases', `${version}.json`),
    data: join(digits, 'data', 'digits.csv.gz'),
    serving: join(digits, 'serve'),
    out: folder,
  });
  return packRelease(folder, { model: 'digits', version, components, serving });
}

/** The command line: makes the shipped releases anew, after the trainer or the serving script has changed. */
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await rm(join(digitsFolder(), 'trained'), { recursive: true, force: true });
  for (const version of SHIPPED_VERSIONS) {
    await mkdir(shippedFolder(version), { recursive: true });
    const { release } = await trainAndPack(version, shippedFolder(version));
    console.log(`${version} ${release}`);
  }
}
