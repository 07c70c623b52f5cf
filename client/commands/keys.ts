import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Option, type Command } from 'commander';
import { CustodyError } from '../../domain/errors.js';
import { generateKey, type KeyAlgorithm } from '../../formats/keys.js';
import { importSshKey } from '../../formats/ssh-keys.js';
import { answer, talk } from '../output.js';
import { action } from '../session.js';

const TYPES: readonly KeyAlgorithm[] = ['ed25519', 'ecdsa-p256', 'ecdsa-p384'];

interface Options {
  readonly type: KeyAlgorithm;
  readonly out: string;
  readonly ssh?: string;
}

export function keyCommands(program: Command): void {
  program
    .command('keygen')
    .description('make a private key, and the line that enrols it in the policy; or that line for an SSH key')
    .addOption(new Option('--type <algorithm>', 'of the key').choices(TYPES).default('ed25519'))
    .option('--out <file>', 'where to write the private key; never over another', 'key.pem')
    .addOption(
      new Option('--ssh <file>', 'an SSH public key that there is already: nothing is made').conflicts(['type', 'out']),
    )
    .addHelpText(
      'after',
      '\nExamples:\n  custody keygen --out alice.pem\n  custody keygen --type ecdsa-p256 --out producer.pem\n  custody keygen --ssh ~/.ssh/id_ed25519.pub',
    )
    .action(
      action(async (session, { type, out, ssh }: Options) => {
        if (ssh !== undefined) {
          const key = { ssh: readFileSync(ssh, 'utf8').trim() };
          const { keyId } = importSshKey(key.ssh);
          answer(session, { key, keyId }, [entry(key)]);
          return;
        }
        const { privatePem, publicPem } = generateKey(type);
        writeNew(out, privatePem);
        const key = { pem: publicPem };
        talk(`${out} is the private key: keep it to yourself. This enrols the public one:`);
        answer(session, { key, file: out }, [entry(key)]);
      }),
    );
}

/** A line for `keys:` of an authority: YAML reads JSON's strings. */
function entry(key: Readonly<Record<string, string>>): string {
  const [[kind, text] = []] = Object.entries(key);
  return `- { ${kind ?? ''}: ${JSON.stringify(text)} }`;
}

function writeNew(file: string, text: string): void {
  try {
    writeFileSync(file, text, { mode: 0o600, flag: 'wx' });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST')
      throw new CustodyError('USAGE', `${file} is there already, and a key is never overwritten: name another --out`, {
        cause,
      });
    if ((cause as NodeJS.ErrnoException).code === 'ENOSPC') rmSync(file, { force: true });
    throw cause;
  }
}
