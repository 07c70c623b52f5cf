import type { Command } from 'commander';
import { connected, KEY_OPTION } from '../session.js';

export function holdCommands(program: Command): void {
  const hold = program.command('hold').description('legal holds: what is held cannot be erased');

  hold
    .command('add <release>')
    .description('keep everything of a release, whatever anybody has agreed to, until the hold is lifted')
    .requiredOption('--reason <text>', 'kept with the order')
    .requiredOption(...KEY_OPTION)
    .addHelpText('after', "\nExample:\n  custody hold add digits@1.0.0 --reason 'case 17/2026' --key sam")
    .action(connected(async () => (await import('../actions/hold.js')).addHold));

  hold
    .command('lift <release>')
    .description('ask to lift every hold of a release; a quorum of others must approve')
    .requiredOption('--reason <text>', 'kept with the request')
    .requiredOption(...KEY_OPTION)
    .addHelpText('after', "\nExample:\n  custody hold lift digits@1.0.0 --reason 'the case is closed' --key otto")
    .action(connected(async () => (await import('../actions/hold.js')).liftHolds));
}
