import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { CustodyError } from '../domain/errors.js';
import type { EnvelopeSigner } from '../formats/keys.js';
import { importSshKey, importSshKeyOfPrivate, type SshPublicKey } from '../formats/ssh-keys.js';
import { assertSshSignature, dearmor, SSH_NAMESPACE } from '../formats/sshsig.js';
import { readKey } from './init.js';
import { onPath } from './stack/on-path.js';

/** How long a person may take to give a passphrase and to touch a security key. */
const SIGN_MS = 120_000;
const SSH_PUBLIC = /^[a-z0-9@.-]+ AAAA/;

/**
 * What signs for a person: a PEM file; an OpenSSH private key file, also of a security key; or an OpenSSH public key file,
 * whose private half the agent holds. For the latter two `ssh-keygen` signs, and asks for passphrase or touch.
 */
export function readSigner(file: string): EnvelopeSigner {
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  if (text.startsWith('-----BEGIN OPENSSH PRIVATE KEY-----')) return sshSigner(importSshKeyOfPrivate(text), file);
  return SSH_PUBLIC.test(text) ? sshSigner(importSshKey(text), file) : readKey(file);
}

function sshSigner(key: SshPublicKey, file: string): EnvelopeSigner {
  return {
    ...key,
    sign: (message) => {
      const signature = dearmor(askSshKeygen(file, message));
      // What nobody would accept is found out here, where the person can do something about it.
      assertSshSignature(key, message, signature);
      return signature;
    },
  };
}

/** Waits for the person, and nothing else goes on meanwhile: a command signs one thing. */
function askSshKeygen(file: string, message: Uint8Array): string {
  if (onPath('ssh-keygen') === null)
    throw new CustodyError(
      'TOOL_MISSING',
      'an SSH key signs through ssh-keygen, which is not on the PATH: install OpenSSH 8.2 or newer, or sign with a PEM key',
    );
  const { status, signal, stdout, stderr, error } = spawnSync(
    'ssh-keygen',
    ['-q', '-Y', 'sign', '-n', SSH_NAMESPACE, '-f', resolve(file)],
    {
      input: message,
      encoding: 'utf8',
      // On a terminal it tells the person to touch the key while it waits for it.
      stdio: ['pipe', 'pipe', process.stderr.isTTY ? 'inherit' : 'pipe'],
      timeout: SIGN_MS,
    },
  );
  if (status === 0) return stdout;
  const timedOut = (error as NodeJS.ErrnoException | undefined)?.code === 'ETIMEDOUT';
  const ended = error?.message ?? `it ended with ${signal ?? status}`;
  const said = timedOut ? `nobody answered for ${SIGN_MS / 1000} s` : stderr?.trim() || ended;
  const hint = file.endsWith('.pub') ? '. Is its private key in the agent? (`ssh-add -l`)' : '';
  throw new CustodyError('USAGE', `ssh-keygen did not sign with ${file}: ${said}${hint}`);
}
