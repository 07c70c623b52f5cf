import { execFile } from 'node:child_process';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { checksumOf } from '../../adapters/source/checksum.js';
import { packRelease, type PackedRelease } from '../../adapters/source/pack.js';
import { readComponents } from '../../client/components.js';
import { dependency } from '../../domain/provenance.js';
import { PREDICATES, type BuildDependency, type ProvenancePredicate } from '../../domain/statements.js';
import { isoTime } from '../../domain/time.js';
import { makeStatement } from '../../formats/in-toto.js';
import { locksOf } from '../../formats/provenance.js';
import { digitsData, digitsFolder, hyperparametersOf } from './assets.js';

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
  const { components, serving } = readComponents(join(digits, 'training', 'recipe.json'));
  const script = join(digits, 'training', 'train.mjs');
  const inputs = ['--config', join(digits, hyperparametersOf(version)), '--data', digitsData()];
  await promisify(execFile)(process.execPath, [script, ...inputs, '--out', folder]);
  return packRelease(folder, { model: 'digits', version, components, serving });
}

async function provenanceOf(
  version: string,
  { manifest, release }: PackedRelease,
  startedOn: string,
): Promise<ProvenancePredicate> {
  const digits = digitsFolder();
  const code: BuildDependency[] = [];
  for (const name of (await readdir(join(digits, 'training'))).filter((each) => each.endsWith('.mjs')).sort()) {
    const path = join('training', name);
    code.push(dependency('training-code', path, await checksumOf(join(digits, path))));
  }
  const hyperparameters = hyperparametersOf(version);
  return {
    buildDefinition: {
      buildType: 'urn:custody:build:declared:v1',
      externalParameters: { model: manifest.model, version, release },
      resolvedDependencies: [
        dependency('training-data', 'digits.csv.gz', await checksumOf(digitsData())),
        dependency('hyperparameters', hyperparameters, await checksumOf(join(digits, hyperparameters))),
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
