import type { Command } from 'commander';
import { action, connected, KEY_OPTION } from '../session.js';

export function releaseCommands(program: Command): void {
  program
    .command('release <folder>')
    .description('put a release on its way: ingest, validate, approve, sign, roll out')
    .requiredOption('--bundle <file>', "the producer's signature over the folder")
    .option(...KEY_OPTION)
    .option('--api <url>', 'in place of a key: the api that signs for whoever holds the token')
    .option('--token-env <variable>', 'the variable of the environment that holds the OpenID Connect token')
    .option('--provenance <file>', 'how it was made; by default beside the signature, where `custody pack` puts it')
    .option('--promotion <file>', 'the verification summary of the environment that it comes from')
    .option('--emergency <file>', 'take the shorter path, with this written risk assessment (YAML), which you sign')
    .option(
      '--plan <file>',
      "steps of its own (YAML), no weaker than the policy's: slower, more of them, or with pauses",
    )
    .option('--wait', 'wait until it is in service or has been refused')
    .addHelpText(
      'after',
      '\nExamples:\n  custody release ./release --bundle release.sig.json --key ci\n  custody release ./release --bundle release.sig.json --api https://custody.example --token-env ID_TOKEN',
    )
    .action(connected(async () => (await import('../actions/release.js')).release));

  program
    .command('status <model> [version]')
    .description('where an endpoint or a release stands')
    .addHelpText('after', '\nExamples:\n  custody status digits\n  custody status digits 1.1.0 --json')
    .action(connected(async () => (await import('../actions/release.js')).status));

  program
    .command('watch [model]')
    .description('see what goes on, until Ctrl-C: releases, rollout steps, callers, errors, what waits for people')
    .addHelpText(
      'after',
      '\nExamples:\n  custody watch digits\n  custody watch | tee watch.log\n  custody watch --json',
    )
    .action(connected(async () => (await import('../actions/watch.js')).watch));

  program
    .command('retire <model> <version>')
    .description('ask for the end of a release: notice, drain, revocation, destruction of its keys, certificate')
    .requiredOption('--reason <text>', 'told to everyone who depends on it')
    .option('--instead <text>', 'what to use then: told to them and, once it is gone, to whoever calls it')
    .option('--notice <seconds>', "the notice period; at least the policy's")
    .option(
      '--fallback <version>',
      'the release, kept warm, that its callers get from then on; without it they get 410',
    )
    .option('--despite <release...>', 'what serves and was made from it: retire it all the same')
    .requiredOption(...KEY_OPTION)
    .addHelpText('after', "\nExample:\n  custody retire digits 1.0.0 --reason 'replaced by 1.1.0' --key otto")
    .action(connected(async () => (await import('../actions/retire.js')).retire));

  program
    .command('condemn <release>')
    .description(
      'stop a release for good because of a vulnerability: at once, by one security authority, with no way back',
    )
    .requiredOption('--vulnerability <id>', 'what others call it: CVE-…, GHSA-…, or an id of your own')
    .requiredOption('--reason <text>', 'told to everyone who depends on it')
    .requiredOption(...KEY_OPTION)
    .addHelpText(
      'after',
      "\nExample:\n  custody condemn digits@1.0.0 --vulnerability CVE-2026-1234 --reason 'it runs what it is told' --key sam",
    )
    .action(connected(async () => (await import('../actions/retire.js')).condemn));

  program
    .command('verify <release> [version]')
    .description('check everything behind a release, as a serving host does; or a model signature over a folder')
    .option('--bundle <file>', 'of a folder: the OpenSSF model signature over it')
    .option('--public-key <file...>', 'of a folder: whose signature counts, as PEM')
    .addHelpText(
      'after',
      '\nExamples:\n  custody verify digits 1.0.0\n  custody verify ./release --bundle release.sig.json --public-key producer.pub.pem',
    )
    .action(action(async () => (await import('../actions/verify.js')).verify));
}
