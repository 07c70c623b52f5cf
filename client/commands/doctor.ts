import type { Command } from 'commander';
import { action } from '../session.js';

export function doctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('whether everything Custody needs is there and answers')
    .option('--store', "prove the store WORM again, with the administrator's credential")
    .action(action(async () => (await import('../actions/doctor.js')).doctor));
}
