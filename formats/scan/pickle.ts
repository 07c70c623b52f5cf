import { doLine } from './pickle-arguments.js';
import { Frames } from './pickle-frames.js';
import { lineEnd, MAX_LINE_BYTES, readNames } from './pickle-lines.js';
import { PickleMachine } from './pickle-machine.js';
import { RecentBytes } from './pickle-names.js';
import { DATA_OF, EFFECT, EFFECT_OF, OP, SHAPE, SHAPE_OF, uint } from './pickle-ops.js';
import type { ArtifactReader, Report } from './reader.js';

const HIGHEST_PROTOCOL = 5;
const MAX_OPCODES = 200_000_000;
const JOINED_BYTES = 1024;
const EMPTY = new Uint8Array(0);

/** What PyTorch wrote before 1.6: five pickles, the first of which is this number, then raw tensors. */
const TORCH_MAGIC = Buffer.from('8a0a6cfc9c46f9206aa85019', 'hex');
const TORCH_PICKLES = 5;

export interface PickleOptions {
  /** Bytes in all. */
  readonly size: number;
  /** Whether a persistent id is no more than a reference to a tensor, as in what PyTorch writes. */
  readonly resolvesPersistentIds?: boolean;
}

/**
 * Walks the opcodes of one or more pickles in a row, of any protocol, in one pass. Whatever a loader would do before it stops
 * is reported, however the file goes on; a pickle that cannot be followed to its end is never clean.
 */
export class PickleReader implements ArtifactReader {
  /** How many pickles ended properly. */
  ended = 0;
  /** Nothing more is looked at: what follows is broken, beyond a limit, or no pickle. */
  isOver = false;
  /** Whether that was a limit. */
  isExceeded = false;
  private readonly report: Report;
  private readonly size: number;
  private readonly recent = new RecentBytes();
  private readonly frames: Frames;
  private readonly machine: PickleMachine;
  private carry: Uint8Array = EMPTY;
  /** Where in the file the bytes begin that are being looked at. */
  private base = 0;
  /** Bytes, and lines, that do not matter. */
  private skip = 0;
  private skipsLines = 0;
  /** Where the opcode stands that is being looked at. */
  private where = 0;
  private isTorch = false;
  /** What follows the end has been told: that it is no pickle either goes without saying. */
  private isTrailing = false;

  constructor(report: Report, { size, resolvesPersistentIds = false }: PickleOptions) {
    this.report = report;
    this.size = size;
    this.frames = new Frames(report, size);
    this.machine = new PickleMachine(report, this.recent, resolvesPersistentIds);
  }

  /** Imports, in all pickles. */
  get imports(): number {
    return this.machine.imported.count;
  }

  /** Imports that some module could answer: whoever reads other bytes as a pickle comes upon any names. */
  get possibleImports(): number {
    return this.machine.imported.possible;
  }

  /** Calls of what may be an import. */
  get calls(): number {
    return this.machine.calls;
  }

  add(chunk: Uint8Array): void {
    if (this.isOver) return;
    // The opcode that was cut is put together with as little of the chunk as it takes; the rest is not copied.
    let used = 0;
    for (let more = JOINED_BYTES; this.carry.length > 0 && used < chunk.length; more *= 2) {
      const { carry } = this;
      const joined = new Uint8Array(carry.length + Math.min(more, chunk.length - used));
      joined.set(carry);
      joined.set(chunk.subarray(used, used + joined.length - carry.length), carry.length);
      const at = this.walk(joined, carry.length);
      if (at < carry.length) {
        this.carry = joined.subarray(at);
        used += joined.length - carry.length;
      } else {
        this.carry = EMPTY;
        used += at - carry.length;
      }
    }
    if (used >= chunk.length || this.isOver) return;
    const at = used + this.walk(chunk.subarray(used));
    this.carry = this.isOver || at >= chunk.length ? EMPTY : new Uint8Array(chunk.subarray(at));
  }

  end(): void {
    if (this.isOver) return;
    const isCutShort = this.carry.length > 0 || this.skip > 0 || this.skipsLines > 0 || this.machine.opcodes > 0;
    if (isCutShort || this.ended === 0) this.stop('it ends before its STOP');
    this.isOver = true;
  }

  /** Goes through the opcodes that begin before `until`, and answers where the next one begins. */
  private walk(chunk: Uint8Array, until: number = chunk.length): number {
    const end = chunk.length;
    // The engine compiles the loop for the type of array that it sees: a Buffer is another one.
    const bytes = new Uint8Array(chunk.buffer, chunk.byteOffset, end);
    const { machine } = this;
    this.recent.begin(bytes, this.base);
    let at = Math.min(this.skip, end);
    this.skip -= at;
    if (this.skipsLines > 0) at = this.passLines(bytes, at, end);
    while (at < until) {
      const next = this.opcode(bytes, at, end);
      if (next < 0) break;
      at = next;
      if (machine.opcodes > MAX_OPCODES) machine.exceed(`${MAX_OPCODES} opcodes`);
      if (machine.isHalted) this.halt();
      if (this.isOver) return end;
      // Between two pickles, and where a frame ends, the next opcode is looked at on its own.
      if (machine.opcodes > 0)
        at = machine.pass(bytes, at, this.frames.isOpen ? this.frames.endWithin(this.base, end) : end, this.base);
    }
    this.recent.keep(Math.min(at, end));
    this.base += Math.min(at, end);
    return at;
  }

