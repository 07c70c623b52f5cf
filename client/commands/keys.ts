import { Option, type Command } from 'commander';
import { type KeyAlgorithm } from '../../formats/keys.js';
import { action } from '../session.js';

const TYPES: readonly KeyAlgorithm[] = ['ed25519', 'ecdsa-p256', 'ecdsa-p384'];

export function keyCommands(program: Command): void {
  program
    .command('keygen')
    .description('make a private key, and the line that enrols it in the policy; or that line for an SSH key')
    .addOption(new Option('--type <algorithm>', 'of the key').choices(TYPES).default('ed25519'))
    .option('--out <file>', 'where to write the private key; never over another', 'key.pem')
    .addOption(
      new Option('--ssh <file>', 'an SSH public key that there is already: nothing is made').conflicts(['type', 'out']),
    )
    .addHelpText(
      'after',
      '\nExamples:\n  custody keygen --out alice.pem\n  custody keygen --type ecdsa-p256 --out producer.pem\n  custody keygen --ssh ~/.ssh/id_ed25519.pub',
    )
    .action(action(async () => (await import('../actions/keys.js')).keygen));
}
