import { chmodSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { readSigner } from '../../client/keys.js';
import { pae, signEnvelope, verifyEnvelope } from '../../formats/dsse.js';
import { importPublicKey, SSH_ALGORITHMS } from '../../formats/keys.js';
import { importSshKey } from '../../formats/ssh-keys.js';
import { dearmor } from '../../formats/sshsig.js';
import { createSshKey } from '../support/ssh.js';

const folder = mkdtempSync(join(tmpdir(), 'custody-ssh-'));
const path = (name: string): string => join(folder, name);
const message = Buffer.from('the message');
const PASSPHRASE = 'correct horse';
const error = (code: string, reason: RegExp): unknown =>
  expect.objectContaining({ code, message: expect.stringMatching(reason) as string });

async function keygen(name: string, type: readonly string[], passphrase = ''): Promise<string> {
  await execa('ssh-keygen', ['-q', '-t', ...type, '-N', passphrase, '-C', 'me@here', '-f', path(name)]);
  return readFileSync(path(`${name}.pub`), 'utf8');
}

/** ssh-keygen takes the passphrase from a program where there is no terminal. */
function answerWith(passphrase: string): void {
  writeFileSync(path('askpass'), `#!/bin/sh\necho '${passphrase}'\n`);
  chmodSync(path('askpass'), 0o700);
  vi.stubEnv('SSH_ASKPASS', path('askpass'));
  vi.stubEnv('SSH_ASKPASS_REQUIRE', 'force');
}

beforeEach(() => {
  vi.stubEnv('SSH_AUTH_SOCK', undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const TYPES: [string, readonly string[], string][] = [
  ['ed25519', ['ed25519'], 'ssh-ed25519'],
  ['p256', ['ecdsa', '-b', '256'], 'ecdsa-sha2-nistp256'],
  ['p384', ['ecdsa', '-b', '384'], 'ecdsa-sha2-nistp384'],
];

describe.each(TYPES)('a key of ssh-keygen, %s', (name, type, algorithm) => {
  let line = '';
  beforeAll(async () => {
    line = await keygen(name, type);
  });

  test('is read from its private file as from its public one, and signs what we accept', () => {
    const signer = readSigner(path(name));
    const enrolled = importSshKey(line);
    expect(signer).toMatchObject({ algorithm, keyId: enrolled.keyId });
    const payload = Buffer.from('{}');
    const envelope = signEnvelope('application/json', payload, [signer]);
    expect(verifyEnvelope(envelope, [enrolled]).keyIds).toEqual([enrolled.keyId]);
    expect(enrolled.verify(pae('text/plain', payload), signer.sign(pae('application/json', payload)))).toBe(false);
  });

  test('has the id of the same key in PEM', async () => {
    const { stdout } = await execa('ssh-keygen', ['-e', '-m', 'PKCS8', '-f', path(`${name}.pub`)], { reject: false });
    // ssh-keygen 9 writes no Ed25519 in PKCS #8.
    if (name === 'ed25519') expect(stdout).toBe('');
    else expect(importPublicKey(stdout).keyId).toBe(importSshKey(line).keyId);
  });

  test.each([
    ['git', ['-n', 'git']],
    ['SHA-256', ['-n', 'custody@v1', '-O', 'hashalg=sha256']],
  ])('attack: what ssh-keygen signs for %s is refused', async (_, options) => {
    const sign = async (...how: readonly string[]) =>
      dearmor((await execa('ssh-keygen', ['-q', '-Y', 'sign', ...how, '-f', path(name)], { input: message })).stdout);
    expect(importSshKey(line).verify(message, await sign('-n', 'custody@v1'))).toBe(true);
    expect(importSshKey(line).verify(message, await sign(...options))).toBe(false);
  });
});

/** Whether `ssh-keygen -Y verify` accepts a signature by this key over the message. */
async function theyVerify(line: string, signature: Buffer, said = message): Promise<boolean> {
  writeFileSync(path('allowed'), `me@here namespaces="custody@v1" ${line}\n`);
  const armored = signature.toString('base64').replace(/.{70}/g, '$&\n');
  writeFileSync(path('sig'), `-----BEGIN SSH SIGNATURE-----\n${armored}\n-----END SSH SIGNATURE-----\n`);
  const command = ['-Y', 'verify', '-f', path('allowed'), '-I', 'me@here', '-n', 'custody@v1', '-s', path('sig')];
  const { exitCode } = await execa('ssh-keygen', command, { input: said, reject: false });
  return exitCode === 0;
}

describe.each(SSH_ALGORITHMS)('%s, as the tests sign with it', (algorithm) => {
  const key = createSshKey(algorithm);

  test('is what ssh-keygen accepts, and refuses over another message', async () => {
    const signature = key.sshsig(message);
    expect(importSshKey(key.line).verify(message, signature)).toBe(true);
    expect(await theyVerify(key.line, signature)).toBe(true);
    expect(await theyVerify(key.line, signature, Buffer.from('another'))).toBe(false);
  });
});

describe('a key that is not just a file', () => {
  let agent: { readonly socket: string; readonly pid: number };
  let held = '';
  beforeAll(async () => {
    const { stdout } = await execa('ssh-agent', ['-s', '-a', path('agent')]);
    agent = { socket: path('agent'), pid: Number(/SSH_AGENT_PID=(\d+)/.exec(stdout)?.[1]) };
    held = await keygen('held', ['ed25519']);
    await execa('ssh-add', ['-q', path('held')], { env: { SSH_AUTH_SOCK: agent.socket } });
    renameSync(path('held'), path('elsewhere'));
    await keygen('locked', ['ed25519'], PASSPHRASE);
  });
  afterAll(() => {
    process.kill(agent.pid);
  });

  test('signs through the agent that holds it', () => {
    vi.stubEnv('SSH_AUTH_SOCK', agent.socket);
    expect(existsSync(path('held'))).toBe(false);
    expect(importSshKey(held).verify(message, readSigner(path('held.pub')).sign(message))).toBe(true);
  });

  test('is said to be missing from the agent where it is', () => {
    const signer = readSigner(path('held.pub'));
    expect(() => signer.sign(message)).toThrow(error('USAGE', /ssh-keygen did not sign[^]*ssh-add -l/));
  });

  test('signs with its passphrase, which ssh-keygen asks for, and not with another', () => {
    const signer = readSigner(path('locked'));
    answerWith(PASSPHRASE);
    expect(importSshKey(readFileSync(path('locked.pub'), 'utf8')).verify(message, signer.sign(message))).toBe(true);
    answerWith('wrong');
    expect(() => signer.sign(message)).toThrow(error('USAGE', /ssh-keygen did not sign[^]*passphrase/));
  });
});

test('attack: an ssh-keygen that signs with another key, or without touch, is found out before anything is sent', async () => {
  await keygen('mine', ['ed25519']);
  const other = createSshKey('ssh-ed25519');
  const untouched = createSshKey('sk-ssh-ed25519@openssh.com');
  writeFileSync(path('untouched.pub'), `${untouched.line} me@here\n`);
  const fake = (signature: Buffer): void => {
    const armored = `-----BEGIN SSH SIGNATURE-----\n${signature.toString('base64')}\n-----END SSH SIGNATURE-----`;
    writeFileSync(path('ssh-keygen'), `#!/bin/sh\ncat >/dev/null\necho '${armored}'\n`);
    chmodSync(path('ssh-keygen'), 0o700);
    vi.stubEnv('PATH', `${folder}:${process.env['PATH'] ?? ''}`);
  };
  fake(other.sshsig(message));
  expect(() => readSigner(path('mine')).sign(message)).toThrow(error('SIGNATURE_INVALID', /by another key/));
  fake(untouched.sshsig(message, { flags: 0 }));
  expect(() => readSigner(path('untouched.pub')).sign(message)).toThrow(error('SIGNATURE_INVALID', /nobody touched/));
});

test('without ssh-keygen it is said what to install', async () => {
  await keygen('lonely', ['ed25519']);
  vi.stubEnv('PATH', folder);
  rmSync(path('ssh-keygen'), { force: true });
  expect(() => readSigner(path('lonely')).sign(message)).toThrow(error('TOOL_MISSING', /install OpenSSH 8\.2/));
});

test.each([
  ['RSA', ['rsa', '-b', '2048'], /"ssh-rsa" is not one of/],
  ['P-521', ['ecdsa', '-b', '521'], /nistp521" is not one of/],
])('attack: a key of ssh-keygen that is %s neither signs nor is enrolled', async (name, type, reason) => {
  const line = await keygen(name, type);
  expect(() => importSshKey(line)).toThrow(error('MALFORMED', reason));
  expect(() => readSigner(path(name))).toThrow(error('MALFORMED', reason));
  expect(() => readSigner(path(`${name}.pub`))).toThrow(error('MALFORMED', reason));
});

test('there is no key file: it is said so', () => {
  expect(() => readSigner(path('nothing'))).toThrow(error('INPUT_MISSING', /there is no key file/));
});
