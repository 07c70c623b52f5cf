import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { ciphertextSize, decryptStream, encryptStream } from '../../../formats/streaming-aead.js';

const MIB = 1024 * 1024;
const FIRST = MIB - 56;
const NEXT = MIB - 16;
/** Around the ends of the first, the second and the third segment. */
const SIZES = [0, 1, FIRST - 1, FIRST, FIRST + 1, FIRST + NEXT - 1, FIRST + NEXT, FIRST + NEXT + 1, FIRST + 2 * NEXT];

const key = randomBytes(32);
const associatedData = Buffer.from('the digest of the plaintext');
const refused = expect.objectContaining({ code: 'DIGEST_MISMATCH' });

async function* chunksOf(bytes: Buffer, size = bytes.length): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function collect(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const encrypt = (plain: Buffer) => collect(encryptStream(chunksOf(plain), key, associatedData));
const decrypt = (cipher: Buffer, withKey = key, withData = associatedData) =>
  collect(decryptStream(chunksOf(cipher), withKey, withData));

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(at) ^ 1, at);
  return copy;
}

describe('the streaming AEAD', () => {
  test.each(SIZES)('gives back %i bytes, and its ciphertext has the announced size', async (size) => {
    const plain = randomBytes(size);
    const cipher = await encrypt(plain);
    expect(cipher.length).toBe(ciphertextSize(size));
    expect((await decrypt(cipher)).equals(plain)).toBe(true);
  });

  test('has the sizes of the specification', () => {
    expect([0, FIRST, FIRST + 1, FIRST + NEXT].map(ciphertextSize)).toEqual([56, MIB, MIB + 17, 2 * MIB]);
  });

  test.each([1021, 65_536, MIB - 1, MIB, MIB + 1, 5 * MIB])('does not care for chunks of %i bytes', async (size) => {
    const plain = randomBytes(3 * MIB + 7);
    const cipher = await collect(encryptStream(chunksOf(plain, size), key, associatedData));
    expect((await collect(decryptStream(chunksOf(cipher, size), key, associatedData))).equals(plain)).toBe(true);
  });

  test('does not care for empty chunks, nor for a caller that uses its buffer again', async () => {
    async function* reusing(): AsyncGenerator<Buffer> {
      const buffer = Buffer.alloc(3);
      for (const text of ['abc', 'def']) {
        buffer.write(text);
        yield buffer;
        yield Buffer.alloc(0);
      }
      buffer.fill(0);
    }
    const cipher = await collect(encryptStream(reusing(), key, associatedData));
    expect((await decrypt(cipher)).toString()).toBe('abcdef');
  });

  test('never gives the same ciphertext twice', async () => {
    const plain = Buffer.from('weights');
    expect((await encrypt(plain)).equals(await encrypt(plain))).toBe(false);
  });

  test('refuses another key and other associated data', async () => {
    const cipher = await encrypt(Buffer.from('weights'));
    await expect(decrypt(cipher, randomBytes(32))).rejects.toThrow(refused);
    await expect(decrypt(cipher, key, Buffer.from('another digest'))).rejects.toThrow(refused);
  });

  test('refuses a flipped bit wherever it is', async () => {
    const cipher = await encrypt(randomBytes(FIRST + 100));
    for (const at of [0, 1, 32, 33, 39, 40, MIB - 17, MIB - 16, MIB - 1, MIB, cipher.length - 17, cipher.length - 1]) {
      await expect(decrypt(flipped(cipher, at)), `byte ${at}`).rejects.toThrow(refused);
    }
  });

  test('refuses a ciphertext cut off anywhere, the ends of segments included', async () => {
    const cipher = await encrypt(randomBytes(FIRST + NEXT + 100));
    for (const size of [0, 1, 39, 40, 55, 56, MIB - 1, MIB, MIB + 1, MIB + 15, 2 * MIB, cipher.length - 1]) {
      await expect(decrypt(cipher.subarray(0, size)), `${size} bytes`).rejects.toThrow(refused);
    }
  });

  test('refuses segments that are swapped, repeated, left out or added', async () => {
    const cipher = await encrypt(randomBytes(FIRST + 2 * NEXT + 100));
    const segments = [0, 1, 2, 3].map((index) => cipher.subarray(index * MIB, (index + 1) * MIB));
    const of = (...order: number[]) => Buffer.concat(order.map((index) => segments[index] ?? Buffer.alloc(0)));
    expect(of(0, 1, 2, 3).equals(cipher)).toBe(true);
    for (const order of [
      [0, 2, 1, 3],
      [0, 1, 1, 3],
      [0, 1, 1, 2, 3],
      [0, 1, 3],
      [0, 2, 3],
      [1, 2, 3],
      [0, 1, 2, 3, 3],
    ]) {
      await expect(decrypt(of(...order)), order.join()).rejects.toThrow(refused);
    }
    await expect(decrypt(Buffer.concat([cipher, Buffer.of(0)]))).rejects.toThrow(refused);
  });

  test('refuses a segment of another ciphertext under the same key', async () => {
    const [one, other] = await Promise.all([encrypt(randomBytes(2 * MIB)), encrypt(randomBytes(2 * MIB))]);
    const mixed = Buffer.concat([one.subarray(0, MIB), other.subarray(MIB)]);
    await expect(decrypt(mixed)).rejects.toThrow(refused);
  });

  test('lets nothing of a segment out before it has verified', async () => {
    const cipher = flipped(await encrypt(randomBytes(FIRST + 100)), MIB + 3);
    let released = 0;
    const reading = async () => {
      for await (const chunk of decryptStream(chunksOf(cipher, 1000), key, associatedData)) released += chunk.length;
    };
    await expect(reading()).rejects.toThrow(refused);
    expect(released).toBe(FIRST);
  });

  test('refuses a key that is not 32 bytes', async () => {
    const malformed = expect.objectContaining({ code: 'MALFORMED' });
    await expect(collect(encryptStream(chunksOf(Buffer.alloc(1)), randomBytes(16), associatedData))).rejects.toThrow(
      malformed,
    );
    await expect(decrypt(Buffer.alloc(56), randomBytes(31))).rejects.toThrow(malformed);
  });
});
