import { constants, inflateSync } from 'node:zlib';
import type { ArtifactFormat } from '../../domain/artifacts.js';

/** So many bytes from the beginning are enough to tell a format by what it begins with. */
export const HEAD_BYTES = 4096;
const TAR_BLOCK = 512;
/** What the first bytes may unpack to: more is compressed for sure. */
const MAX_UNPACKED = 64 * 1024;
const TAR_SUM = 148;
const TAR_SUM_BYTES = 8;

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
const HDF5 = Buffer.from('894844460d0a1a0a', 'hex');
/** HDF5 may have other bytes before it, of these lengths and more. */
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
  if (isZlib(head)) return 'compressed';
  if (HDF5_OFFSETS.some((offset) => startsWith(head, HDF5, offset))) return 'hdf5';
  return null;
}

/**
 * joblib takes whatever begins with `x` for zlib. That can be text, and so can what it unpacks to: a stored block holds its
 * bytes as they are. Text that begins like zlib by chance does not go on like it.
 */
function isZlib(head: Uint8Array): boolean {
  if (head[0] !== 0x78 || ((head[0] << 8) + (head[1] ?? 0)) % 31 !== 0) return false;
  try {
    const unpacked = inflateSync(head, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: MAX_UNPACKED });
    // So many bytes without an error are no chance, though blocks that hold nothing come first.
    return unpacked.length > 0 || head.length >= HEAD_BYTES;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
  }
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

/** The first block of a tar archive: its checksum is right, as the laxest reader (Python's) reads and counts it. */
export function isTarHeader(block: Uint8Array): boolean {
  if (block.length < TAR_BLOCK || block.every((byte) => byte === 0)) return false;
  const stated = tarChecksum(Buffer.from(block.buffer, block.byteOffset + TAR_SUM, TAR_SUM_BYTES));
  if (stated === null) return false;
  let [unsigned, signed] = [TAR_SUM_BYTES * 0x20, TAR_SUM_BYTES * 0x20];
  for (let at = 0; at < TAR_BLOCK; at += 1) {
    if (at >= TAR_SUM && at < TAR_SUM + TAR_SUM_BYTES) continue;
    const byte = block[at] as number;
    unsigned += byte;
    signed += byte < 0x80 ? byte : byte - 0x100;
  }
  return stated === unsigned || stated === signed;
}

function tarChecksum(field: Buffer): number | null {
  if (field[0] === 0x80 || field[0] === 0xff) return field.readIntBE(2, 6);
  const digits = field
    .toString('latin1')
    .replace(/\0.*$/s, '')
    .trim()
    .replace(/^\+?(0o)?/i, '')
    .replaceAll('_', '');
  return /^[0-7]*$/.test(digits) ? Number.parseInt(digits === '' ? '0' : digits, 8) : null;
}

/** Looks for the signature of HDF5 at every place where its readers do: at the beginning, at byte 512, and at each double of it. */
export class Hdf5Watch {
  private readonly report: (offset: number) => void;
  private at = 0;
  private place = 0;
  private matched = 0;

  constructor(report: (offset: number) => void) {
    this.report = report;
  }

  add(chunk: Uint8Array): void {
    const end = this.at + chunk.length;
    while (this.place + this.matched < end) {
      const byte = chunk[this.place + this.matched - this.at];
      this.matched = byte === HDF5[this.matched] ? this.matched + 1 : HDF5.length + 1;
      if (this.matched === HDF5.length) this.report(this.place);
      if (this.matched < HDF5.length) continue;
      this.place = this.place === 0 ? TAR_BLOCK : this.place * 2;
      this.matched = 0;
    }
    this.at = end;
  }
}

function startsWith(head: Uint8Array, bytes: Uint8Array, offset: number): boolean {
  return head.length >= offset + bytes.length && bytes.every((byte, at) => head[offset + at] === byte);
}

function hasControl(bytes: Uint8Array): boolean {
  return bytes.some((byte) => byte < 0x09 || (byte > 0x0d && byte < 0x20));
}
