import { Option, type Command } from 'commander';
import { action } from '../session.js';

export function reportCommand(program: Command): void {
  program
    .command('report <model@version>')
    .description('print what the validation of a release found: each case and threshold with its verdict')
    .addOption(new Option('--as <form>', 'in this form, on stdout').choices(['html', 'junit', 'sarif']))
    .addHelpText(
      'after',
      '\nExamples:\n  custody report digits@1.0.0\n  custody report digits@1.0.0 --as html > report.html\n  custody report digits@1.0.0 --as junit > report.xml',
    )
    .action(action(async () => (await import('../actions/report.js')).report));
}
