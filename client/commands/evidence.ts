import type { Command } from 'commander';
import { action, KEY_OPTION } from '../session.js';

export function evidenceCommands(program: Command): void {
  const evidence = program
    .command('evidence')
    .argument('<model@version>')
    .description('make the dossier of a release, for whoever has to judge it without this stack: for auditors')
    .option(...KEY_OPTION)
    .option('--out <folder>', 'where to, which must not be there yet: by default evidence-<model>-<version>')
    .addHelpText(
      'after',
      '\nExamples:\n  custody evidence digits@1.0.0 --key ada\n  custody evidence verify evidence-digits-1.0.0 --root root.json --log-key log.vkey',
    )
    .action(action(async () => (await import('../actions/evidence.js')).makeEvidence));
  evidence
    .command('verify <folder>')
    .description('check a dossier and everything that it says, with nothing but public keys')
    .option('--root <file>', 'the pinned root of its environment, where there is no stack')
    .option('--log-key <key>', "the log's key, or a file with it, where there is no stack")
    .addHelpText(
      'after',
      '\nExample:\n  custody evidence verify evidence-digits-1.0.0 --root root.json --log-key log.vkey',
    )
    .action(action(async () => (await import('../actions/evidence.js')).verifyEvidence));
}
