import { resolve } from 'node:path';
import type { Command } from 'commander';
import { packRelease } from '../../adapters/source/pack.js';
import { CustodyError } from '../../domain/errors.js';
import { assertModelName, assertVersion } from '../../domain/names.js';
import { omsResources } from '../../formats/manifest.js';
import { signOms } from '../../formats/oms.js';
import { readComponents } from '../components.js';
import { replaceFile } from '../files.js';
import { readKey } from '../init.js';
import { answer } from '../output.js';
import { describeOrigin, parentIn, provenanceBeside, writeProvenance } from '../provenance.js';
import { action } from '../session.js';
import { checkPacked } from '../source.js';

interface PackOptions {
  readonly model: string;
  readonly as: string;
  readonly components: string;
  readonly key: string;
  readonly bundle: string;
  readonly trainingData?: readonly string[];
  readonly trainingCode?: readonly string[];
  readonly provenance?: string;
  readonly parent?: string;
  readonly compression?: string;
}

export function packCommand(program: Command): void {
  program
    .command('pack <folder>')
    .description('write custody.json, what a release consists of, and sign it and its provenance as its producer')
    .requiredOption('--model <name>', 'the model')
    .requiredOption('--as <version>', 'Semantic Versioning 2.0.0')
    .requiredOption('--components <file>', 'JSON: the parts of the release, and how it is served')
    .requiredOption('--key <file>', "the producer's private key, ECDSA P-256 or P-384")
    .requiredOption(
      '--bundle <file>',
      'where to write the signature: outside the folder; the provenance goes beside it',
    )
    .option('--training-data <path...>', 'what it was trained on: files or folders, hashed now')
    .option('--training-code <path...>', 'what trained it: files or folders, hashed now')
    .option('--provenance <file>', 'what its builder says: in-toto, SLSA provenance v1, about custody.json')
    .option('--parent <folder>', 'the packed release that this one is a smaller form of')
    .option('--compression <how>', 'how it became smaller: quantised, pruned, distilled')
    .addHelpText(
      'after',
      '\nExample:\n  custody pack ./release --model digits --as 1.0.0 --components parts.json --key producer.pem --bundle release.sig.json --training-data digits.csv.gz',
    )
    .action(
      action(async (session, folder: string, options: PackOptions) => {
        const name = { model: options.model, version: options.as };
        assertModelName(name.model);
        assertVersion(name.version);
        const { trainingData: data = [], trainingCode: code = [], provenance: statement = null } = options;
        if (data.length === 0 && statement === null)
          throw new CustodyError(
            'USAGE',
            'say what it was trained on: --training-data, or --provenance of its builder',
          );
        const { parent: from, compression } = options;
        if ((from === undefined) !== (compression === undefined))
          throw new CustodyError('USAGE', '--parent and --compression go together');
        const parent = from === undefined ? null : parentIn(resolve(from), compression ?? '');
        const packed = await packRelease(resolve(folder), { ...name, ...readComponents(options.components) });
        await checkPacked(resolve(folder));
        const origin = await describeOrigin(packed, { data, code, parent, statement });
        const { release, manifest, text } = packed;
        const key = readKey(options.key);
        replaceFile(options.bundle, signOms(`${name.model} ${name.version}`, omsResources(manifest, text), key));
        const provenance = provenanceBeside(options.bundle);
        writeProvenance(provenance, packed, origin, key);
        answer(session, { ...name, release, provenance }, [
          `release digest ${release}`,
          `signature in ${options.bundle}`,
          `provenance in ${provenance}`,
        ]);
      }),
    );
}
