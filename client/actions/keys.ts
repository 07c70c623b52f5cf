import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { CustodyError } from '../../domain/errors.js';
import { generateKey, type KeyAlgorithm } from '../../formats/keys.js';
import { importSshKey } from '../../formats/ssh-keys.js';
import { answer, talk } from '../output.js';
import type { Session } from '../session.js';

interface Options {
  readonly type: KeyAlgorithm;
  readonly out: string;
  readonly ssh?: string;
}

export async function keygen(session: Session, { type, out, ssh }: Options): Promise<void> {
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
