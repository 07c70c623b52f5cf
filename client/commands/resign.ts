import type { Command } from 'commander';
import { connected, KEY_OPTION } from '../session.js';

export function resignCommand(program: Command): void {
  program
    .command('resign [release]')
    .description('move a release, or all that live, to the release key of today: before the old one leaves the policy')
    .option('--all', 'every release that has been signed and has not ended')
    .requiredOption(...KEY_OPTION)
    .addHelpText('after', '\nExamples:\n  custody resign digits@1.0.0 --key oscar\n  custody resign --all --key oscar')
    .action(connected(async () => (await import('../actions/resign.js')).resign));
}
