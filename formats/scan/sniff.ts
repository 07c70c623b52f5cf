import type { ArtifactFormat } from '../../domain/artifacts.js';

/** So many bytes from the beginning are enough to tell a format by what it begins with. */
export const HEAD_BYTES = 4096;
const TAR_BLOCK = 512;

const MAGIC: readonly (readonly [ArtifactFormat, string])[] = [
  ['zip', '504b0304'],
  ['zip', '504b0506'],
  ['zip', '504b0708'],
  ['compressed', '1f8b'],
  ['compressed', '425a68'],
  ['compressed', 'fd377a585a00'],
  ['compressed', '377abcaf271c'],
  ['compressed', '28b52ffd'],
  ['compressed', '04224d18'],
  ['compressed', '526172211a07'],
  ['compressed', '213c617263683e0a'],
  ['numpy', '934e554d5059'],
  ['gguf', '47475546'],
  ['gguf', '46554747'],
  ['gguf', '67676d6c'],
  ['gguf', '67676a74'],
  ['hdf5', '894844460d0a1a0a'],
  ['executable', '7f454c46'],
  ['executable', '4d5a'],
  ['executable', 'feedface'],
  ['executable', 'feedfacf'],
  ['executable', 'cefaedfe'],
  ['executable', 'cffaedfe'],
  ['executable', 'cafebabe'],
  ['executable', '0061736d'],
  ['pdf', '255044462d'],
];
const MAGIC_BYTES = MAGIC.map(([format, hex]) => ({ format, bytes: Buffer.from(hex, 'hex') }));
/** HDF5 may have other bytes before it, of these lengths. */
const HDF5_OFFSETS = [512, 1024, 2048];

/** The format that the first bytes of a file of `size` bytes are of; `null` where they tell none. */
export function formatOfHead(head: Uint8Array, size: number): ArtifactFormat | null {
  // Before the rest: eight bytes of length may begin like anything.
  if (looksLikeSafetensors(head, size)) return 'safetensors';
  // A pickle of protocol 2 or more says so.
  if (head[0] === 0x80 && (head[1] ?? 0xff) <= 5) return 'pickle';
  const found = MAGIC_BYTES.find(({ bytes }) => startsWith(head, bytes, 0));
  // Two letters of text are no executable.
  if (found !== undefined && (found.bytes.length > 2 || hasControl(head))) return found.format;
  if (isTarHeader(head.subarray(0, TAR_BLOCK))) return 'tar';
  const hdf5 = MAGIC_BYTES.find(({ format }) => format === 'hdf5');
  if (hdf5 !== undefined && HDF5_OFFSETS.some((offset) => startsWith(head, hdf5.bytes, offset))) return 'hdf5';
  return null;
}

/** A PDF reader takes the header anywhere in the first 1,024 bytes. */
export function hidesPdf(head: Uint8Array): number {
  return Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, 1024)).indexOf('%PDF-');
}

/** Eight bytes of length and the beginning of a JSON object, whether the length is sound or not. */
function looksLikeSafetensors(head: Uint8Array, size: number): boolean {
  if (head[8] !== 0x7b || size < 10) return false;
  const length = Buffer.from(head.buffer, head.byteOffset, 8).readBigUInt64LE();
  // Lengths that are text, such as that of `12345678{`, are of a file of text.
  return length <= BigInt(size) || hasControl(head.subarray(0, 8)) || head.subarray(0, 8).some((byte) => byte > 0x7e);
}

/** The first block of a tar archive: its checksum is right. */
export function isTarHeader(block: Uint8Array): boolean {
  if (block.length < TAR_BLOCK || block.every((byte) => byte === 0)) return false;
  const field = Buffer.from(block.buffer, block.byteOffset + 148, 8).toString('latin1');
  const stated = /^ *([0-7]{1,6})[\0 ]/.exec(field)?.[1];
  if (stated === undefined) return false;
  let sum = 8 * 0x20;
  for (let at = 0; at < TAR_BLOCK; at += 1) if (at < 148 || at >= 156) sum += block[at] as number;
  return sum === Number.parseInt(stated, 8);
}

function startsWith(head: Uint8Array, bytes: Uint8Array, offset: number): boolean {
  return head.length >= offset + bytes.length && bytes.every((byte, at) => head[offset + at] === byte);
}

function hasControl(bytes: Uint8Array): boolean {
  return bytes.some((byte) => byte < 0x09 || (byte > 0x0d && byte < 0x20));
}
