import type { ArtifactFormat, Finding } from '../../domain/artifacts.js';
import { finding } from '../../domain/artifacts.js';
import type { DocumentOptions } from './document.js';
import { NpyReader } from './npy.js';
import { PickleReader } from './pickle.js';
import type { ArtifactReader, Report } from './reader.js';
import { SecondFormat } from './second-format.js';
import { formatOfHead, HEAD_BYTES } from './sniff.js';
import { TarReader } from './tar.js';
import { TensorHeader } from './tensor-header.js';
import { PlainReader } from './text.js';
import { ZipReader } from './zip.js';
import type { DirectoryPlace } from './zip-directory.js';

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
  private found: ArtifactFormat | null = null;
  private reader: ArtifactReader | null = null;
  private second: SecondFormat | null = null;

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
    if (this.second !== null) return this.read(chunk);
    this.head = Buffer.concat([this.head, chunk]);
    if (this.head.length >= Math.min(HEAD_BYTES, this.options.size)) this.choose();
  }

  end(): void {
    if (this.head.length > 0) this.choose();
    this.reader?.end();
    this.second?.end();
  }

  private read(chunk: Uint8Array): void {
    this.reader?.add(chunk);
    this.second?.add(chunk);
  }

  private choose(): void {
    const bytes = this.head;
    this.head = Buffer.alloc(0);
    const { size } = this.options;
    this.found = formatOfHead(bytes.subarray(0, HEAD_BYTES), size);
    this.reader = this.readerFor(this.found);
    this.second = new SecondFormat(this.report, size, this.found);
    this.read(bytes);
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
}
