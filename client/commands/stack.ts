import type { Command } from 'commander';
import { action } from '../session.js';

export function stackCommands(program: Command): void {
  program
    .command('init')
    .description('make keys and a signed policy for a development environment')
    .requiredOption('--suite <file>', 'the suite that every release must pass')
    .option('--environment <name>', 'dev, test or prod', 'dev')
    .addHelpText('after', '\nExample:\n  custody init --suite examples/digits/suite.yaml')
    .action(action(async () => (await import('../actions/stack.js')).init));

  program
    .command('dev')
    .description('bring up everything on this host, and keep it up until Ctrl-C')
    .option('--ui-port <port>', 'for the Temporal UI')
    .option('--gateway-port <port>', 'for callers')
    .option('--smtp <url>', 'the mail server that takes notices', 'smtp://127.0.0.1:1025')
    .option('--scanners <file>', 'JSON that says how other scanners are run, as in intake’s configuration')
    .addHelpText('after', '\nExamples:\n  custody dev --gateway-port 8080\n  custody dev --scanners scanners.json')
    .action(action(async () => (await import('../actions/stack.js')).dev));
}
