import type { Command } from 'commander';
import { connected, KEY_OPTION } from '../session.js';

export function noticeCommands(program: Command): void {
  const notice = program.command('notice').description('answers to the notice of a retirement');

  notice
    .command('acknowledge <release>')
    .description('take note, for a consumer that you own, that a release is going to be retired')
    .requiredOption('--consumer <id>', 'the consumer that was told')
    .requiredOption(...KEY_OPTION)
    .addHelpText('after', '\nExample:\n  custody notice acknowledge digits@1.0.0 --consumer checkout --key carol')
    .action(connected(async () => (await import('../actions/notice.js')).acknowledge));

  notice
    .command('waive <release>')
    .description(
      'let a retirement go on without the acknowledgement of a consumer; takes the role that the policy names',
    )
    .requiredOption('--consumer <id>', 'the consumer that does not answer')
    .requiredOption('--reason <text>', 'kept with the waiver')
    .requiredOption(...KEY_OPTION)
    .addHelpText(
      'after',
      "\nExample:\n  custody notice waive digits@1.0.0 --consumer checkout --reason 'it was switched off in May' --key sam",
    )
    .action(connected(async () => (await import('../actions/notice.js')).waive));
}
