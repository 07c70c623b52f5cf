import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checksumOf } from '../../adapters/source/checksum.js';
import { packRelease, type PackedRelease } from '../../adapters/source/pack.js';
import { readTrainer } from '../../adapters/training/trainer.js';
import { dependency } from '../../domain/provenance.js';
import { PREDICATES, type BuildDependency, type ProvenancePredicate } from '../../domain/statements.js';
import { isoTime } from '../../domain/time.js';
import { makeStatement } from '../../formats/in-toto.js';
import { locksOf } from '../../formats/provenance.js';
import { digitsFolder } from './assets.js';
import { trainRelease } from './train.js';

export const SHIPPED_VERSIONS = ['1.0.0', '1.1.0', '1.2.0'] as const;

/** Where the releases lie that are shipped already trained, unsigned, for hosts without a sandbox. */
export function shippedFolder(version: string): string {
  return join(digitsFolder(), 'trained', version);
}

/** How a shipped release was made: an unsigned statement, which whoever uses the release signs as its producer. */
export function shippedProvenance(version: string): string {
  return `${shippedFolder(version)}.provenance.json`;
}

/** Trains a version and packs it, exactly as the training zone does, without its sandbox. */
export async function trainAndPack(version: string, folder: string): Promise<PackedRelease> {
  const digits = digitsFolder();
  const { components, serving } = await readTrainer(join(digits, 'trainer.json'));
  trainRelease({
    config: join(digits, 'releases', `${version}.json`),
    data: join(digits, 'data', 'digits', 'digits.csv.gz'),
    serving: join(digits, 'serve'),
    out: folder,
  });
  return packRelease(folder, { model: 'digits', version, components, serving });
}

const CODE = ['train.ts', 'mlp.ts', 'dataset.ts', 'hyperparameters.ts', 'random.ts', 'release.ts', 'model-card.ts'];

async function provenanceOf(
  version: string,
  { manifest, release }: PackedRelease,
  startedOn: string,
): Promise<ProvenancePredicate> {
  const checksum = (...path: string[]) => checksumOf(join(digitsFolder(), ...path));
  const code: BuildDependency[] = [];
  for (const name of CODE) code.push(dependency('training-code', name, await checksum(name)));
  const hyperparameters = `releases/${version}.json`;
  return {
    buildDefinition: {
      buildType: 'urn:custody:build:declared:v1',
      externalParameters: { model: manifest.model, version, release },
      resolvedDependencies: [
        dependency('training-data', 'digits.csv.gz', await checksum('data', 'digits', 'digits.csv.gz')),
        dependency('hyperparameters', hyperparameters, await checksum(hyperparameters)),
        ...code,
        ...locksOf(manifest),
      ],
    },
    runDetails: {
      builder: { id: 'urn:custody:builder:digits-ship' },
      metadata: { invocationId: `ship-${version}-${startedOn}`, startedOn, finishedOn: isoTime(Date.now()) },
    },
  };
}

/** The command line: makes the shipped releases anew, after the trainer or the serving script has changed. */
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await rm(join(digitsFolder(), 'trained'), { recursive: true, force: true });
  for (const version of SHIPPED_VERSIONS) {
    await mkdir(shippedFolder(version), { recursive: true });
    const startedOn = isoTime(Date.now());
    const packed = await trainAndPack(version, shippedFolder(version));
    const { release } = packed;
    const predicate = await provenanceOf(version, packed, startedOn);
    const about = [{ name: `digits ${version}`, digest: { sha256: release } }];
    const statement = makeStatement(PREDICATES.provenance, about, predicate);
    await writeFile(shippedProvenance(version), `${JSON.stringify(statement, null, 2)}\n`);
    console.log(`${version} ${release}`);
  }
}
