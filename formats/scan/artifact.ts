import type { ArtifactFormat, Finding } from '../../domain/artifacts.js';
import { finding } from '../../domain/artifacts.js';
import { CustodyError } from '../../domain/errors.js';
import { headerLength, readSafetensorsHeader } from '../safetensors.js';
import type { DocumentOptions } from './document.js';
import { NpyReader } from './npy.js';
import { PickleReader } from './pickle.js';
import type { ArtifactReader, Report } from './reader.js';
import { formatOfHead, HEAD_BYTES, hidesPdf, isTarHeader } from './sniff.js';
import { TarReader } from './tar.js';
import { PlainReader } from './text.js';
import { ZipReader } from './zip.js';
import { findDirectory, TAIL_BYTES, type DirectoryPlace } from './zip-directory.js';

/** A header of about 150,000 tensors. */
export const MAX_TENSOR_HEADER = 16 * 1024 * 1024;
const LENGTH_BYTES = 8;
const MAX_FINDINGS = 100;

/** A zip's directory, read ahead from the end of the file. */
export interface DirectoryAhead {
  readonly place: DirectoryPlace;
  readonly bytes: Uint8Array;
}

export interface ScanOptions {
  readonly size: number;
  /** `null` where the file has no end of a zip, or it is too large. */
  readonly directory: DirectoryAhead | null;
  /** Whether this is part of an archive. */
  readonly isWithin?: boolean;
  readonly isPytorch?: boolean;
  /** What a text is called, and whether it may be code. */
  readonly document?: DocumentOptions;
}

/** Collects what is wrong with one file: each thing once, and not without end. */
export class Findings {
  readonly list: Finding[] = [];
  private readonly seen = new Set<string>();
  private readonly file: string;

  constructor(file: string) {
    this.file = file;
  }

  readonly report: Report = (offset, rule, message) => {
    const key = `${offset} ${rule} ${message}`;
    if (this.list.length > MAX_FINDINGS || this.seen.has(key)) return;
    this.seen.add(key);
    // What is not listed may be worse than what is: whatever the policy bears with, it does not bear with that.
    if (this.list.length === MAX_FINDINGS)
      this.list.push(finding(this.file, 'resource-limit', offset, `it has more than ${MAX_FINDINGS} findings`));
    else this.list.push(finding(this.file, rule, offset, message));
  };
}

/** Tells by its bytes what a file is, looks into it as far as that format is understood, and for a second format in it. */
export class ArtifactScan implements ArtifactReader {
  private readonly report: Report;
  private readonly options: ScanOptions;
  private head = Buffer.alloc(0);
  private tail = Buffer.alloc(0);
  private found: ArtifactFormat | null = null;
  private reader: ArtifactReader | null = null;
  private isChosen = false;

  constructor(report: Report, options: ScanOptions) {
    this.report = report;
    this.options = options;
  }

  /** Once everything has been read. */
  format(): ArtifactFormat {
    const { reader } = this;
    if (reader instanceof PlainReader || reader instanceof ZipReader) return reader.format();
    return this.found ?? 'text';
  }

  add(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.keepTail(chunk);
    if (this.isChosen) return this.reader?.add(chunk);
    this.head = Buffer.concat([this.head, chunk]);
    if (this.head.length >= Math.min(HEAD_BYTES, this.options.size)) this.choose();
  }

  end(): void {
    if (!this.isChosen && this.head.length > 0) this.choose();
    this.reader?.end();
    this.lookForAnother();
  }

  private choose(): void {
    const { size } = this.options;
    const bytes = this.head;
    this.head = Buffer.from(bytes.subarray(0, HEAD_BYTES));
    this.isChosen = true;
    this.found = formatOfHead(this.head, size);
    this.reader = this.readerFor(this.found);
    this.reader?.add(bytes);
  }

  private readerFor(format: ArtifactFormat | null): ArtifactReader | null {
    const { size, directory, isWithin = false, isPytorch = false } = this.options;
    if (isWithin && (format === 'zip' || format === 'tar' || format === 'compressed')) {
      this.report(0, 'nested-archive', `it is ${format} within an archive`);
      return null;
    }
    const open = (report: Report, inner: number, pytorch = false): ArtifactScan =>
      new ArtifactScan(report, { size: inner, directory: null, isWithin: true, isPytorch: pytorch });
    switch (format) {
      case null:
        return new PlainReader(this.report, size, this.options.document);
      case 'safetensors':
        return new TensorHeader(this.report, size);
      case 'pickle':
        return new PickleReader(this.report, { size, resolvesPersistentIds: isPytorch });
      case 'numpy':
        return new NpyReader(this.report, size);
      case 'tar':
        return new TarReader(this.report, { size, open });
      case 'zip':
        if (directory !== null)
          return new ZipReader(this.report, { place: directory.place, directory: directory.bytes, size, open });
        this.report(0, 'malformed', 'it begins like a zip, and has no directory that could be read');
        return null;
      default:
        return null;
    }
  }

  /** A zip is read from its end, a PDF from anywhere near its beginning: they can be in a file that is something else. */
  private lookForAnother(): void {
    const { size } = this.options;
    if (this.found !== 'zip') {
      const place = findDirectory(this.tail, size);
      if (place !== null) this.report(place.offset, 'polyglot', 'it is a zip archive as well');
    }
    const pdf = this.found === 'pdf' ? -1 : hidesPdf(this.head);
    if (pdf >= 0) this.report(pdf, 'polyglot', 'it is a PDF as well');
    if (this.found !== 'tar' && isTarHeader(this.head.subarray(0, 512)))
      this.report(0, 'polyglot', 'it is a tar archive as well');
  }

  private keepTail(chunk: Uint8Array): void {
    if (this.found === 'zip') return;
    if (chunk.length >= TAIL_BYTES) this.tail = Buffer.from(chunk.subarray(-TAIL_BYTES));
    else this.tail = Buffer.concat([this.tail, chunk]).subarray(-TAIL_BYTES);
  }
}

/** The header of a safetensors file: it says of every byte that follows what it is. */
class TensorHeader implements ArtifactReader {
  private readonly report: Report;
  private readonly size: number;
  private chunks: Buffer[] = [];
  private held = 0;
  private needed = LENGTH_BYTES;
  private isDone = false;

  constructor(report: Report, size: number) {
    this.report = report;
    this.size = size;
  }

  add(chunk: Uint8Array): void {
    let at = 0;
    while (!this.isDone && at < chunk.length) {
      const part = Buffer.from(chunk.subarray(at, at + this.needed - this.held));
      this.chunks.push(part);
      this.held += part.length;
      at += part.length;
      if (this.held === this.needed) this.measure();
    }
  }

  end(): void {
    if (!this.isDone) this.read();
  }

  private measure(): void {
    if (this.needed > LENGTH_BYTES) return this.read();
    try {
      const length = headerLength(Buffer.concat(this.chunks), this.size);
      this.needed += length;
      if (length > MAX_TENSOR_HEADER) {
        this.report(0, 'resource-limit', `its header has ${length} bytes, at most ${MAX_TENSOR_HEADER} are read`);
        this.isDone = true;
      } else if (length === 0) this.read();
    } catch (error) {
      this.tell(error);
    }
  }

  private read(): void {
    this.isDone = true;
    try {
      readSafetensorsHeader(Buffer.concat(this.chunks), this.size);
    } catch (error) {
      this.tell(error);
    }
    this.chunks = [];
  }

  private tell(error: unknown): void {
    if (!(error instanceof CustodyError) || error.code !== 'MALFORMED') throw error;
    this.isDone = true;
    this.report(0, 'malformed', error.message);
  }
}
