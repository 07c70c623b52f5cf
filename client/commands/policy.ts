import type { Command } from 'commander';
import { action, connected, KEY_OPTION } from '../session.js';

export function policyCommands(program: Command): void {
  const policy = program.command('policy').description('the signed document where everything agreed beforehand stands');
  policy
    .command('lint <file>')
    .description('say everything that is wrong or unwise in a policy.yaml, with line and column')
    .addHelpText('after', '\nExample:\n  custody policy lint policy.yaml')
    .action(action(async () => (await import('../actions/policy.js')).lint));

  policy
    .command('sign <file>')
    .description('add your signature to a policy; several root people sign in turn')
    .requiredOption(...KEY_OPTION)
    .option('--out <file>', 'the signed policy; signatures that are in it stay', 'policy.signed.json')
    .addHelpText('after', '\nExample:\n  custody policy sign policy.yaml --key rosa --out policy-2.signed.json')
    .action(action(async () => (await import('../actions/policy.js')).sign));

  policy
    .command('apply <signed>')
    .description('put the next policy into force; every process takes it up by itself')
    .addHelpText('after', '\nExample:\n  custody policy apply policy-2.signed.json')
    .action(connected(async () => (await import('../actions/policy.js')).apply));

  policy
    .command('diff <before> <after>')
    .description('what differs between two policies, and what becomes weaker: versions in force, YAML or signed files')
    .addHelpText('after', '\nExamples:\n  custody policy diff 1 2\n  custody policy diff 2 policy.yaml')
    .action(action(async () => (await import('../actions/policy.js')).diff));

  policy
    .command('show [version]')
    .description('the policy in force, or an earlier one, once the whole chain has been verified')
    .addHelpText('after', '\nExample:\n  custody policy show 1 --json')
    .action(action(async () => (await import('../actions/policy.js')).show));

  policy
    .command('schema')
    .description('the JSON Schema of policy.yaml, for editors')
    .action(action(async () => (await import('../actions/policy.js')).schema));
}
