import type { Command } from 'commander';
import { connected, KEY_OPTION } from '../session.js';

export function promoteCommand(program: Command): void {
  program
    .command('promote <release>')
    .description('have a release that serves verified for the next environment, and take it along')
    .requiredOption('--files <folder>', "the producer's release folder: no key leaves the vault for it")
    .option('--out <folder>', 'where to, which must not be there yet: by default promotion-<model>-<version>')
    .requiredOption(...KEY_OPTION)
    .addHelpText('after', '\nExample:\n  custody promote digits@1.0.0 --files ./release --key otto')
    .action(connected(async () => (await import('../actions/promote.js')).promote));
}
