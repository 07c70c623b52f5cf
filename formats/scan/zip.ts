import { crc32, inflateRawSync } from 'node:zlib';
import type { ArtifactFormat } from '../../domain/artifacts.js';
import { printable } from '../json.js';
import { reportWithin, type ArtifactReader, type Report } from './reader.js';
import { TorchStorage } from './torch-storage.js';
import { readDirectory, renames, wideSizes, type DirectoryPlace, type ZipEntry } from './zip-directory.js';

const LOCAL = 0x04034b50;
const LOCAL_BYTES = 30;
const DESCRIPTOR = 0x08074b50;
const STORED = 0;
const DEFLATED = 8;
const FLAG = { encrypted: 0x1, descriptor: 0x8, patch: 0x20, strongEncryption: 0x40, masked: 0x2000 } as const;
/** What PyTorch, NumPy and Python's zipfile set: sizes after the data, UTF-8, and how hard deflate tried. */
const USUAL_FLAGS = 0x8 | 0x800 | 0x6;
/** A packed entry is held whole, and its bytes beside it. */
const MAX_PACKED = 16 * 1024 * 1024;
const MAX_UNPACKED = 16 * 1024 * 1024;
const MAX_UNPACKED_IN_ALL = 1024 * 1024 * 1024;
/** Weights seldom shrink to a tenth; deflate cannot shrink beyond a thousandth. */
const MAX_RATIO = 200;
const SMALL = 1024 * 1024;
/** Where PyTorch keeps the bytes of a tensor. */
const STORAGE = /^[^/]+\/data\/\d+$/;

export interface ZipOptions {
  readonly place: DirectoryPlace;
  /** As it was read before the file was gone through: it is compared with what passes by. */
  readonly directory: Uint8Array;
  readonly size: number;
  /** Makes a reader for the content of an entry. */
  readonly open: (report: Report, size: number, isPytorch: boolean) => ArtifactReader;
}

/**
 * Goes through a zip from its first byte to its last. Its directory and its local headers must say the same, and entries,
 * directory and end must cover every byte once: no reader can see another archive in it than this one did.
 */
export class ZipReader implements ArtifactReader {
  private readonly report: Report;
  private readonly options: ZipOptions;
  private readonly entries: readonly ZipEntry[];
  private readonly isPytorch: boolean;
  private at = 0;
  private next = 0;
  private held: Uint8Array[] = [];
  private heldBytes = 0;
  /** How many bytes the next step needs at once. */
  private needed = LOCAL_BYTES;
  private step: 'header' | 'names' | 'data' | 'descriptor' | 'directory' | 'over' = 'header';
  private open: { readonly entry: ZipEntry; left: number; crc: number; reader: ArtifactReader | null } | null = null;
  private unpacked = 0;

  constructor(report: Report, options: ZipOptions) {
    this.report = report;
    this.options = options;
    const { place, directory, size } = options;
    const entries = readDirectory(directory, place, report);
    this.entries = [...entries].sort((a, b) => a.offset - b.offset);
    this.isPytorch = entries.some(({ name }) => /(^|\/)data\.pkl$/.test(name));
    for (const { name } of entries)
      if (/(^|\/)code\/.*\.py$/.test(name)) report(0, 'torchscript', `it holds code: ${printable(name)}`);
    if (place.fileEnd !== size || place.comment > 0)
      report(place.end, 'trailing-bytes', 'bytes or a comment follow the end of the archive');
    if (place.offset + place.size !== place.end)
      report(place.offset + place.size, 'archive-mismatch', 'there are bytes between its directory and its end');
    this.prepare();
  }

  format(): ArtifactFormat {
    const names = this.entries.map(({ name }) => name);
    if (this.isPytorch) return 'pytorch';
    if (names.length > 0 && names.every((name) => name.endsWith('.npy'))) return 'numpy';
    if (names.includes('metadata.json') && names.some((name) => /\.h5$/.test(name))) return 'keras';
    return 'zip';
  }

  add(chunk: Uint8Array): void {
    let from = 0;
    while (from < chunk.length && this.step !== 'over') from = this.take(chunk, from);
    this.at += chunk.length - from;
  }

  end(): void {
    if (this.step === 'directory' && this.at >= this.options.place.offset + this.options.directory.length) return;
    if (this.step !== 'over') this.report(this.at, 'archive-mismatch', 'it ends before its directory does');
  }

