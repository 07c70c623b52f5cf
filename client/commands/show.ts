import type { Command } from 'commander';
import { action } from '../session.js';

export function showCommands(program: Command): void {
  program
    .command('ls [model]')
    .description('every release that is deployed, with what it consists of and where that comes from, checked just now')
    .option('--all', 'also those that are not, or no longer')
    .addHelpText('after', '\nExamples:\n  custody ls\n  custody ls digits --all --json')
    .action(action(async () => (await import('../actions/ls.js')).listReleases));
  program
    .command('show <model@version>')
    .description('print the provenance record of a release, each line with the check that was just made of it')
    .addHelpText('after', '\nExamples:\n  custody show digits@1.0.0\n  custody show digits@1.0.0 --json')
    .action(action(async () => (await import('../actions/show.js')).show));
}
