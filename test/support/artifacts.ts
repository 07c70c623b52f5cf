import { crc32, deflateRawSync } from 'node:zlib';
import type { ArtifactFormat, Finding, RuleId } from '../../domain/artifacts.js';
import { ArtifactScan, Findings } from '../../formats/scan/artifact.js';
import { findDirectory, TAIL_BYTES } from '../../formats/scan/zip-directory.js';

export interface Scanned {
  readonly format: ArtifactFormat;
  readonly findings: readonly Finding[];
  readonly rules: readonly RuleId[];
}

/** Scans bytes as a file's would be: in chunks, each in a buffer that is overwritten as soon as it has been looked at. */
export function scanBytes(bytes: Uint8Array, chunk = 1024 * 1024, name = 'file', holdsCode = false): Scanned {
  const found = new Findings('file');
  const size = bytes.length;
  const tail = bytes.subarray(Math.max(0, size - TAIL_BYTES));
  const place = Buffer.from(bytes.subarray(0, 2)).toString('latin1') === 'PK' ? findDirectory(tail, size) : null;
  const directory = place === null ? null : { place, bytes: bytes.subarray(place.offset, place.offset + place.size) };
  const scan = new ArtifactScan(found.report, { size, directory, document: { name, holdsCode } });
  const buffer = Buffer.alloc(Math.min(chunk, size));
  for (let at = 0; at < size; at += chunk) {
    const part = bytes.subarray(at, at + chunk);
    buffer.set(part);
    scan.add(buffer.subarray(0, part.length));
    buffer.fill(0xa5);
  }
  scan.end();
  return { format: scan.format(), findings: found.list, rules: found.list.map(({ rule }) => rule) };
}

/** Pickle opcodes by hand: text is written as it stands, numbers as bytes. */
export function pickle(...parts: readonly (string | number | Uint8Array)[]): Buffer {
  return Buffer.concat(
    parts.map((part) =>
      typeof part === 'number' ? Buffer.from([part]) : typeof part === 'string' ? Buffer.from(part, 'latin1') : part,
    ),
  );
}

export const PROTO4 = Buffer.from([0x80, 4]);
/** SHORT_BINUNICODE. */
export const text = (value: string): Buffer => pickle(0x8c, value.length, value);
export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
export const u64 = (value: number): Buffer => Buffer.concat([u32(value % 2 ** 32), u32(Math.floor(value / 2 ** 32))]);
/** `module.name(argument)`, of protocol 4. */
export const calls = (module: string, name: string, argument = 'id'): Buffer =>
  pickle(PROTO4, text(module), text(name), 0x93, text(argument), 0x85, 'R.');

export interface ZipMember {
  readonly name: string | Buffer;
  readonly bytes: Uint8Array;
  readonly deflated?: boolean;
  readonly flags?: number;
  readonly crc?: number;
  readonly mode?: number;
  /** What its local header says, where the directory says something else. */
  readonly local?: {
    readonly name?: string;
    readonly flags?: number;
    readonly size?: number;
    readonly crc?: number;
    readonly extra?: Uint8Array;
  };
  /** The extra field that the directory has of it. */
  readonly extra?: Uint8Array;
  /** What the directory says of its size. */
  readonly size?: number;
  /** Bytes that stand before its local header. */
  readonly before?: Uint8Array;
}

