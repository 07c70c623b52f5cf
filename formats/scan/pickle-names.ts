import { OP, SHAPE, SHAPE_OF, uint } from './pickle-ops.js';

/** Of so many bytes before an opcode the strings can still be named. */
const KEPT_BYTES = 64 * 1024;
/** The longest string that is named, and with its opcode, its length and its quotes. */
export const MAX_NAMED_BYTES = 255;
const MAX_OPCODE_BYTES = MAX_NAMED_BYTES + 16;
const NEWLINE = 0x0a;

/**
 * The bytes that went by last. A pickle's stack holds where a string stands instead of what it says, as hardly any is the name
 * of an import: this reads the few that are.
 */
export class RecentBytes {
  private chunk: Uint8Array = new Uint8Array(0);
  private chunkAt = 0;
  /** What came before the chunk, each byte at its offset modulo the size. Most files are over before they need it. */
  private ring: Uint8Array | null = null;

  /** These bytes are looked at now, the first of them at `offset` of the file. */
  begin(chunk: Uint8Array, offset: number): void {
    this.chunk = chunk;
    this.chunkAt = offset;
  }

  /** So many of them have been looked at, and will be overwritten. */
  keep(length: number): void {
    this.ring ??= new Uint8Array(KEPT_BYTES);
    let from = Math.max(0, length - KEPT_BYTES);
    while (from < length) {
      const place = (this.chunkAt + from) % KEPT_BYTES;
      const to = Math.min(length, from + KEPT_BYTES - place);
      this.ring.set(this.chunk.subarray(from, to), place);
      from = to;
    }
  }

  /** What the string says whose opcode stands at `where`; `null` where that is too far from `now` to tell. */
  stringAt(where: number, now: number): string | null {
    if (now - where > KEPT_BYTES - MAX_OPCODE_BYTES) return null;
    const bytes = Uint8Array.from({ length: MAX_OPCODE_BYTES }, (_, at) => this.byteAt(where + at));
    const op = bytes[0] as number;
    const width = (SHAPE_OF[op] as number) - SHAPE.counted;
    if (width > 0) {
      const from = 1 + width;
      return Buffer.from(bytes.subarray(from, from + uint(bytes, 1, width))).toString('utf8');
    }
    const quotes = op === OP.STRING ? 1 : 0;
    const text = Buffer.from(bytes.subarray(1 + quotes, bytes.indexOf(NEWLINE) - quotes));
    return text.toString(op === OP.UNICODE ? 'latin1' : 'utf8');
  }

  /** So many bytes that stand before an offset. */
  before(offset: number, count: number): Buffer {
    return Buffer.from(Array.from({ length: count }, (_, at) => this.byteAt(offset - count + at)));
  }

  private byteAt(offset: number): number {
    if (offset >= this.chunkAt) return this.chunk[offset - this.chunkAt] ?? NEWLINE;
    return this.ring?.[offset % KEPT_BYTES] ?? NEWLINE;
  }
}
