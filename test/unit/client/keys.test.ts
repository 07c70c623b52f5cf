import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, afterEach, beforeEach, describe, expect, test, vi, type MockInstance } from 'vitest';
import { parse } from 'yaml';
import { keyCommands } from '../../../client/commands/keys.js';
import { ownerOf, type Reading } from '../../../client/connect.js';
import { readSigner } from '../../../client/keys.js';
import type { AuthorityKey, Policy } from '../../../domain/policy.js';
import { enrolledKey } from '../../../formats/enrolled.js';
import { importPrivateKey, type SignatureVerifier } from '../../../formats/keys.js';
import { createSshKey } from '../../support/ssh.js';
import { createWorld } from '../../support/world.js';

const folder = mkdtempSync(join(tmpdir(), 'custody-keys-'));
const path = (name: string): string => join(folder, name);
let stdout: MockInstance<typeof process.stdout.write>;
let stderr: MockInstance<typeof process.stderr.write>;

beforeEach(() => {
  stdout = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  stderr = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
});
afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const said = (stream: MockInstance): string => stream.mock.calls.map(([text]) => String(text)).join('');

async function custody(...args: readonly string[]): Promise<void> {
  const program = new Command('custody')
    .option('--json', 'answer JSON')
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  keyCommands(program);
  for (const command of program.commands) command.copyInheritedSettings(program);
  await program.parseAsync(args, { from: 'user' });
}

/** The key in the line that was printed, as a policy would read it. */
function printed(): SignatureVerifier {
  const [held] = parse(said(stdout)) as readonly AuthorityKey[];
  return enrolledKey(held ?? expect.fail('no key was printed'));
}

describe('custody keygen', () => {
  test.each(['ed25519', 'ecdsa-p256', 'ecdsa-p384'] as const)(
    'makes a key of %s that only its owner reads',
    async (type) => {
      const file = path(`${type}.pem`);
      await custody('keygen', '--type', type, '--out', file);
      expect(statSync(file).mode & 0o777).toBe(0o600);
      const key = importPrivateKey(readFileSync(file, 'utf8'));
      expect(printed()).toMatchObject({ algorithm: type, keyId: key.keyId });
      expect(readSigner(file).keyId).toBe(key.keyId);
      expect(said(stdout) + said(stderr)).not.toContain('PRIVATE');
    },
  );

  test('attack: writes over nothing that is there', async () => {
    const file = path('taken.pem');
    writeFileSync(file, 'precious');
    await custody('keygen', '--out', file);
    expect(readFileSync(file, 'utf8')).toBe('precious');
    expect(said(stderr)).toContain('a key is never overwritten');
    expect(process.exitCode).toBe(2);
    expect(said(stdout)).toBe('');
  });

  test('prints the line of an SSH key, and makes nothing', async () => {
    const { line, keyId } = createSshKey('sk-ssh-ed25519@openssh.com');
    writeFileSync(path('id.pub'), `${line} "alice" {at}: home # 1\n`);
    await custody('keygen', '--ssh', path('id.pub'));
    expect(printed()).toMatchObject({ algorithm: 'sk-ssh-ed25519@openssh.com', keyId });
  });

  test('attack: prints no line for RSA', async () => {
    writeFileSync(path('rsa.pub'), 'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC7 me\n');
    await custody('keygen', '--ssh', path('rsa.pub'));
    expect(said(stdout)).toBe('');
    expect(said(stderr)).toContain('"ssh-rsa" is not one of ssh-ed25519');
    expect(process.exitCode).toBe(3);
  });

  test('says which algorithms there are, and takes no SSH key beside one to make', async () => {
    await expect(custody('keygen', '--type', 'rsa')).rejects.toThrow(/ed25519, ecdsa-p256, ecdsa-p384/);
    await expect(custody('keygen', '--type', 'ed25519', '--ssh', path('id.pub'))).rejects.toThrow(
      /cannot be used with/,
    );
  });
});

describe('whose key it is', () => {
  const laptop = createSshKey('ssh-ed25519');
  const world = createWorld({
    policy: (p: Policy) => ({
      ...p,
      authorities: p.authorities.map((held) => (held.id === 'bob' ? { ...held, keys: [{ ssh: laptop.line }] } : held)),
    }),
  });
  const reading = { records: { policies: async () => ({ newest: world.policy }) } } as unknown as Reading;

  test('is read from the policy', async () => {
    expect(await ownerOf(reading, laptop)).toBe('bob');
    expect(await ownerOf(reading, world.keys.alice)).toBe('alice');
  });

  test('attack: nobody has the key of a stranger, nor an enrolled one in another form', async () => {
    const refused = (reason: RegExp): unknown =>
      expect.objectContaining({ code: 'NOT_AUTHORISED', message: expect.stringMatching(reason) as string });
    await expect(ownerOf(reading, world.keys.mallory)).rejects.toThrow(refused(/belongs to nobody/));
    const pem = importPrivateKey(laptop.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString());
    await expect(ownerOf(reading, pem)).rejects.toThrow(refused(/bob's, enrolled as ssh-ed25519: sign with that form/));
  });
});
