import { randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sha256 } from '../../formats/sha256.js';
import { ciphertextSize, decryptStream, encryptStream } from '../../formats/streaming-aead.js';
import { runTink } from '../support/tink.js';

const python = process.env['CUSTODY_PYTHON'];

test.runIf(python === undefined && process.env['CI'] !== undefined)('CUSTODY_PYTHON names a python with tink', () => {
  expect.fail('CUSTODY_PYTHON is not set: run through npm test, which installs tink and sets it');
});

const MIB = 1024 * 1024;
const FIRST = MIB - 56;
const NEXT = MIB - 16;
/** Around the ends of the first and the second segment. */
const SIZES = [0, 1, FIRST - 1, FIRST, FIRST + 1, FIRST + NEXT - 1, FIRST + NEXT, FIRST + NEXT + 1];

describe.skipIf(python === undefined)('Google Tink, AES256_GCM_HKDF_1MB', () => {
  const key = randomBytes(32);
  let folder: string;
  let plain: string;
  let cipher: string;
  let result: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'custody-tink-'));
    [plain, cipher, result] = ['plain', 'cipher', 'result'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
  });

  afterAll(() => rm(folder, { recursive: true }));

  const tink = (action: 'encrypt' | 'decrypt', source: string, target: string, digest: string): Promise<string> =>
    runTink(python ?? '', { action, key, associatedData: digest, source, target });

  /** Plaintext in `plain`; answers its digest, which is what blobs are bound to. */
  async function writePlain(size: number): Promise<string> {
    const bytes = randomBytes(size);
    await writeFile(plain, bytes);
    return sha256(bytes);
  }

  const weEncrypt = (digest: string) =>
    pipeline(
      createReadStream(plain),
      (source) => encryptStream(source as AsyncIterable<Buffer>, key, Buffer.from(digest, 'hex')),
      createWriteStream(cipher),
    );

  const weDecrypt = (digest: string) =>
    pipeline(
      createReadStream(cipher),
      (source) => decryptStream(source as AsyncIterable<Buffer>, key, Buffer.from(digest, 'hex')),
      createWriteStream(result),
    );

  test.each(SIZES)('decrypts %i bytes that we have encrypted', async (size) => {
    const digest = await writePlain(size);
    await weEncrypt(digest);
    expect(await tink('decrypt', cipher, result, digest)).toBe('done');
    expect(sha256(await readFile(result))).toBe(digest);
  });

  test.each(SIZES)('encrypts %i bytes that we decrypt, into the size that we announce', async (size) => {
    const digest = await writePlain(size);
    expect(await tink('encrypt', plain, cipher, digest)).toBe('done');
    expect((await stat(cipher)).size).toBe(ciphertextSize(size));
    await weDecrypt(digest);
    expect(sha256(await readFile(result))).toBe(digest);
  });

  test('refuses, as we do, other associated data', async () => {
    const digest = await writePlain(1000);
    await weEncrypt(digest);
    expect(await tink('decrypt', cipher, result, sha256('another'))).toBe('refused');
    await expect(weDecrypt(sha256('another'))).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  });

  test('refuses, as we do, a stream cut off between two segments', async () => {
    const digest = await writePlain(FIRST + NEXT);
    await weEncrypt(digest);
    await truncate(cipher, MIB);
    expect(await tink('decrypt', cipher, result, digest)).toBe('refused');
    await expect(weDecrypt(digest)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  });
});
