import type { Command } from 'commander';
import { connected } from '../session.js';

export function reconcileCommand(program: Command): void {
  program
    .command('reconcile')
    .description('start again what ran by the records and does not run now, as after Temporal has lost its database')
    .option('--dry-run', 'only say what')
    .addHelpText('after', '\nExamples:\n  custody reconcile --dry-run\n  custody reconcile --json')
    .action(connected(async () => (await import('../actions/reconcile.js')).reconcile));
}
