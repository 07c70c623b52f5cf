import { CustodyError } from '../domain/errors.js';
import { Frontier, HASH_SIZE } from './tlog.js';

/** Hashes in a full tile and entries in a full bundle (C2SP tlog-tiles: height 8). */
export const TILE_WIDTH = 256;
const TILE_HEIGHT = 8;
/** The last tile of a tree that JavaScript can count. */
const MAX_LEVEL = 6;
const MAX_ENTRY_LENGTH = 65_535;

export interface Tile {
  /** 0: hashes of entries; L: roots of full tiles of level L - 1. */
  readonly level: number;
  readonly index: number;
  readonly width: number;
  readonly bytes: Buffer;
}

/** A growing tree that knows the unfinished tile of every level. */
export class TiledTree {
  private readonly frontier = new Frontier();
  private readonly levels: Buffer[][] = [];

  get size(): number {
    return this.frontier.size;
  }

  root(): Buffer {
    return this.frontier.root();
  }

  /**
   * Adds a leaf hash (level 0), or the root of a full tile of level `level - 1` where such a tile may begin. Answers the
   * tiles that are to be kept: full ones of every level, and unfinished ones from level 1 on.
   */
  append(hash: Buffer, level = 0): Tile[] {
    const complete = this.frontier.append(hash, level * TILE_HEIGHT);
    const tiles: Tile[] = [];
    for (let at = level; ; at += 1) {
      // A full tile is a complete subtree.
      const top = complete[(at - level) * TILE_HEIGHT];
      if (top === undefined) break;
      const row = (this.levels[at] ??= []);
      row.push(top);
      const index = Math.ceil(this.size / TILE_WIDTH ** (at + 1)) - 1;
      if (at > 0 || row.length === TILE_WIDTH)
        tiles.push({ level: at, index, width: row.length, bytes: Buffer.concat(row) });
      if (row.length === TILE_WIDTH) row.length = 0;
    }
    return tiles;
  }
}

export function hashesOfTile(bytes: Buffer): Buffer[] {
  const hashes: Buffer[] = [];
  for (let at = 0; at + HASH_SIZE <= bytes.length; at += HASH_SIZE) hashes.push(bytes.subarray(at, at + HASH_SIZE));
  return hashes;
}

/** An index in groups of three digits, all but the last marked: 1234067 is `x001/x234/067`. */
export function indexPath(index: number): string {
  const digits = String(index);
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/\d{3}/g) ?? [];
  return groups.map((group, at) => (at < groups.length - 1 ? `x${group}` : group)).join('/');
}

/** The index that has this path; `null` for any other text. */
export function parseIndexPath(path: string): number | null {
  const index = Number(path.replaceAll(/[x/]/g, ''));
  return Number.isSafeInteger(index) && indexPath(index) === path ? index : null;
}

export function tilePath(level: number, index: number, width = TILE_WIDTH): string {
  return `tile/${level}/${indexPath(index)}${partOf(width)}`;
}

export function bundlePath(index: number, width = TILE_WIDTH): string {
  return `tile/entries/${indexPath(index)}${partOf(width)}`;
}

function partOf(width: number): string {
  return width === TILE_WIDTH ? '' : `.p/${width}`;
}

const PATH = /^tile\/(entries|0|[1-9]\d?)\/([x\d/]+?)(?:\.p\/([1-9]\d{0,2}))?$/;

/** What a path asks for; `null` when it is none of tlog-tiles. */
export function parseTilePath(path: string): { level: number | 'entries'; index: number; width: number } | null {
  const [, kind, indexText, part] = PATH.exec(path) ?? [];
  if (kind === undefined || indexText === undefined) return null;
  const level = kind === 'entries' ? kind : Number(kind);
  const index = parseIndexPath(indexText);
  if (index === null || (level !== 'entries' && level > MAX_LEVEL)) return null;
  if (part !== undefined && Number(part) >= TILE_WIDTH) return null;
  return { level, index, width: part === undefined ? TILE_WIDTH : Number(part) };
}

/** An entry bundle: each entry after its length in two bytes, big-endian. */
export function encodeBundle(entries: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [];
  for (const entry of entries) {
    if (entry.length > MAX_ENTRY_LENGTH)
      throw new CustodyError('MALFORMED', `an entry has ${entry.length} bytes, at most ${MAX_ENTRY_LENGTH} fit`);
    const length = Buffer.alloc(2);
    length.writeUInt16BE(entry.length);
    parts.push(length, entry);
  }
  return Buffer.concat(parts);
}

/** The entries of a bundle of at most 256; MALFORMED when it ends inside an entry or holds more. */
export function decodeBundle(bytes: Buffer, what: string): Buffer[] {
  const { entries, rest } = entriesOfBundle(bytes);
  if (rest === 0) return entries;
  const problem =
    entries.length === TILE_WIDTH ? `more than ${TILE_WIDTH} entries` : `no end of entry ${entries.length}`;
  throw new CustodyError('MALFORMED', `${what} has ${problem}`, { details: { what } });
}

/** The entries of a bundle as far as they are whole, at most 256, and how many bytes follow. */
export function entriesOfBundle(bytes: Buffer): { readonly entries: Buffer[]; readonly rest: number } {
  const entries: Buffer[] = [];
  let at = 0;
  while (at + 2 <= bytes.length && entries.length < TILE_WIDTH) {
    const end = at + 2 + bytes.readUInt16BE(at);
    if (end > bytes.length) break;
    entries.push(bytes.subarray(at + 2, end));
    at = end;
  }
  return { entries, rest: bytes.length - at };
}
