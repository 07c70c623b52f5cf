import type { Command } from 'commander';
import { connected, KEY_OPTION } from '../session.js';

export function overrideCommands(program: Command): void {
  program
    .command('override <release>')
    .description('lift what has failed in the validation of <model>@<version>, for a time; again: renew it')
    .requiredOption('--lift <criteria>', 'exactly what has failed, separated by commas')
    .requiredOption('--justification <text>', 'why it may serve all the same; kept for good')
    .option('--for <time>', 'how long it holds, like 90m, 12h or 7d; by default as long as the policy allows')
    .requiredOption(...KEY_OPTION)
    .option('--yes', 'do not ask')
    .option('--print <file>', 'write the signed override to a file instead of sending it')
    .addHelpText(
      'after',
      "\nExample:\n  custody override digits@1.2.0 --lift 'accuracy/digits>=0.88' --justification 'the set is out of date' --for 7d --key vera",
    )
    .action(connected(async () => (await import('../actions/override.js')).override));
}
