import type { Command } from 'commander';
import { action, connected, KEY_OPTION } from '../session.js';

export function dataCommands(program: Command): void {
  const data = program.command('data').description('what models may be trained on, and through whose hands it came');
  data
    .command('give <folder>')
    .description('sign that you give the data in a folder to somebody: the first time as their publisher')
    .requiredOption('--source <name>', 'what the data are called')
    .requiredOption('--to <id>', 'who gets them: a data steward of the policy')
    .requiredOption('--reason <text>', 'what for')
    .option('--after <file>', 'the handover by which you have got them')
    .requiredOption('--out <file>', 'where the signed handover goes')
    .requiredOption(...KEY_OPTION)
    .addHelpText(
      'after',
      '\nExample:\n  custody data give ./digits --source digits --to dana --reason "for the classifier" --out 1.json --key archive',
    )
    .action(connected(async () => (await import('../actions/data.js')).give));
  data
    .command('register <folder>')
    .description('vouch for data: every byte and every handover is checked before anything is trained on them')
    .requiredOption('--source <name>', 'what the data are called')
    .requiredOption('--publisher <id>', 'whose they are: a publisher of the policy')
    .requiredOption('--licence <text>', 'their licence, as SPDX writes it')
    .requiredOption('--origin <text>', 'where the publisher has them for everybody')
    .option('--handover <file...>', 'each signed handover, in their order')
    .requiredOption(...KEY_OPTION)
    .addHelpText(
      'after',
      '\nExample:\n  custody data register ./digits --source digits --publisher archive --licence CC-BY-4.0 --origin https://doi.org/10.24432/C50P49 --handover 1.json --key dana',
    )
    .action(connected(async () => (await import('../actions/data.js')).register));
  data
    .command('verify <source> [folder]')
    .description('check the newest statement about data, or one by its digest, and the files in a folder against it')
    .addHelpText('after', '\nExample:\n  custody data verify digits ./digits')
    .action(action(async () => (await import('../actions/data.js')).verify));
  data
    .command('chain <source>')
    .description('who gave the data to whom, and when, of everything that was registered under a name')
    .addHelpText('after', '\nExample:\n  custody data chain digits')
    .action(action(async () => (await import('../actions/data.js')).chain));
}
