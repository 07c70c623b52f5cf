import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sha256 } from '../../formats/sha256.js';
import { ciphertextSize, decryptStream, encryptStream } from '../../formats/streaming-aead.js';

const python = process.env['CUSTODY_PYTHON'];

test.runIf(python === undefined && process.env['CI'] !== undefined)('CUSTODY_PYTHON names a python with tink', () => {
  expect.fail('CUSTODY_PYTHON is not set: run through npm test, which installs tink and sets it');
});

/**
 * argv: `encrypt` or `decrypt`, key and associated data in hex, source, target. The keyset is the one that the template
 * AES256_GCM_HKDF_1MB makes, with the given key. Prints `done`, or `refused` where Tink refuses.
 */
const TINK = `
import sys, tink
from tink import cleartext_keyset_handle, streaming_aead
from tink.proto import aes_gcm_hkdf_streaming_pb2, common_pb2, tink_pb2

action, key, associated_data, source, target = sys.argv[1:]
streaming_aead.register()
template = streaming_aead.streaming_aead_key_templates.AES256_GCM_HKDF_1MB
key_format = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKeyFormat.FromString(template.value)
aead_key = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(
    key_value=bytes.fromhex(key), params=key_format.params)
keyset = tink_pb2.Keyset(primary_key_id=1)
keyset.key.add(
    key_data=tink_pb2.KeyData(
        type_url=template.type_url,
        value=aead_key.SerializeToString(),
        key_material_type=tink_pb2.KeyData.SYMMETRIC),
    status=tink_pb2.ENABLED, key_id=1, output_prefix_type=template.output_prefix_type)
handle = cleartext_keyset_handle.read(tink.BinaryKeysetReader(keyset.SerializeToString()))
primitive = handle.primitive(streaming_aead.StreamingAead)
data = bytes.fromhex(associated_data)
if action == 'encrypt':
    with open(source, 'rb') as plain, primitive.new_encrypting_stream(open(target, 'wb'), data) as cipher:
        cipher.write(plain.read())
    print('done')
else:
    try:
        with primitive.new_decrypting_stream(open(source, 'rb'), data) as cipher, open(target, 'wb') as plain:
            plain.write(cipher.read())
        print('done')
    except tink.TinkError:
        print('refused')
`;

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

  async function tink(action: 'encrypt' | 'decrypt', source: string, target: string, digest: string): Promise<string> {
    const { stdout } = await promisify(execFile)(
      python ?? '',
      ['-c', TINK, action, key.toString('hex'), digest, source, target],
      { timeout: 60_000 },
    );
    return stdout.trim();
  }

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
