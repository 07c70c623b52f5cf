import type { Command } from 'commander';
import { action } from '../session.js';

export function packCommand(program: Command): void {
  program
    .command('pack <folder>')
    .description('write custody.json, what a release consists of, and sign it and its provenance as its producer')
    .option('--model <name>', "the model; by default the base's")
    .requiredOption('--as <version>', 'Semantic Versioning 2.0.0')
    .option('--components <file>', "JSON: the parts of the release, and how it is served; by default the base's")
    .requiredOption(
      '--key <file>',
      "the producer's private key, ECDSA P-256 or P-384, or an id of the development environment",
    )
    .requiredOption(
      '--bundle <file>',
      'where to write the signature: outside the folder; the provenance goes beside it',
    )
    .option('--base <model@version>', 'a release in custody that it builds on: the folder holds what is new or changed')
    .option('--remove <path...>', 'files of the base that it does not have')
    .option('--training-data <path...>', 'what it was trained on: files or folders, hashed now')
    .option('--training-code <path...>', 'what trained it: files or folders, hashed now')
    .option('--provenance <file>', 'what its builder says: in-toto, SLSA provenance v1, about custody.json')
    .option(
      '--prompts <folder>',
      'take its prompts from git: a clean working copy, or the folder in it that holds them',
    )
    .option('--repository <name>', 'what the policy calls that repository')
    .option('--parent <folder>', 'the packed release that this one is a smaller form of')
    .option('--compression <how>', 'how it became smaller: quantised, pruned, distilled')
    .addHelpText(
      'after',
      '\nExample:\n  custody pack ./release --model digits --as 1.0.0 --components parts.json --key producer.pem --bundle release.sig.json --training-data digits.csv.gz\n  custody pack ./changes --base digits@1.0.0 --as 1.0.1 --key producer.pem --bundle release.sig.json\n  custody pack ./next --base lingo@1.0.0 --as 1.0.1 --prompts ~/lingo-prompts --repository lingo --key producer.pem --bundle next.sig.json',
    )
    .action(action(async () => (await import('../actions/pack.js')).pack));
}
