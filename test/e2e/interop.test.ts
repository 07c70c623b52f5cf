import { appendFileSync, cpSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ask } from '../../client/audit.js';
import { lifecycleStatus } from '../../client/messages.js';
import { askAuditor } from '../../client/requests.js';
import { parseManifest } from '../../formats/manifest.js';
import { sha256 } from '../../formats/sha256.js';
import { Bench, environment, MODEL, run, type Ended } from './harness.js';
import { runTink } from '../support/tink.js';
import { until } from './support/until.js';

interface Printed {
  readonly file: string;
  readonly update: string;
  readonly signal: string;
}

let bench: Bench;

beforeAll(async () => {
  bench = await Bench.start();
});

afterAll(() => bench.stop());

async function printed(...args: string[]): Promise<Printed> {
  const ended = await bench.cli('--json', ...args);
  expect(ended).toMatchObject({ code: 0 });
  return JSON.parse(ended.stdout) as Printed;
}

const python = (): string => environment('CUSTODY_PYTHON');
const modelSigning = (...args: string[]): Promise<Ended> => run(join(dirname(python()), 'model_signing'), args);

/** A private or public key of the development environment, as a file. */
function publicKey(id: string): string {
  const file = join(bench.folder, `${id}.pub.pem`);
  writeFileSync(file, bench.key(id).pem);
  return file;
}

async function progress(version: string) {
  return (await lifecycleStatus(bench.custody, { model: MODEL, version })).progress;
}

async function stored(digest: string): Promise<Buffer> {
  return bench.custody.records.getBytes(digest);
}

describe('the plain Temporal CLI, with the file and the commands that custody prints', () => {
  test('approves by an update, whose caller hears the verdict', async () => {
    await bench.start(await bench.source('1.0.0'));
    const { gate } = await bench.openGate('1.0.0');
    const { update } = await printed(
      'approve',
      gate.requestId,
      '--key',
      'alice',
      '--print',
      join(bench.folder, 'a.json'),
    );
    const ended = await bench.shell(update);
    expect(ended, ended.stderr).toMatchObject({ code: 0 });
    expect(ended.stdout).toContain('alice');
    await bench.reached('1.0.0', 'in service');
    expect(await bench.call()).toMatchObject({ status: 200, version: '1.0.0' });
  });

  test('approves by a signal a release that model_signing has signed', async () => {
    const source = await bench.source('1.0.1');
    rmSync(source.bundle);
    const signed = await modelSigning(
      ...['sign', 'key', '--private_key', bench.stack.layout.key('trainer')],
      ...['--signature', source.bundle, source.folder],
    );
    expect(signed, signed.stderr).toMatchObject({ code: 0 });
    await bench.start(source);
    const { gate } = await bench.openGate('1.0.1');
    expect((await progress('1.0.1')).ingested).toMatchObject({ release: source.release, producer: 'trainer' });
    const { bundle } = (await progress('1.0.1')).ingested ?? { bundle: '' };
    expect(await stored(bundle)).toEqual(readFileSync(source.bundle));

    const { signal } = await printed(
      'approve',
      gate.requestId,
      '--key',
      'bob',
      '--print',
      join(bench.folder, 'b.json'),
    );
    const ended = await bench.shell(signal);
    expect(ended, ended.stderr).toMatchObject({ code: 0 });
    await bench.reached('1.0.1', 'in service');
    await bench.answers({ status: 200, version: '1.0.1' });
  });

  test.each(['update', 'signal'] as const)('kills by %s', async (way) => {
    const reason = `stopped by ${way}`;
    const order = await printed(
      ...['kill', MODEL, '--reason', reason, '--key', 'oscar', '--print', join(bench.folder, `${way}.json`)],
    );
    const ended = await bench.shell(order[way]);
    expect(ended, ended.stderr).toMatchObject({ code: 0 });
    await bench.answers({ status: 503, reason });
    await bench.restore();
  });

  test('is told why when an update is refused', async () => {
    const order = await printed(
      ...['kill', MODEL, '--reason', 'x', '--key', 'alice', '--print', join(bench.folder, 'forged.json')],
    );
    const ended = await bench.shell(order.update);
    expect(ended.code).not.toBe(0);
    expect(ended.stderr + ended.stdout).toContain('alice may not stop digits: that takes the role operator');
    expect(await bench.call()).toMatchObject({ status: 200 });
  });
});

