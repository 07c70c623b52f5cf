import { expect, test } from 'vitest';
import { isDigest } from '../../../domain/digest.js';
import { sha256 } from '../../../formats/sha256.js';

test('answers the digests of FIPS 180-4', () => {
  expect(sha256('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  expect(sha256(Buffer.alloc(0))).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  expect(isDigest(sha256('x'))).toBe(true);
});

test('hashes a text as UTF-8, and a view as what it shows', () => {
  expect(sha256('é')).toBe(sha256(Buffer.from([0xc3, 0xa9])));
  expect(sha256(new Uint8Array([1, 2, 3]).subarray(1))).toBe(sha256(Buffer.from([2, 3])));
});