  /** Uses what it can of the chunk from there on, and answers up to where. */
  private take(chunk: Uint8Array, from: number): number {
    if (this.step === 'data') return this.data(chunk, from);
    if (this.step === 'directory') return this.compare(chunk, from);
    const part = chunk.subarray(from, from + this.needed - this.heldBytes);
    this.held.push(new Uint8Array(part));
    this.heldBytes += part.length;
    this.at += part.length;
    if (this.heldBytes >= this.needed) {
      const bytes = Buffer.concat(this.held);
      if (this.step === 'header' && this.needed === LOCAL_BYTES) this.measure(bytes);
      else {
        this.held = [];
        this.heldBytes = 0;
        if (this.step === 'descriptor') this.descriptor(bytes);
        else this.header(bytes);
      }
    }
    return from + part.length;
  }

  /** Before the next entry, or the directory after the last one. */
  private prepare(): void {
    const entry = this.entries[this.next];
    const expected = entry?.offset ?? this.options.place.offset;
    if (expected !== this.at) {
      const what = expected > this.at ? 'bytes that no entry holds' : 'an entry that overlaps the one before it';
      return this.fail(this.at, `there are ${what}: expected byte ${expected}`);
    }
    this.needed = LOCAL_BYTES;
    this.step = entry === undefined ? 'directory' : 'header';
  }

  private measure(bytes: Buffer): void {
    if (bytes.readUInt32LE(0) !== LOCAL) return this.fail(this.at - LOCAL_BYTES, 'an entry has no local header');
    this.needed = LOCAL_BYTES + bytes.readUInt16LE(26) + bytes.readUInt16LE(28);
    if (this.needed === LOCAL_BYTES) {
      this.held = [];
      this.heldBytes = 0;
      this.header(bytes);
    }
  }

  private header(bytes: Buffer): void {
    const entry = this.entries[this.next] as ZipEntry;
    const begin = entry.offset;
    const told = printable(entry.name);
    const [flags, method, crc] = [bytes.readUInt16LE(6), bytes.readUInt16LE(8), bytes.readUInt32LE(14)];
    const [packed, size] = [bytes.readUInt32LE(18), bytes.readUInt32LE(22)];
    const name = bytes.subarray(LOCAL_BYTES, LOCAL_BYTES + bytes.readUInt16LE(26));
    const differs = (what: string): void =>
      this.report(begin, 'archive-mismatch', `${told}: local header and directory have another ${what}`);
    if (!name.equals(entry.nameBytes)) differs('name');
    if (flags !== entry.flags) differs('set of flags');
    if (method !== entry.method) differs('method');
    const isLater = (flags & FLAG.descriptor) !== 0;
    const same = (local: number, central: number): boolean => local === central || (isLater && local === 0);
    const extra = bytes.subarray(LOCAL_BYTES + name.length);
    const said = wideSizes(extra, { size, packed });
    const wide = { size, packed, ...said };
    if (said === null || renames(extra)) differs('name or size in an extra field');
    if (!same(crc, entry.crc)) differs('checksum');
    if (!same(wide.packed, entry.packed) || !same(wide.size, entry.size)) differs('size');
    this.begin(entry, flags | entry.flags);
  }

  private begin(entry: ZipEntry, flags: number): void {
    const { offset, method, packed, size } = entry;
    const told = printable(entry.name);
    let reader: ArtifactReader | null = null;
    const refuse = (rule: Parameters<Report>[1], message: string): void =>
      this.report(offset, rule, `${told}: ${message}`);
    if ((flags & (FLAG.encrypted | FLAG.strongEncryption | FLAG.masked)) !== 0)
      refuse('encrypted', 'it is encrypted, so that nobody can look into it');
    else if ((flags & ~USUAL_FLAGS) !== 0) refuse('archive-mismatch', `it has the flags 0x${flags.toString(16)}`);
    else if (method !== STORED && method !== DEFLATED) refuse('unsupported-method', `it is packed by method ${method}`);
    else if (method === STORED && packed !== size) refuse('archive-mismatch', 'it is stored, and has two sizes');
    else if (size > SMALL && size > packed * MAX_RATIO) refuse('ratio-bomb', `${packed} bytes unpack to ${size}`);
    else if (method === DEFLATED && (packed > MAX_PACKED || size > MAX_UNPACKED || this.unpacked > MAX_UNPACKED_IN_ALL))
      refuse('resource-limit', `${size} packed bytes are more than are unpacked`);
    else if (!entry.name.endsWith('/')) {
      const isStorage = this.isPytorch && STORAGE.test(entry.name);
      const within = reportWithin(this.report, this.at, told);
      const open = (): ArtifactReader => this.options.open(within, size, this.isPytorch);
      const inner = isStorage ? new TorchStorage(open) : open();
      reader = method === STORED ? inner : new Unpacked(inner, entry, refuse);
      if (method === DEFLATED) this.unpacked += size;
    } else if (size > 0) refuse('archive-mismatch', 'a folder holds bytes');
    this.open = { entry, left: packed, crc: 0, reader };
    this.step = 'data';
    if (packed === 0) this.finish();
  }

