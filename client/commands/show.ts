import type { Command } from 'commander';
import { action } from '../session.js';

export function showCommand(program: Command): void {
  program
    .command('show <model@version>')
    .description('print the provenance record of a release, each line with the check that was just made of it')
    .addHelpText('after', '\nExamples:\n  custody show digits@1.0.0\n  custody show digits@1.0.0 --json')
    .action(action(async () => (await import('../actions/show.js')).show));
}