  /** One opcode with its argument; answers where the next one begins, or -1 where its argument goes on in the next chunk. */
  private opcode(bytes: Uint8Array, at: number, end: number): number {
    const { machine } = this;
    const where = this.base + at;
    this.where = where;
    if (machine.opcodes === 0 && !this.begins(bytes, at, end)) return this.isOver ? end : -1;
    const op = bytes[at] as number;
    const shape = SHAPE_OF[op] as number;
    if (shape > SHAPE.counted) return this.counted(op, bytes, at, end, shape - SHAPE.counted);
    if (shape > SHAPE.widest) return this.written(op, shape, bytes, at, end);
    const next = at + 1 + shape;
    if (next > end) return -1;
    this.begun(1 + shape);
    const effect = EFFECT_OF[op];
    if (effect === EFFECT.data) machine.data(DATA_OF[op]);
    else if (effect === EFFECT.memoize) machine.memoize();
    else if (effect === EFFECT.put) machine.put(uint(bytes, at + 1, shape), where);
    else if (effect === EFFECT.get) machine.get(uint(bytes, at + 1, shape));
    else if (shape > 0) this.number(op, uint(bytes, at + 1, shape));
    else if (op === OP.STOP) this.stopped();
    else if (op === OP.BINPERSID) machine.persistentId(where, true);
    else machine.step(op, where);
    return next;
  }

  /** At the beginning of a pickle; `false`: there is none, or it cannot be told yet. */
  private begins(bytes: Uint8Array, at: number, end: number): boolean {
    if (this.isTorch && this.ended >= TORCH_PICKLES) {
      this.isOver = true;
      return false;
    }
    const isMarked = bytes[at] === OP.PROTO;
    if (this.ended > 0 && !this.isTorch && !this.isTrailing && !isMarked) {
      this.report(this.where, 'trailing-bytes', `${this.size - this.where} bytes follow the end of the pickle`);
      this.isTrailing = true;
    }
    const magicEnd = at + 2 + TORCH_MAGIC.length;
    if (this.ended === 0 && isMarked) {
      if (magicEnd > end && this.base + magicEnd <= this.size) return false;
      this.isTorch = TORCH_MAGIC.every((byte, offset) => bytes[at + 2 + offset] === byte);
      if (this.isTorch) this.machine.resolvesPersistentIds = true;
    }
    return true;
  }

  private number(op: number, value: number): void {
    const { machine, where } = this;
    if (op === OP.FRAME) this.frames.begin(where, value);
    else if (op !== OP.PROTO) machine.extension(where, value);
    else if (value > HIGHEST_PROTOCOL) machine.breakOff(`there is no protocol ${value}`);
  }

  /** An opcode with a length of `width` bytes, and so many bytes. */
  private counted(op: number, bytes: Uint8Array, at: number, end: number, width: number): number {
    const { machine, where } = this;
    const from = at + 1 + width;
    if (from > end) return -1;
    const length = width === 1 ? (bytes[at + 1] as number) : uint(bytes, at + 1, width);
    const next = from + length;
    const isText = EFFECT_OF[op] === EFFECT.text;
    const isBeyond = next > end && this.base + next > this.size;
    if (next > end && isText && length <= 255 && !isBeyond) return -1;
    this.begun(next - at);
    if (isBeyond)
      machine.breakOff(`at byte ${where} it claims ${length} bytes, and there are ${this.size - this.base - from}`);
    else if (!isText) machine.data(DATA_OF[op]);
    else if (length <= 255) machine.string(bytes, from, next, where);
    else machine.longString();
    if (next <= end) return next;
    this.skip = next - end;
    return end;
  }

  /** An opcode of the first protocols, whose argument is a line, or two. */
  private written(op: number, shape: number, bytes: Uint8Array, at: number, end: number): number {
    const { machine } = this;
    const isLast = this.base + end >= this.size;
    if (shape === SHAPE.names) {
      const names = readNames(bytes, at + 1, end, isLast);
      if (names === null) return -1;
      this.begun(names.next - at);
      this.skipsLines = names.unread;
      if (op === OP.GLOBAL) machine.global(this.where, names.module, names.name);
      else machine.instance(this.where, names.module, names.name);
      return this.skipsLines > 0 ? this.passLines(bytes, names.next, end) : names.next;
    }
    if (shape === SHAPE.line) {
      const newline = lineEnd(bytes, at + 1, end);
      if (newline < 0 && !isLast && end - (at + 1) <= MAX_LINE_BYTES) return -1;
      const next = newline < 0 ? end : newline + 1;
      this.begun(next - at);
      doLine(machine, op, bytes, at + 1, newline < 0 ? end : newline, this.where);
      if (newline < 0) this.skipsLines = 1;
      return next;
    }
    this.begun(1);
    machine.breakOff(`0x${op.toString(16)} is no opcode`);
    return end;
  }

  private begun(length: number): void {
    this.machine.opcodes += 1;
    if (this.frames.isOpen) this.frames.opcode(this.where, length);
  }

  /** Goes on behind the lines of which the beginning was enough. */
  private passLines(bytes: Uint8Array, from: number, end: number): number {
    let at = from;
    while (this.skipsLines > 0 && at < end) {
      const newline = lineEnd(bytes, at, end);
      if (newline >= 0) this.skipsLines -= 1;
      at = newline < 0 ? end : newline + 1;
    }
    return at;
  }

  private stopped(): void {
    if (!this.machine.hasValue()) return this.machine.breakOff('it stops with nothing on the stack');
    this.frames.stop(this.where);
    this.ended += 1;
    this.machine.clear();
  }

  private halt(): void {
    const { broken, limit } = this.machine;
    if (broken !== null) return this.stop(broken);
    this.isExceeded = true;
    this.isOver = true;
    this.report(this.where, 'resource-limit', `it has more than may be followed: ${limit ?? ''}`);
  }

  private stop(problem: string): void {
    this.isOver = true;
    if (this.isTrailing) return;
    this.report(this.where, 'broken-pickle', `a loader would stop here, having done what stands before: ${problem}`);
  }
}