  private data(chunk: Uint8Array, from: number): number {
    const { open } = this;
    if (open === null) return chunk.length;
    const part = chunk.subarray(from, from + open.left);
    open.left -= part.length;
    this.at += part.length;
    if (open.entry.method === STORED) open.crc = crc32(part, open.crc);
    open.reader?.add(part);
    if (open.left === 0) this.finish();
    return from + part.length;
  }

  private finish(): void {
    const { open } = this;
    if (open === null) return;
    const { entry, reader, crc } = open;
    reader?.end();
    if (reader !== null && entry.method === STORED && crc !== entry.crc)
      this.report(entry.offset, 'bad-checksum', `${printable(entry.name)}: its bytes have another checksum`);
    this.next += 1;
    const after = this.entries[this.next]?.offset ?? this.options.place.offset;
    const between = after - this.at;
    if ((entry.flags & FLAG.descriptor) === 0 || between === 0) return this.prepare();
    if (![12, 16, 20, 24].includes(between)) return this.fail(this.at, 'there are bytes that no entry holds');
    this.needed = between;
    this.step = 'descriptor';
  }

  private descriptor(bytes: Buffer): void {
    const { entry } = this.open as { entry: ZipEntry };
    const hasSignature = bytes.length === 16 || bytes.length === 24;
    const at = hasSignature ? 4 : 0;
    const isWide = bytes.length >= 20;
    const field = (index: number): number =>
      isWide ? Number(bytes.readBigUInt64LE(at + 4 + index * 8)) : bytes.readUInt32LE(at + 4 + index * 4);
    const isSame =
      (!hasSignature || bytes.readUInt32LE(0) === DESCRIPTOR) &&
      bytes.readUInt32LE(at) === entry.crc &&
      field(0) === entry.packed &&
      field(1) === entry.size;
    if (!isSame)
      this.report(this.at - bytes.length, 'archive-mismatch', `${printable(entry.name)}: another size after its data`);
    this.prepare();
  }

  private compare(chunk: Uint8Array, from: number): number {
    const { directory, place } = this.options;
    const done = this.at - place.offset;
    const part = chunk.subarray(from, from + Math.max(0, directory.length - done));
    if (!Buffer.from(part.buffer, part.byteOffset, part.length).equals(directory.subarray(done, done + part.length)))
      return (this.fail(this.at, 'its directory changed while it was read'), chunk.length);
    this.at += part.length;
    if (done + part.length >= directory.length) this.step = 'over';
    return from + part.length;
  }

  private fail(at: number, problem: string): void {
    this.report(at, 'archive-mismatch', problem);
    this.step = 'over';
  }
}

/** Unpacks an entry once it is whole, bounded by the size that the directory gives. */
class Unpacked implements ArtifactReader {
  private readonly chunks: Uint8Array[] = [];
  private readonly reader: ArtifactReader;
  private readonly entry: ZipEntry;
  private readonly refuse: (rule: Parameters<Report>[1], message: string) => void;

  constructor(reader: ArtifactReader, entry: ZipEntry, refuse: (rule: Parameters<Report>[1], message: string) => void) {
    this.reader = reader;
    this.entry = entry;
    this.refuse = refuse;
  }

  add(chunk: Uint8Array): void {
    this.chunks.push(new Uint8Array(chunk));
  }

  end(): void {
    const { size, crc } = this.entry;
    let bytes: Buffer;
    try {
      bytes = inflateRawSync(Buffer.concat(this.chunks), { maxOutputLength: size + 1 });
    } catch (error) {
      return this.refuse('archive-mismatch', `it cannot be unpacked to ${size} bytes: ${(error as Error).message}`);
    }
    if (bytes.length !== size) this.refuse('archive-mismatch', `it unpacks to ${bytes.length} bytes, not to ${size}`);
    if (crc32(bytes) !== crc) this.refuse('bad-checksum', 'its bytes have another checksum');
    this.reader.add(bytes);
    this.reader.end();
  }
}
