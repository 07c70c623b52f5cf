import type { Command } from 'commander';
import { action, connected, KEY_OPTION } from '../session.js';

const REPOSITORY = ['--repository <name>', 'what the policy calls the repository'] as const;

export function codeCommands(program: Command): void {
  const code = program.command('code').description('what models may be trained with, and who has reviewed it');
  code
    .command('review <folder>')
    .description('sign what you think of a commit, after you have read it; it is kept in the notes of the repository')
    .requiredOption(...REPOSITORY)
    .option('--commit <name>', 'a commit, branch or tag', 'HEAD')
    .requiredOption('--reason <text>', 'what you say of it')
    .option('--reject', 'nothing may be trained with it')
    .requiredOption(...KEY_OPTION)
    .addHelpText('after', '\nExample:\n  custody code review . --repository digits --reason "reads well" --key rita')
    .action(action(async () => (await import('../actions/code.js')).review));
  code
    .command('sign <folder>')
    .description('sign the commit that is checked out, in place: for whoever has a key of Custody’s, and no SSH key')
    .requiredOption(...KEY_OPTION)
    .addHelpText('after', '\nExample:\n  custody code sign . --key theo')
    .action(action(async () => (await import('../actions/code.js')).sign));
  code
    .command('check <repository>')
    .description(
      'whether models may be trained with a commit: branch, authors and reviews, as the training zone checks them',
    )
    .requiredOption(...REPOSITORY)
    .option('--commit <name>', 'a commit; of a folder on this host also a branch or tag', 'HEAD')
    .addHelpText('after', '\nExample:\n  custody code check . --repository digits')
    .action(action(async () => (await import('../actions/code.js')).check));
  program
    .command('train <model@version>')
    .description('ask for a training run: with reviewed code, on registered data, in the sandbox')
    .requiredOption('--trainer <name>', 'what the training zone is to run')
    .requiredOption('--code <folder>', 'a clean working copy: its commit is what is trained with')
    .requiredOption('--hyperparameters <file>', 'a file of that commit')
    .requiredOption('--data <source>', 'registered data, by name or by the digest of the statement about them')
    .option('--run <name>', 'what to call the run')
    .requiredOption(...KEY_OPTION)
    .addHelpText(
      'after',
      '\nExample:\n  custody train digits@1.3.0 --trainer digits --code . --hyperparameters hyperparameters/1.3.0.json --data digits --key ci',
    )
    .action(connected(async () => (await import('../actions/train.js')).train));
}
