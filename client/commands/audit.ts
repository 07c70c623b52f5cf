import type { Command } from 'commander';
import { connected, KEY_OPTION } from '../session.js';

export function auditCommands(program: Command): void {
  const audit = program.command('audit').description('read the audit log: for auditors, and every attempt is in it');
  audit
    .command('verify')
    .description('check the whole log against the key that signs it')
    .requiredOption(...KEY_OPTION)
    .addHelpText('after', '\nExample:\n  custody audit verify --key ada')
    .action(connected(async () => (await import('../actions/audit.js')).verifyLog));
  audit
    .command('list')
    .description('the records of the log, after it was verified')
    .option('--model <name>', 'only of this model')
    .requiredOption(...KEY_OPTION)
    .addHelpText('after', '\nExample:\n  custody audit list --model digits --key ada')
    .action(connected(async () => (await import('../actions/audit.js')).listLog));

  program
    .command('state <model>')
    .description('what an endpoint was at a time, by the audit log alone')
    .option('--at <time>', 'like 2026-01-31T12:00:00.000Z; by default now')
    .requiredOption(...KEY_OPTION)
    .addHelpText('after', '\nExample:\n  custody state digits --at 2026-11-24T12:00:00.000Z --key ada')
    .action(connected(async () => (await import('../actions/audit.js')).stateAt));
}
