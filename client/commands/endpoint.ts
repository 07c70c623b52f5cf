import type { Command } from 'commander';
import { action, connected, KEY_OPTION } from '../session.js';

export function endpointCommands(program: Command): void {
  program
    .command('kill <model>')
    .description('stop an endpoint at once: callers get 503 with the reason')
    .requiredOption('--reason <text>', 'told to callers')
    .requiredOption(...KEY_OPTION)
    .option(
      '--direct',
      'straight to the gateways; without it, they are told so where Temporal or control does not answer',
    )
    .option('--print <file>', 'write the signed order to a file instead of sending it')
    .addHelpText('after', "\nExample:\n  custody kill digits --reason 'poisoned data' --key oscar")
    .action(action(async () => (await import('../actions/kill.js')).kill));

  program
    .command('restore <model>')
    .description('ask to lift every kill of an endpoint; a quorum of others must approve')
    .requiredOption(...KEY_OPTION)
    .addHelpText('after', '\nExample:\n  custody restore digits --key otto')
    .action(connected(async () => (await import('../actions/endpoint.js')).restore));

  program
    .command('alert <model[@version]>')
    .description('say that a model is not safe: ends its rollout or takes it back, as the policy allows')
    .requiredOption('--reason <text>', 'shown to people, at most 500 characters')
    .requiredOption(...KEY_OPTION)
    .option('--severity <severity>', 'critical, or warning: then people are told, and nothing is changed', 'critical')
    .option('--print <file>', 'write the signed alert to a file instead of sending it')
    .addHelpText('after', "\nExample:\n  custody alert digits@1.1.0 --reason 'it leaks its prompts' --key mona")
    .action(connected(async () => (await import('../actions/alert.js')).alert));

  program
    .command('rollback <model>')
    .description('go back to a release that is kept warm, or stop the rollout under way')
    .option('--to <version>', 'which one; by default the one before')
    .requiredOption('--reason <text>', 'kept with the order')
    .requiredOption(...KEY_OPTION)
    .addHelpText('after', "\nExample:\n  custody rollback digits --to 1.0.0 --reason 'slower than before' --key oscar")
    .action(connected(async () => (await import('../actions/endpoint.js')).rollback));
}
