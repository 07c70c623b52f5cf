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
const ZIP64_FIELD = 1;
const UTF8 = 0x800;
const RENAMING_FIELDS: ReadonlySet<number> = new Set([0x7075, 0x6375]);
/** How far from the end of a file some reader still looks: miniz (PyTorch's), the farthest, goes back in blocks of 4 KiB. */
const LAX_REACH = 72 * 1024;
/** The end of a file in which everything lies that says where a zip's directory is. */
export const TAIL_BYTES = LAX_REACH + LOCATOR_BYTES + END64_BYTES;
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

/**
 * Where in a file of another format some reader finds the end of a zip, from the last bytes of the file; `null`: none does.
 * Python counts the directory back from there, miniz forward: the offset, the count and the comment are believed by neither
 * or by one of them alone, so that the size of the directory is all that must be possible.
 */
export function findLaxEnd(tail: Uint8Array, size: number): number | null {
  const bytes = Buffer.from(tail.buffer, tail.byteOffset, tail.byteLength);
  const base = size - bytes.length;
  for (let at = bytes.length - END_BYTES; at >= Math.max(0, bytes.length - LAX_REACH); at -= 1) {
    if (bytes.readUInt32LE(at) !== END) continue;
    const locator = at - LOCATOR_BYTES;
    const isWide = locator >= 0 && bytes.readUInt32LE(locator) === LOCATOR64;
    if (isWide || bytes.readUInt32LE(at + 12) <= size) return base + at;
  }
  return null;
}

/** With an end of 64 bits, both ends must say the same, and the wide one stand where every reader looks for it. */
function placeOf(view: DataView, at: number, base: number): Omit<DirectoryPlace, 'fileEnd' | 'comment'> | null {
  const locator = at - LOCATOR_BYTES;
  const entries = view.getUint16(at + 10, true);
  const [size, offset] = [view.getUint32(at + 12, true), view.getUint32(at + 16, true)];
  if (locator < 0 || view.getUint32(locator, true) !== LOCATOR64)
    return sound({ offset, size, entries, end: base + at });
  const end64 = locator - END64_BYTES;
  if (end64 < 0 || Number(view.getBigUint64(locator + 8, true)) !== base + end64) return null;
  if (view.getUint32(end64, true) !== END64) return null;
  const wide = (field: number): number => Number(view.getBigUint64(end64 + field, true));
  const agrees = (narrow: number, value: number, none: number): boolean => narrow === value || narrow === none;
  const isSame = agrees(entries, wide(32), 0xffff) && agrees(size, wide(40), 0xffffffff);
  if (!isSame || !agrees(offset, wide(48), 0xffffffff)) return null;
  return sound({ offset: wide(48), size: wide(40), entries: wide(32), end: base + end64 });
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
    const narrow = {
      size: view.getUint32(at + 24, true),
      packed: view.getUint32(at + 20, true),
      offset: view.getUint32(at + 42, true),
    };
    const extra = bytes.subarray(nameEnd, extraEnd);
    const wide = wideSizes(extra, narrow);
    if (wide === null || renames(extra))
      report(place.offset + at, 'archive-mismatch', 'an extra field gives an entry other sizes, or another name');
    const entry: ZipEntry = {
      name: Buffer.from(nameBytes).toString('utf8'),
      nameBytes,
      flags: view.getUint16(at + 8, true),
      method: view.getUint16(at + 10, true),
      crc: view.getUint32(at + 16, true),
      mode: view.getUint8(at + 5) === 3 ? view.getUint16(at + 40, true) : 0,
      ...narrow,
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

/** An extra field by its number, with its content. */
function* extraFields(extra: Uint8Array): Generator<readonly [number, Buffer]> {
  const bytes = Buffer.from(extra.buffer, extra.byteOffset, extra.byteLength);
  for (let at = 0; at + 4 <= bytes.length;) {
    const end = at + 4 + bytes.readUInt16LE(at + 2);
    yield [bytes.readUInt16LE(at), bytes.subarray(at + 4, end)];
    at = end;
  }
}

/**
 * Those of these numbers that do not fit into four bytes, from the extra field that then holds them, in this order; `null`: it
 * holds more or less than those, of which each reader makes something else.
 */
export function wideSizes<Name extends string>(
  extra: Uint8Array,
  narrow: Readonly<Record<Name, number>>,
): Partial<Record<Name, number>> | null {
  const names = (Object.keys(narrow) as Name[]).filter((name) => narrow[name] === 0xffffffff);
  const fields = [...extraFields(extra)].filter(([id]) => id === ZIP64_FIELD);
  const content = fields[0]?.[1] ?? Buffer.alloc(0);
  if (fields.length > 1 || content.length !== names.length * 8) return null;
  const found: Partial<Record<Name, number>> = {};
  for (const [at, name] of names.entries()) found[name] = Number(content.readBigUInt64LE(at * 8));
  return found;
}

/** Whether an extra field (Info-ZIP's Unicode path or comment) gives another name, which only some readers take. */
export function renames(extra: Uint8Array): boolean {
  for (const [id] of extraFields(extra)) if (RENAMING_FIELDS.has(id)) return true;
  return false;
}

function checkName({ name, nameBytes, mode, flags }: ZipEntry, seen: Set<string>, at: number, report: Report): void {
  const told = printable(name);
  const kind = mode & 0xf000;
  if (kind !== 0 && kind !== 0x8000 && kind !== 0x4000)
    report(at, 'archive-link', `${told} is a link or a device, not a file`);
  const isText = Buffer.from(name, 'utf8').equals(nameBytes);
  const problem = isText ? unsafePath(name.replace(/\/$/, '')) : 'its name is not UTF-8';
  if (problem !== null) report(at, 'unsafe-name', `${told}: ${problem}`);
  // Without the flag that says UTF-8, readers take other letters for those of IBM's code page, or of the host's.
  else if ((flags & UTF8) === 0 && /[^\0-\x7f]/.test(name))
    report(at, 'archive-mismatch', `${told}: readers differ in what its name says`);
  const folded = name.normalize('NFC').toLowerCase();
  if (seen.has(folded)) report(at, 'archive-mismatch', `${told} stands twice in its directory`);
  seen.add(folded);
}