describe('model_signing 1.1.1 on the release that serves', () => {
  let release: string;
  let signature: string;

  beforeAll(async () => {
    const { ingested, signed } = await progress('1.0.0');
    release = join(bench.state, 'zones', 'serving', 'state', 'releases', ingested?.release ?? '');
    signature = join(bench.folder, 'release.sig.json');
    writeFileSync(signature, await stored(signed?.signature ?? ''));
  });

  const verify = (folder: string, key: string): Promise<Ended> =>
    modelSigning('verify', 'key', '--public_key', publicKey(key), '--signature', signature, folder);

  test("accepts Custody's signature, by the release signer's key alone", async () => {
    const accepted = await verify(release, 'release-signer');
    expect(accepted.stdout + accepted.stderr).toContain('Verification succeeded');
    expect(accepted.code).toBe(0);
    expect((await verify(release, 'trainer')).code).not.toBe(0);
  });

  test.each<[string, (folder: string) => void]>([
    ['a flipped bit', (folder) => flip(join(folder, 'weights.safetensors'))],
    ['a flipped bit in custody.json', (folder) => flip(join(folder, 'custody.json'))],
    ['an added file', (folder) => writeFileSync(join(folder, 'evil.mjs'), '')],
    ['a longer file', (folder) => appendFileSync(join(folder, 'README.md'), ' ')],
    ['a renamed file', (folder) => renameSync(join(folder, 'labels.json'), join(folder, 'labelz.json'))],
    ['a removed file', (folder) => rmSync(join(folder, 'dependencies.lock.json'))],
  ])('refuses it after %s', async (_, change) => {
    const copy = join(bench.folder, 'changed');
    rmSync(copy, { recursive: true, force: true });
    cpSync(release, copy, { recursive: true });
    expect((await verify(copy, 'release-signer')).code).toBe(0);
    await run('chmod', ['-R', 'u+w', copy]);
    change(copy);
    const refused = await verify(copy, 'release-signer');
    expect(refused.stdout + refused.stderr).toContain('Verification failed');
    expect(refused.code).not.toBe(0);
  });
});

describe('Google Tink on the blobs in the store', () => {
  interface Entry {
    readonly sha256: string;
    readonly blob: string;
    readonly stored: { readonly versionId: string } | null;
  }
  const vault = (...parts: string[]): string => join(bench.state, 'zones', 'vault', 'state', ...parts);

  async function decrypt(key: Buffer, associatedData: string, source: string): Promise<Buffer> {
    const target = `${source}.plain`;
    const answer = await runTink(python(), { action: 'decrypt', key, associatedData, source, target });
    if (answer !== 'done') throw new Error(`Tink answers ${answer}`);
    return readFileSync(target);
  }

  test('decrypts every file of a release with its key, bound to its plaintext', async () => {
    const { ingested } = await progress('1.0.0');
    const { files } = parseManifest(
      await bench.custody.records.getBytes(ingested?.release ?? '', (digest) => `manifests/${digest}`),
    );
    const weights = files.find(({ path }) => path === 'weights.safetensors');
    const entries = readdirSync(vault('entries')).map(
      (name) => JSON.parse(readFileSync(vault('entries', name), 'utf8')) as Entry,
    );
    for (const { path, sha256: digest } of files) {
      const entry = entries.find((each) => each.sha256 === digest);
      if (entry?.stored == null) throw new Error(`the vault knows nothing of ${path}`);
      const cipher = join(bench.folder, 'blob');
      const chunks: Buffer[] = [];
      const blob = await bench.custody.records.bucket.readStream(`blobs/${entry.blob}`, entry.stored.versionId);
      for await (const chunk of blob) chunks.push(chunk as Buffer);
      writeFileSync(cipher, Buffer.concat(chunks));
      const key = readFileSync(vault('keys', entry.blob));
      expect(sha256(await decrypt(key, digest, cipher)), path).toBe(digest);
      if (digest === weights?.sha256) await expect(decrypt(key, sha256('another'), cipher)).rejects.toThrow();
    }
  });
});

describe("Tessera's fsck", () => {
  test('accepts the audit log at the address that an auditor is given', async () => {
    const found = await ask(bench.custody, askAuditor(await bench.signer('ada'), { question: 'log' }));
    if (found.question !== 'log') throw new Error('the desk answered another question');
    const vkey = join(bench.folder, 'vkey');
    writeFileSync(vkey, found.vkey);
    const url = new URL(found.path, bench.custody.description.desk).href;
    const fsck = environment('CUSTODY_FSCK');
    const said = await until('the verdict of fsck', 180, async () => {
      const { stdout, stderr } = await run(fsck, ['-ui=false', '-N=4', '-storage_url', url, '-public_key', vkey]);
      return stdout + stderr;
    });
    expect(said).toContain("Successfully fsck'd");
    expect(found.size).toBeGreaterThan(20);
    expect(found.vkey).toBe(bench.custody.description.audit.vkey);
  });
});

function flip(file: string): void {
  const bytes = readFileSync(file);
  const at = bytes.length - 1;
  bytes.writeUInt8((bytes[at] ?? 0) ^ 1, at);
  writeFileSync(file, bytes);
}
