import type { ArtifactFormat } from '../../domain/artifacts.js';
import { printable } from '../json.js';
import { unsafePath } from '../paths.js';
import { reportWithin, type ArtifactReader, type Report } from './reader.js';
import { isTarHeader } from './sniff.js';

const BLOCK = 512;
const MAX_ENTRIES = 100_000;
const MAX_LONG_NAME = 64 * 1024;

/** What a type flag makes; the rest is not known. */
const TYPES: Readonly<Record<string, 'file' | 'link' | 'device' | 'folder' | 'extension'>> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '1': 'link',
  '2': 'link',
  '3': 'device',
  '4': 'device',
  '5': 'folder',
  '6': 'device',
  x: 'extension',
  g: 'extension',
  L: 'extension',
  K: 'extension',
};

export interface TarOptions {
  readonly size: number;
  readonly open: (report: Report, size: number) => ArtifactReader & { format(): ArtifactFormat };
}

/** Goes through a tar archive: names that climb, links, devices, what its files hold, and what follows its end. */
export class TarReader implements ArtifactReader {
  private readonly report: Report;
  private readonly options: TarOptions;
  private readonly block = new Uint8Array(BLOCK);
  private filled = 0;
  private at = 0;
  private entries = 0;
  private left = 0;
  private padding = 0;
  private reader: ArtifactReader | null = null;
  private extension: Uint8Array[] | null = null;
  /** The name that an extension gives the next entry. */
  private longName: string | null = null;
  private state: 'headers' | 'ended' | 'over' = 'headers';
  private hasTold = false;

  constructor(report: Report, options: TarOptions) {
    this.report = report;
    this.options = options;
  }

  add(chunk: Uint8Array): void {
    let from = 0;
    while (from < chunk.length && this.state !== 'over') {
      if (this.left > 0) {
        const part = chunk.subarray(from, from + this.left);
        this.left -= part.length;
        this.reader?.add(part);
        this.extension?.push(new Uint8Array(part));
        from += part.length;
        this.at += part.length;
        if (this.left === 0) this.closeEntry();
        continue;
      }
      const wanted = this.padding > 0 ? this.padding : BLOCK - this.filled;
      const part = chunk.subarray(from, from + wanted);
      if (this.padding > 0) this.padding -= part.length;
      else {
        this.block.set(part, this.filled);
        this.filled += part.length;
      }
      from += part.length;
      this.at += part.length;
      if (this.filled === BLOCK) {
        this.filled = 0;
        this.header();
      }
    }
  }

  end(): void {
    if (this.left > 0 || this.filled > 0 || this.padding > 0)
      this.report(this.at, 'malformed', 'the archive ends within an entry');
  }

  private header(): void {
    const begin = this.at - BLOCK;
    if (this.block.every((byte) => byte === 0)) {
      this.state = 'ended';
      return;
    }
    if (this.state === 'ended') {
      if (!this.hasTold) this.report(begin, 'trailing-bytes', 'bytes follow the end of the archive');
      this.hasTold = true;
      this.state = 'over';
      return;
    }
    this.entries += 1;
    const size = this.number(124, 12);
    if (!isTarHeader(this.block) || size === null || this.entries > MAX_ENTRIES) {
      const isMany = this.entries > MAX_ENTRIES;
      this.report(begin, isMany ? 'resource-limit' : 'malformed', isMany ? 'more entries than are read' : 'no header');
      this.state = 'over';
      return;
    }
    this.openEntry(begin, size);
  }

  private openEntry(begin: number, size: number): void {
    const flag = String.fromCharCode(this.block[156] as number);
    const type = Object.hasOwn(TYPES, flag) ? TYPES[flag] : undefined;
    const name = this.longName ?? this.name();
    const told = printable(name);
    if (type === 'extension') {
      if (size > MAX_LONG_NAME) this.report(begin, 'resource-limit', `an extension header of ${size} bytes`);
      this.extension = size > MAX_LONG_NAME ? null : [];
    } else {
      this.longName = null;
      const problem = unsafePath(name.replace(/\/$/, '').replace(/^\.\//, ''));
      if (problem !== null && name !== './') this.report(begin, 'unsafe-name', `${told}: ${problem}`);
      if (type === 'link') this.report(begin, 'archive-link', `${told} is a link to ${printable(this.text(157, 100))}`);
      if (type === 'device') this.report(begin, 'archive-link', `${told} is a device or pipe`);
      if (type === undefined) this.report(begin, 'unsupported-method', `${told} is of the type ${printable(flag)}`);
      if (type === 'file') this.reader = this.options.open(reportWithin(this.report, this.at, told), size);
    }
    if (this.at + size > this.options.size)
      this.report(begin, 'malformed', `${told} claims ${size} bytes, and the archive ends before`);
    this.left = size;
    this.padding = (BLOCK - (size % BLOCK)) % BLOCK;
    if (size === 0) this.closeEntry();
  }

  private closeEntry(): void {
    this.reader?.end();
    this.reader = null;
    if (this.extension === null) return;
    const text = Buffer.concat(this.extension).toString('utf8');
    this.extension = null;
    const flag = String.fromCharCode(this.block[156] as number);
    if (flag === 'L') this.longName = text.replace(/\0.*$/s, '');
    else if (flag === 'x') {
      const path = /(?:^|\n)\d+ path=([^\n]*)\n/.exec(text)?.[1];
      if (path !== undefined) this.longName = path;
      if (/(?:^|\n)\d+ (?:linkpath|size|GNU\.sparse[^=]*)=/.test(text))
        this.report(this.at, 'unsupported-method', 'an extension changes the size of an entry, or where a link leads');
    }
  }

  private name(): string {
    const prefix = this.text(257, 5) === 'ustar' ? this.text(345, 155) : '';
    return prefix === '' ? this.text(0, 100) : `${prefix}/${this.text(0, 100)}`;
  }

  private text(from: number, length: number): string {
    return Buffer.from(this.block.subarray(from, from + length))
      .toString('utf8')
      .replace(/\0.*$/s, '');
  }

  /** An octal number, or one in base 256 that fits; `null`: neither. */
  private number(from: number, length: number): number | null {
    if (((this.block[from] as number) & 0x80) !== 0) {
      let value = 0;
      for (let at = from + 1; at < from + length; at += 1) value = value * 256 + (this.block[at] as number);
      return Number.isSafeInteger(value) ? value : null;
    }
    const text = this.text(from, length).trim();
    return /^[0-7]*$/.test(text) ? Number.parseInt(text === '' ? '0' : text, 8) : null;
  }
}
