import type { Command } from 'commander';
import { action } from '../session.js';

export function promptsCommand(program: Command): void {
  const prompts = program.command('prompts').description('what a release says to its model before its callers do');
  prompts
    .command('diff <before> <after>')
    .description('what differs between the prompts of two releases, line by line, from the repository that they are in')
    .requiredOption('--in <folder>', 'a working copy that has the commits of both')
    .addHelpText('after', '\nExample:\n  custody prompts diff lingo@1.0.0 lingo@1.0.1 --in ~/lingo-prompts')
    .action(action(async () => (await import('../actions/prompts.js')).diff));
}
