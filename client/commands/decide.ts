import type { Command } from 'commander';
import { connected, KEY_OPTION } from '../session.js';

export function decisionCommands(program: Command): void {
  program
    .command('approvals')
    .description('what waits for people')
    .action(connected(async () => (await import('../actions/decide.js')).listGates));

  for (const decision of ['approve', 'reject'] as const)
    program
      .command(`${decision} <requestId>`)
      .description(`${decision} a request, after it was shown as it lies in the store`)
      .requiredOption(...KEY_OPTION)
      .option('--reason <text>', 'kept with the decision')
      .option('--yes', 'do not ask')
      .option('--print <file>', 'write the signed decision to a file instead of sending it')
      .addHelpText('after', `\nExample:\n  custody ${decision} deploy-digits-1.0.0-1a2b3c4d --key alice`)
      .action(connected(async () => (await import('../actions/decide.js'))[decision]));
}
