import type { ArtifactFormat } from '../../domain/artifacts.js';
import { printable } from '../json.js';
import { unsafePath } from '../paths.js';
import { reportWithin, type ArtifactReader, type Report } from './reader.js';
import { isTarHeader } from './sniff.js';

const BLOCK = 512;
const MAX_ENTRIES = 100_000;
const MAX_LONG_NAME = 64 * 1024;
/** Keys of an extension that change neither which bytes an entry has nor what it is called. */
const TOLD = /^(comment|[acm]time|[gu]id|[gu]name|charset|(SCHILY|LIBARCHIVE)\..+)$/;

/** Where the other numbers of a header stand: mode, user, group, time and device. */
const NUMBERS: readonly (readonly [at: number, length: number])[] = [
  ...([
    [100, 8],
    [108, 8],
    [116, 8],
    [136, 12],
    [329, 8],
    [337, 8],
  ] as const),
];

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
    // Python ends there without a word, and other readers go on.
    const isOdd = NUMBERS.some(([at, length]) => this.number(at, length) === null);
    if (!isTarHeader(this.block) || size === null || isOdd || this.entries > MAX_ENTRIES) {
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
    const name = this.longName ?? this.names()[0] ?? '';
    const told = printable(name);
    if (type === 'extension') {
      if (size > MAX_LONG_NAME) this.report(begin, 'resource-limit', `an extension header of ${size} bytes`);
      this.extension = size > MAX_LONG_NAME ? null : [];
    } else {
      const names = this.longName === null ? this.names() : [this.longName];
      this.longName = null;
      if (names.length > 1) this.report(begin, 'archive-mismatch', `${told}: readers differ in what its name is`);
      for (const each of names) {
        const isText = !each.includes('\ufffd');
        const problem = isText ? unsafePath(each.replace(/\/$/, '').replace(/^\.\//, '')) : 'its name is not UTF-8';
        if (problem !== null && each !== './') this.report(begin, 'unsafe-name', `${printable(each)}: ${problem}`);
      }
      if (type === 'link') this.report(begin, 'archive-link', `${told} is a link to ${printable(this.text(157, 100))}`);
      if (type === 'device') this.report(begin, 'archive-link', `${told} is a device or pipe`);
      if (type === undefined) this.report(begin, 'unsupported-method', `${told} is of the type ${printable(flag)}`);
      // Some readers skip these bytes and others take them for the next header.
      if (size > 0 && type !== undefined && (type !== 'file' || name.endsWith('/')))
        this.report(begin, 'archive-mismatch', `${told} is no file, and has ${size} bytes`);
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
    const bytes = Buffer.concat(this.extension);
    this.extension = null;
    const flag = String.fromCharCode(this.block[156] as number);
    if (flag === 'L') {
      // Python reads on to a NUL, wherever that is, and others only as far as the header says.
      if (bytes.indexOf(0) !== bytes.length - 1)
        this.report(this.at, 'archive-mismatch', 'readers differ in where the name of the next entry ends');
      this.rename(bytes.toString('utf8').replace(/\0.*$/s, ''));
    }
    if (flag === 'x' || flag === 'g') this.extend(bytes, flag);
  }

  /** What an extension says of the next entry, or of all that follow: readers agree on none of it but a name and what is told. */
  private extend(bytes: Buffer, flag: 'x' | 'g'): void {
    const records = paxRecords(bytes);
    if (records === null) return this.report(this.at, 'malformed', 'an extension header whose records do not fit it');
    for (const [key, value] of records) {
      if (key === 'path' && flag === 'x') this.rename(value);
      else if (!TOLD.test(key))
        this.report(this.at, 'unsupported-method', `an extension changes what an entry is: ${printable(key)}`);
    }
  }

  private rename(name: string): void {
    if (this.longName !== null) this.report(this.at, 'archive-mismatch', 'two extensions name the same entry');
    this.longName = name;
  }

  /** The name, and the one that readers make of it who ask for no `ustar` before they take the prefix. */
  private names(): readonly string[] {
    const [name, prefix] = [this.text(0, 100), this.text(345, 155)];
    if (prefix === '') return [name];
    const whole = `${prefix}/${name}`;
    return this.text(257, 6) === 'ustar' ? [whole] : [name, whole];
  }

  private text(from: number, length: number): string {
    return Buffer.from(this.block.subarray(from, from + length))
      .toString('utf8')
      .replace(/\0.*$/s, '');
  }

  /** An octal number, or one in base 256 that fits; `null`: neither. */
  private number(from: number, length: number): number | null {
    if (((this.block[from] as number) & 0x80) !== 0) {
      if (this.block[from] !== 0x80) return null;
      let value = 0;
      for (let at = from + 1; at < from + length; at += 1) value = value * 256 + (this.block[at] as number);
      return Number.isSafeInteger(value) ? value : null;
    }
    const text = this.text(from, length).trim();
    return /^[0-7]*$/.test(text) ? Number.parseInt(text === '' ? '0' : text, 8) : null;
  }
}

/** The records of an extension header, each its own length, a key and a value; `null`: they are none. */
function paxRecords(bytes: Buffer): readonly (readonly [string, string])[] | null {
  const records: [string, string][] = [];
  for (let at = 0; at < bytes.length;) {
    const length = Number(/^[1-9]\d{0,5} /.exec(bytes.toString('latin1', at, at + 8))?.[0] ?? 0);
    const record = bytes.toString('utf8', at, at + length);
    const [, key, value] = /^\d+ ([^=]+)=(.*)\n$/s.exec(record) ?? [];
    if (key === undefined || value === undefined || at + length > bytes.length) return null;
    records.push([key, value]);
    at += length;
  }
  return records;
}
