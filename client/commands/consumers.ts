import type { Command } from 'commander';
import { action, connected, KEY_OPTION } from '../session.js';

export function consumerCommands(program: Command): void {
  const consumers = program.command('consumers').description('who depends on which model');
  consumers
    .command('show <model>', { isDefault: true })
    .description('everybody who depends on a model, also through other models: declared, or seen by the gateway')
    .addHelpText('after', '\nExample:\n  custody consumers digits')
    .action(action(async () => (await import('../actions/consumers.js')).show));
  consumers
    .command('list')
    .description('every consumer that has been declared')
    .addHelpText('after', '\nExample:\n  custody consumers list --json')
    .action(action(async () => (await import('../actions/consumers.js')).list));
  consumers
    .command('declare <id>')
    .description(
      'say of a system that it depends on models, and by what gateways know it; what is left out stays as it was',
    )
    .option('--model <name...>', 'the models whose endpoints it calls')
    .option('--endpoint <model>', 'the model whose endpoint it is itself')
    .option('--owner <id>', 'who answers for it: somebody of the policy; by default whose key signs')
    .option('--criticality <word>', 'low, normal, high or critical')
    .option('--contact <id>', 'its entry in the directory of addresses; by default its own id')
    .option('--token <file>', 'the file with its bearer token; made where there is none')
    .option('--certificate <file>', 'its client certificate (PEM): known by its public key')
    .option('--subject <name>', 'the subject of its client certificates, like "O=Acme, CN=checkout"')
    .option('--days <count>', 'for how long', '90')
    .requiredOption(...KEY_OPTION)
    .addHelpText(
      'after',
      '\nExamples:\n  custody consumers declare checkout --model digits --criticality critical --token checkout.token --key oscar\n  custody consumers declare checkout --key oscar   # the same again, for 90 days more',
    )
    .action(connected(async () => (await import('../actions/consumers.js')).declare));
  consumers
    .command('remove <id>')
    .description('say of a system that it depends on nothing any more: its token and its certificate prove nothing')
    .requiredOption(...KEY_OPTION)
    .addHelpText('after', '\nExample:\n  custody consumers remove checkout --key oscar')
    .action(connected(async () => (await import('../actions/consumers.js')).remove));

  program
    .command('graph [model]')
    .description('who needs whom: endpoints, releases, what they were made from, consumers')
    .option('--format <word>', 'text, dot (Graphviz) or mermaid', 'text')
    .addHelpText('after', '\nExamples:\n  custody graph\n  custody graph digits --format dot | dot -Tsvg > digits.svg')
    .action(action(async () => (await import('../actions/consumers.js')).graph));
}
