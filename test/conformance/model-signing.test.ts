import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative, sep } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { generateKey, importPrivateKey } from '../../formats/keys.js';
import { signOms, verifyOms } from '../../formats/oms.js';
import type { OmsResource } from '../../formats/oms.js';
import { sha256 } from '../../formats/sha256.js';

const python = process.env['CUSTODY_PYTHON'];
const mismatch = (text: string) =>
  expect.objectContaining({ code: 'DIGEST_MISMATCH', message: expect.stringContaining(text) as string });

test.runIf(python === undefined && process.env['CI'] !== undefined)(
  'CUSTODY_PYTHON names a python with model-signing',
  () => {
    expect.fail('CUSTODY_PYTHON is not set: run through npm test, which installs model-signing and sets it');
  },
);

/** Names that tell the orders of code points, UTF-16 units and path parts from one another. */
const FILES = {
  'config.json': '{}',
  'custody.json': '{"files":[]}',
  'weights/a.safetensors': 'weights a',
  'weights/b.safetensors': 'weights b',
  'weights-old/a.safetensors': 'old weights',
  '\u{1f600}.txt': 'beyond the basic plane',
  '\uff5a.txt': 'within the basic plane',
};

/** What may happen to a model between its signing and its loading, and how `verifyOms` names it. */
const CHANGES: [string, (model: string) => Promise<void>, string][] = [
  ['a flipped bit', (model) => flipBit(join(model, 'weights/a.safetensors')), 'changed: "weights/a.safetensors"'],
  ['an added file', (model) => writeFile(join(model, 'weights/evil.py'), ''), 'added: "weights/evil.py"'],
  ['a removed file', (model) => rm(join(model, 'custody.json')), 'missing: "custody.json"'],
  // Between the same neighbours, so that the root digest stays as it was.
  ['a renamed file', (model) => rename(join(model, 'config.json'), join(model, 'config.jsoo')), 'added: "config.jsoo"'],
];

describe.skipIf(python === undefined).each(['ecdsa-p256', 'ecdsa-p384'] as const)(
  'model_signing 1.1.1 with %s',
  (algorithm) => {
    const { privatePem, publicPem } = generateKey(algorithm);
    const key = importPrivateKey(privatePem);
    let root: string;
    let model: string;
    let bundle: string;

    beforeAll(async () => {
      root = await mkdtemp(join(tmpdir(), 'custody-oms-'));
      await writeFile(join(root, 'private.pem'), privatePem, { mode: 0o600 });
      await writeFile(join(root, 'public.pem'), publicPem);
      await writeFile(join(root, 'other.pem'), generateKey(algorithm).publicPem);
      model = join(root, 'model');
      bundle = join(root, 'model.sig');
    });

    afterAll(() => rm(root, { recursive: true }));

    beforeEach(async () => {
      await rm(model, { recursive: true, force: true });
      for (const [name, content] of Object.entries(FILES)) {
        await mkdir(dirname(join(model, name)), { recursive: true });
        await writeFile(join(model, name), content);
      }
    });

    const weSign = async () => writeFile(bundle, signOms('model', await resourcesOf(model), key));
    const weVerify = async () => verifyOms(await readFile(bundle), [key], await resourcesOf(model));
    const theySign = async (...options: string[]) => {
      const privateKey = join(root, 'private.pem');
      const result = await modelSigning(
        'sign',
        'key',
        '--private_key',
        privateKey,
        '--signature',
        bundle,
        ...options,
        model,
      );
      expect(result).toMatchObject({ output: expect.stringContaining('Signing succeeded') as string, code: 0 });
    };
    const theyVerify = (publicKey = 'public.pem') =>
      modelSigning('verify', 'key', '--public_key', join(root, publicKey), '--signature', bundle, model);
    const succeeded = { output: expect.stringContaining('Verification succeeded') as string, code: 0 };
    const failed = { output: expect.stringContaining('Verification failed') as string, code: 1 };

    test('accepts the bundle that we make, and only with our key', async () => {
      await weSign();
      expect(await theyVerify()).toMatchObject(succeeded);
      expect(await theyVerify('other.pem')).toMatchObject(failed);
    });

    test.each(CHANGES)('refuses our bundle after %s', async (_, change) => {
      await weSign();
      await change(model);
      expect(await theyVerify()).toMatchObject(failed);
    });

    test('makes a bundle that we accept, and only with its key', async () => {
      await theySign();
      expect(await weVerify()).toEqual({ keyId: key.keyId });
      const stranger = importPrivateKey(generateKey(algorithm).privatePem);
      const bytes = await readFile(bundle);
      const resources = await resourcesOf(model);
      expect(() => verifyOms(bytes, [stranger], resources)).toThrow(
        expect.objectContaining({ code: 'SIGNATURE_INVALID' }),
      );
    });

    test.each(CHANGES)('makes a bundle that we refuse after %s', async (_, change, told) => {
      await theySign();
      await change(model);
      await expect(weVerify()).rejects.toThrow(mismatch(told));
    });

    test('makes a bundle that hides files from itself, but not from us', async () => {
      await mkdir(join(model, 'payload'));
      await writeFile(join(model, 'payload/evil.py'), '');
      await writeFile(join(model, '.gitattributes'), '');
      await theySign('--ignore-paths', join(model, 'payload'));
      expect(await theyVerify()).toMatchObject(succeeded);
      await expect(weVerify()).rejects.toThrow(mismatch('payload/evil.py'));
      await rm(join(model, 'payload'), { recursive: true });
      await expect(weVerify()).rejects.toThrow(mismatch('.gitattributes'));
      await rm(join(model, '.gitattributes'));
      expect(await weVerify()).toEqual({ keyId: key.keyId });
    });
  },
  60_000,
);

function modelSigning(...args: string[]): Promise<{ code: number | string; output: string }> {
  const command = join(dirname(python ?? ''), 'model_signing');
  return new Promise((resolve) => {
    execFile(command, args, { timeout: 30_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : (error.code ?? String(error.signal)), output: stdout + stderr });
    });
  });
}

async function resourcesOf(model: string): Promise<OmsResource[]> {
  const entries = await readdir(model, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Promise.all(
    files.map(async (file) => ({
      name: relative(model, file).split(sep).join('/'),
      sha256: sha256(await readFile(file)),
    })),
  );
}

async function flipBit(file: string): Promise<void> {
  const bytes = await readFile(file);
  bytes[0] = (bytes[0] ?? 0) ^ 1;
  await writeFile(file, bytes);
}
