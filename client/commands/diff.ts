import type { Command } from 'commander';
import { action } from '../session.js';

export function diffCommands(program: Command): void {
  program
    .command('diff <before> <after>')
    .description('what one release changes against another, and the least version that the policy demands for it')
    .option('--policy <file>', "the criteria, from this policy.yaml instead of the stack's policy")
    .addHelpText(
      'after',
      '\nEach is a folder with a custody.json, or <model>@<version>.\nExit code 3: the version is smaller than the changes demand.\n\nExamples:\n  custody diff digits@1.0.0 ./release\n  custody diff ./before ./after --policy policy.yaml --json',
    )
    .action(action(async () => (await import('../actions/diff.js')).diff));
}
