import type { Command } from 'commander';
import { action, connected, KEY_OPTION } from '../session.js';

export function auditCommands(program: Command): void {
  const audit = program.command('audit').description('read the audit log: for auditors, and every attempt is in it');
  audit
    .command('verify')
    .description('compute the whole log again from its entries, against the key that signs it')
    .option(...KEY_OPTION)
    .option('--from <folder>', 'not from the stack, but what `audit export` has written')
    .option('--proof <file>', 'one record, by what `audit prove` has written')
    .option('--log-key <key>', "the log's key, or a file with it, where there is no stack")
    .addHelpText(
      'after',
      `
Examples:
  custody audit verify --key ada
  custody audit verify --from log-2026 --log-key log.vkey
  custody audit verify --proof 17.tlog-proof --log-key log.vkey`,
    )
    .action(action(async () => (await import('../actions/audit.js')).verifyLog));
  audit
    .command('list')
    .description('the records of the log, after it was verified')
    .option('--model <name>', 'only of this model')
    .requiredOption(...KEY_OPTION)
    .addHelpText('after', '\nExample:\n  custody audit list --model digits --key ada')
    .action(connected(async () => (await import('../actions/audit.js')).listLog));

  audit
    .command('tail')
    .description('the last records, each proved; with --follow those that come, until Ctrl-C')
    .option('--lines <count>', 'how many of those that are there', '10')
    .option('--follow', 'go on')
    .requiredOption(...KEY_OPTION)
    .addHelpText('after', '\nExample:\n  custody audit tail --follow --key ada')
    .action(connected(async () => (await import('../actions/audit.js')).tailLog));
  audit
    .command('show <index>')
    .description('one record, proved')
    .requiredOption(...KEY_OPTION)
    .addHelpText('after', '\nExample:\n  custody audit show 17 --key ada')
    .action(connected(async () => (await import('../actions/audit.js')).showRecord));
  audit
    .command('prove <index>')
    .description('one record with its proof, for somebody who has neither the log nor this stack')
    .requiredOption(...KEY_OPTION)
    .addHelpText('after', '\nExample:\n  custody audit prove 17 --key ada > 17.tlog-proof')
    .action(connected(async () => (await import('../actions/audit.js')).proveRecord));
  audit
    .command('export <folder>')
    .description('take the log along, verified; into the same folder again, what came since')
    .requiredOption(...KEY_OPTION)
    .addHelpText('after', '\nExample:\n  custody audit export log-2026 --key ada')
    .action(connected(async () => (await import('../actions/audit.js')).takeLogAlong));
  audit
    .command('forward <url>')
    .description('post every record to a webhook as a CloudEvent, in order, each at least once; goes on where it was')
    .requiredOption('--cursor <file>', 'how far it has come: one file for each webhook, made where there is none')
    .option('--follow', 'go on with those that come, until Ctrl-C')
    .option('--secret <file>', 'sign by Standard Webhooks; the file holds whsec_…')
    .requiredOption(...KEY_OPTION)
    .addHelpText(
      'after',
      `
Example:
  custody audit forward https://siem.example/custody --cursor siem.cursor --secret siem.secret --follow --key ada`,
    )
    .action(connected(async () => (await import('../actions/forward.js')).forwardLog));

  audit
    .command('keys')
    .description(
      "the log's keys as the desk tells them, if one that is known here has signed that: known here from then on",
    )
    .addHelpText('after', '\nExample:\n  custody audit keys > log.vkey')
    .action(action(async () => (await import('../actions/log-keys.js')).showKeys));
  audit
    .command('rotate')
    .description('make a new key for the log: the one before hands the log over to it when control starts again')
    .addHelpText('after', '\nExample:\n  custody audit rotate')
    .action(action(async () => (await import('../actions/log-keys.js')).rotate));

  program
    .command('state <model>')
    .description('what an endpoint was at a time: by the audit log, and by what its digests stand for')
    .option('--at <time>', 'like 2026-01-31T12:00:00.000Z; by default now')
    .option(...KEY_OPTION)
    .option('--from <folder>', 'not from the stack, but by every record that `audit export` has written')
    .option('--log-key <key>', "the log's key, or a file with it, where there is no stack")
    .option(
      '--materialise <folder>',
      'restore every release of its route there, whole and verified; on the host of the vault',
    )
    .addHelpText(
      'after',
      `
Examples:
  custody state digits --at 2026-11-24T12:00:00.000Z --key ada
  custody state digits --at 2026-11-24T12:00:00.000Z --key ada --materialise as-it-was
  custody state digits --at 2026-11-24T12:00:00.000Z --from log-2026 --log-key log.vkey`,
    )
    .action(action(async () => (await import('../actions/state.js')).stateAt));
}