/** A zip as its members ask for it; `comment` follows its end, `gap` stands before it. */
export function zip(members: readonly ZipMember[], { comment = '', gap = Buffer.alloc(0) } = {}): Buffer {
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const member of members) {
    const { bytes, deflated = false, flags = 0, mode = 0o100644, local = {} } = member;
    const name = Buffer.from(member.name as string);
    const data = deflated ? deflateRawSync(bytes) : Buffer.from(bytes);
    const crc = member.crc ?? crc32(bytes);
    const size = member.size ?? bytes.length;
    const before = Buffer.from(member.before ?? []);
    const method = deflated ? 8 : 0;
    const localName = local.name === undefined ? name : Buffer.from(local.name);
    const header = Buffer.alloc(30);
    header.writeUInt32LE(0x04034b50, 0);
    header.writeUInt16LE(local.flags ?? flags, 6);
    header.writeUInt16LE(method, 8);
    header.writeUInt32LE(local.crc ?? crc, 14);
    header.writeUInt32LE(data.length, 18);
    header.writeUInt32LE(local.size ?? size, 22);
    header.writeUInt16LE(localName.length, 26);
    const [localExtra, extra] = [Buffer.from(local.extra ?? []), Buffer.from(member.extra ?? [])];
    header.writeUInt16LE(localExtra.length, 28);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50, 0);
    entry.writeUInt8(3, 5);
    entry.writeUInt16LE(flags, 8);
    entry.writeUInt16LE(method, 10);
    entry.writeUInt32LE(crc, 16);
    entry.writeUInt32LE(data.length, 20);
    entry.writeUInt32LE(size, 24);
    entry.writeUInt16LE(name.length, 28);
    entry.writeUInt16LE(extra.length, 30);
    entry.writeUInt32LE(mode * 65536, 38);
    entry.writeUInt32LE(at + before.length, 42);
    locals.push(before, header, localName, localExtra, data);
    directory.push(entry, name, extra);
    at += before.length + 30 + localName.length + localExtra.length + data.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(members.length, 8);
  end.writeUInt16LE(members.length, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(at, 16);
  end.writeUInt16LE(comment.length, 20);
  return Buffer.concat([...locals, central, gap, end, Buffer.from(comment)]);
}

/** What PyTorch writes, around this pickle. */
export function torchZip(data: Uint8Array): Buffer {
  return zip([
    { name: 'archive/data.pkl', bytes: data },
    { name: 'archive/byteorder', bytes: Buffer.from('little') },
    { name: 'archive/data/0', bytes: Buffer.alloc(64, 7) },
    { name: 'archive/version', bytes: Buffer.from('3\n') },
  ]);
}

/** This zip, with ends of 64 bits before its own, which says as much as they do. */
export function zip64(bytes: Buffer): Buffer {
  const end = bytes.subarray(bytes.length - 22);
  const wide = Buffer.alloc(56);
  wide.writeUInt32LE(0x06064b50, 0);
  wide.writeBigUInt64LE(44n, 4);
  const [entries, size, offset] = [end.readUInt16LE(10), end.readUInt32LE(12), end.readUInt32LE(16)];
  for (const [at, value] of [entries, entries, size, offset].entries())
    wide.writeBigUInt64LE(BigInt(value), 24 + at * 8);
  const locator = Buffer.alloc(20);
  locator.writeUInt32LE(0x07064b50, 0);
  locator.writeBigUInt64LE(BigInt(bytes.length - 22), 8);
  locator.writeUInt32LE(1, 16);
  return Buffer.concat([bytes.subarray(0, -22), wide, locator, end]);
}

export interface TarMember {
  readonly name: string;
  /** What stands before the name, for readers that look there. */
  readonly prefix?: string;
  readonly magic?: string;
  readonly bytes?: Uint8Array;
  readonly type?: string;
  readonly link?: string;
}

export function tar(members: readonly TarMember[], after = Buffer.alloc(0)): Buffer {
  const blocks = members.flatMap((member) => {
    const { name, bytes = Buffer.alloc(0), type = '0', link = '', prefix = '', magic = 'ustar\x0000' } = member;
    const header = Buffer.alloc(512);
    header.write(name, 0, 100);
    header.write('0000644\0', 100);
    header.write(`${bytes.length.toString(8).padStart(11, '0')}\0`, 124);
    header.write('        ', 148);
    header.write(type, 156);
    header.write(link, 157, 100);
    header.write(magic, 257);
    header.write(prefix, 345);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return [header, Buffer.from(bytes), Buffer.alloc((512 - (bytes.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024), after]);
}

/** A NumPy array of version 1.0. */
export function npy(descr: string, data: Uint8Array): Buffer {
  const header = Buffer.from(`{'descr': ${descr}, 'fortran_order': False, 'shape': (1,), }`.padEnd(117) + '\n');
  const length = Buffer.alloc(2);
  length.writeUInt16LE(header.length);
  return Buffer.concat([Buffer.from('\x93NUMPY\x01\x00', 'latin1'), length, header, data]);
}

/** Records of an extension header of tar. */
export function pax(...records: readonly (readonly [key: string, value: string])[]): Buffer {
  return Buffer.concat(
    records.map(([key, value]) => {
      const rest = Buffer.byteLength(` ${key}=${value}\n`);
      let length = rest + 1;
      while (String(length).length + rest !== length) length += 1;
      return Buffer.from(`${length} ${key}=${value}\n`);
    }),
  );
}
