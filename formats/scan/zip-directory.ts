import { unsafePath } from '../paths.js';
import type { Report } from './reader.js';
import { printable } from '../json.js';

const END = 0x06054b50;
const END64 = 0x06064b50;
const LOCATOR64 = 0x07064b50;
const ENTRY = 0x02014b50;
const END_BYTES = 22;
const ENTRY_BYTES = 46;
const MAX_COMMENT = 0xffff;
const LOCATOR_BYTES = 20;
const END64_BYTES = 56;
/** The end of a file in which everything lies that says where a zip's directory is. */
export const TAIL_BYTES = MAX_COMMENT + END_BYTES + LOCATOR_BYTES + END64_BYTES;
/** A directory of about 200,000 entries. */
export const MAX_DIRECTORY_BYTES = 32 * 1024 * 1024;

/** Where a zip's directory lies in its file. */
export interface DirectoryPlace {
  readonly offset: number;
  readonly size: number;
  readonly entries: number;
  /** Where the records after the directory begin, and where the last of them ends. */
  readonly end: number;
  readonly fileEnd: number;
  /** Bytes of the comment behind it all. */
  readonly comment: number;
}

export interface ZipEntry {
  readonly name: string;
  readonly nameBytes: Uint8Array;
  readonly flags: number;
  readonly method: number;
  readonly crc: number;
  readonly packed: number;
  readonly size: number;
  /** Where its local header begins. */
  readonly offset: number;
  /** Of Unix, where the archive says so. */
  readonly mode: number;
}

/**
 * Where the directory of a zip lies, from the last bytes of a file of `size` bytes; `null`: this is no end of a zip. An end
 * that fits together is one even in a file that begins like something else.
 */
export function findDirectory(tail: Uint8Array, size: number): DirectoryPlace | null {
  const view = new DataView(tail.buffer, tail.byteOffset, tail.byteLength);
  const base = size - tail.length;
  for (let at = tail.length - END_BYTES; at >= Math.max(0, tail.length - END_BYTES - MAX_COMMENT); at -= 1) {
    if (view.getUint32(at, true) !== END) continue;
    const comment = view.getUint16(at + 20, true);
    const commentEnd = at + END_BYTES + comment;
    if (commentEnd > tail.length) continue;
    const place = placeOf(view, at, base);
    if (place !== null) return { ...place, fileEnd: base + commentEnd, comment };
  }
  return null;
}

function placeOf(view: DataView, at: number, base: number): Omit<DirectoryPlace, 'fileEnd' | 'comment'> | null {
  const locator = at - LOCATOR_BYTES;
  if (locator >= 0 && view.getUint32(locator, true) === LOCATOR64) {
    const end64 = Number(view.getBigUint64(locator + 8, true)) - base;
    if (end64 >= 0 && end64 + END64_BYTES <= locator && view.getUint32(end64, true) === END64) {
      const [entries, size, offset] = [32, 40, 48].map((field) => Number(view.getBigUint64(end64 + field, true)));
      return sound({ offset: offset ?? 0, size: size ?? 0, entries: entries ?? 0, end: base + end64 });
    }
  }
  const entries = view.getUint16(at + 10, true);
  const [size, offset] = [view.getUint32(at + 12, true), view.getUint32(at + 16, true)];
  return sound({ offset, size, entries, end: base + at });
}

/** Bytes may stand between the directory and its end, and before the first entry: then it is an archive all the same. */
function sound(place: Omit<DirectoryPlace, 'fileEnd' | 'comment'>): Omit<DirectoryPlace, 'fileEnd' | 'comment'> | null {
  const { offset, size, entries, end } = place;
  return offset + size <= end && size >= entries * ENTRY_BYTES ? place : null;
}

/** The entries of a directory, as far as it is one; what is wrong with it and with their names is reported. */
export function readDirectory(bytes: Uint8Array, place: DirectoryPlace, report: Report): ZipEntry[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries: ZipEntry[] = [];
  const seen = new Set<string>();
  let at = 0;
  while (at + ENTRY_BYTES <= bytes.length && view.getUint32(at, true) === ENTRY) {
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((field) => view.getUint16(at + field, true));
    const nameEnd = at + ENTRY_BYTES + (nameLength ?? 0);
    const extraEnd = nameEnd + (extraLength ?? 0);
    if (extraEnd + (commentLength ?? 0) > bytes.length) break;
    const nameBytes = new Uint8Array(bytes.subarray(at + ENTRY_BYTES, nameEnd));
    const wide = zip64Of(view, at, nameEnd, extraEnd);
    const entry: ZipEntry = {
      name: Buffer.from(nameBytes).toString('utf8'),
      nameBytes,
      flags: view.getUint16(at + 8, true),
      method: view.getUint16(at + 10, true),
      crc: view.getUint32(at + 16, true),
      mode: view.getUint8(at + 5) === 3 ? view.getUint16(at + 40, true) : 0,
      ...wide,
    };
    checkName(entry, seen, place.offset + at, report);
    entries.push(entry);
    at = extraEnd + (commentLength ?? 0);
  }
  if (at !== bytes.length || entries.length !== place.entries)
    report(
      place.offset + at,
      'archive-mismatch',
      `its directory holds ${entries.length} entries in ${at} bytes, and claims ${place.entries} in ${place.size}`,
    );
  return entries;
}

/** Sizes and offset, from the extra field where they do not fit into four bytes. */
function zip64Of(view: DataView, at: number, from: number, to: number): Pick<ZipEntry, 'packed' | 'size' | 'offset'> {
  const fields = { size: view.getUint32(at + 24, true), packed: view.getUint32(at + 20, true) };
  const all = { ...fields, offset: view.getUint32(at + 42, true) };
  for (let extra = from; extra + 4 <= to;) {
    const length = view.getUint16(extra + 2, true);
    if (view.getUint16(extra, true) === 1) {
      let value = extra + 4;
      for (const field of ['size', 'packed', 'offset'] as const) {
        if (all[field] !== 0xffffffff || value + 8 > Math.min(to, extra + 4 + length)) continue;
        all[field] = Number(view.getBigUint64(value, true));
        value += 8;
      }
    }
    extra += 4 + length;
  }
  return all;
}

function checkName({ name, nameBytes, mode }: ZipEntry, seen: Set<string>, at: number, report: Report): void {
  const told = printable(name);
  const kind = mode & 0xf000;
  if (kind !== 0 && kind !== 0x8000 && kind !== 0x4000)
    report(at, 'archive-link', `${told} is a link or a device, not a file`);
  const isText = Buffer.from(name, 'utf8').equals(nameBytes);
  const problem = isText ? unsafePath(name.replace(/\/$/, '')) : 'its name is not UTF-8';
  if (problem !== null) report(at, 'unsafe-name', `${told}: ${problem}`);
  const folded = name.normalize('NFC').toLowerCase();
  if (seen.has(folded)) report(at, 'archive-mismatch', `${told} stands twice in its directory`);
  seen.add(folded);
}
