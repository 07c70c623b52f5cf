import type { Command } from 'commander';
import { action } from '../session.js';

export function doctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('whether everything Custody needs is there and answers')
    .option('--store', "prove the store WORM again, with the administrator's credential")
    .option(
      '--isolation',
      'try every credential of this environment and of those of --with on every service of the others',
    )
    .option('--with <folder...>', 'with --isolation: the state folders of other environments on this host')
    .addHelpText('after', '\nExample:\n  custody doctor --isolation --state prod --with test dev')
    .action(action(async () => (await import('../actions/doctor.js')).doctor));
}
