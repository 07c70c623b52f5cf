import type { Command } from 'commander';
import { action } from '../session.js';

export function packCommand(program: Command): void {
  program
    .command('pack <folder>')
    .description('write custody.json, what a release consists of, and sign it and its provenance as its producer')
    .requiredOption('--model <name>', 'the model')
    .requiredOption('--as <version>', 'Semantic Versioning 2.0.0')
    .requiredOption('--components <file>', 'JSON: the parts of the release, and how it is served')
    .requiredOption(
      '--key <file>',
      "the producer's private key, ECDSA P-256 or P-384, or an id of the development environment",
    )
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
    .action(action(async () => (await import('../actions/pack.js')).pack));
}
