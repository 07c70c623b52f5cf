import type { Command } from 'commander';
import { action } from '../session.js';

export function certificateCommands(program: Command): void {
  const certificate = program.command('certificate').description('certificates of destruction');

  certificate
    .command('export <release>')
    .description('write the certificate of a retired release into a file, with everything that it rests on')
    .option('--out <file>', 'where to: by default certificate-<model>-<version>.json')
    .addHelpText('after', '\nExample:\n  custody certificate export digits@1.0.0')
    .action(action(async () => (await import('../actions/certificate.js')).exportCertificate));

  certificate
    .command('verify <file>')
    .description('check a certificate and everything that it rests on, with nothing but the pinned root')
    .option('--root <file>', 'the pinned root of its environment, where there is no stack')
    .addHelpText('after', '\nExample:\n  custody certificate verify certificate-digits-1.0.0.json --root root.json')
    .action(action(async () => (await import('../actions/certificate.js')).verifyCertificateFile));

  certificate
    .command('page <file>')
    .description('make a page for people of a certificate, once everything in it is checked')
    .option('--root <file>', 'the pinned root of its environment, where there is no stack')
    .option('--out <file>', 'where to: by default certificate-<model>-<version>.html')
    .addHelpText('after', '\nExample:\n  custody certificate page certificate-digits-1.0.0.json --root root.json')
    .action(action(async () => (await import('../actions/certificate.js')).pageOfCertificate));
}
