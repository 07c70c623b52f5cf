import { Frames } from './pickle-frames.js';
import { OP, ARGUMENT, ARGUMENT_OF, isTextOp, uint, utf8 } from './pickle-ops.js';
import { PickleMachine, type MachineOptions } from './pickle-machine.js';
import { doLine, doNumber, MAX_NAME_BYTES } from './pickle-arguments.js';
import type { ArtifactReader, Report } from './reader.js';

const HIGHEST_PROTOCOL = 5;
const MAX_OPCODES = 200_000_000;
const NEWLINE = 0x0a;
const JOINED_BYTES = 1024;
const EMPTY = new Uint8Array(0);

/** What PyTorch wrote before 1.6: five pickles, the first of which is this number, then raw tensors. */
const TORCH_MAGIC = Buffer.from('8a0a6cfc9c46f9206aa85019', 'hex');
const TORCH_PICKLES = 5;

export interface PickleOptions extends Partial<MachineOptions> {
  /** Bytes in all. */
  readonly size: number;
  /** What follows the pickle belongs to somebody else. */
  readonly hasMore?: boolean;
}

/**
 * Walks the opcodes of one or more pickles in a row, of any protocol, in one pass. Whatever a loader would do before it stops
 * is reported, however the file goes on; a pickle that cannot be followed to its end is never clean.
 */
export class PickleReader implements ArtifactReader {
  machine: PickleMachine;
  /** How many pickles ended properly, and with how many imports and calls in all. */
  ended = 0;
  imports = 0;
  calls = 0;
  opcodes = 0;
  /** Nothing more is looked at: what follows is broken, beyond a limit, or no pickle. */
  isOver = false;
  private readonly report: Report;
  private readonly options: PickleOptions;
  private carry: Uint8Array = EMPTY;
  /** Where in the file the carried bytes begin. */
  private base = 0;
  private skip = 0;
  private skipsLine = false;
  private readonly frames: Frames;
  /** Where the opcode stands that is being looked at. */
  private where = 0;
  private isTorch = false;

  constructor(report: Report, options: PickleOptions) {
    this.report = report;
    this.options = options;
    this.frames = new Frames(report, options.size);
    this.machine = this.newMachine();
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
        this.carry = joined;
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
    const isCutShort = this.carry.length > 0 || this.skip > 0 || this.skipsLine || this.machine.opcodes > 0;
    if (isCutShort || this.ended === 0) this.stop('it ends before its STOP');
    this.isOver = true;
  }

  private newMachine(): PickleMachine {
    const resolvesPersistentIds = (this.options.resolvesPersistentIds ?? false) || this.isTorch;
    return new PickleMachine(this.report, { resolvesPersistentIds });
  }

  /** Goes through the opcodes that begin before `until`, and answers where the next one begins. */
  private walk(bytes: Uint8Array, until: number = bytes.length): number {
    const end = bytes.length;
    let at = 0;
    while (at < until && !this.isOver) {
      if (this.skip > 0) {
        const skipped = Math.min(this.skip, end - at);
        this.skip -= skipped;
        at += skipped;
        continue;
      }
      if (this.skipsLine) {
        const newline = bytes.indexOf(NEWLINE, at);
        this.skipsLine = newline < 0;
        at = newline < 0 ? end : newline + 1;
        continue;
      }
      const next = this.opcode(bytes, at, end);
      if (next < 0) break;
      at = next;
      const { machine } = this;
      if (machine.broken !== null) this.stop(machine.broken);
      else if (machine.limit !== null) this.exceed(machine.limit);
    }
    this.machine.keepRecent();
    this.base += Math.min(at, end);
    return at;
  }

  /** One opcode with its argument; answers where the next one begins, or -1 where its argument goes on in the next chunk. */
  private opcode(bytes: Uint8Array, at: number, end: number): number {
    const op = bytes[at] as number;
    const where = this.base + at;
    this.where = where;
    const { machine } = this;
    if (machine.opcodes === 0) {
      if (!this.begins(bytes, at, end, where)) return this.isOver ? end : -1;
    }
    const from = at + 1;
    switch (ARGUMENT_OF[op]) {
      case ARGUMENT.none:
        machine.opcodes += 1;
        if (!this.fits(where, 1)) return end;
        if (op === OP.STOP) this.stopped(where);
        else if (op === OP.MEMOIZE) machine.memoize();
        else if (op === OP.BINPERSID) machine.persistentId(where, true);
        else machine.step(op, where);
        return from;
      case ARGUMENT.byte:
        if (from + 1 > end) return -1;
        return this.number(op, where, bytes[from] as number, 1) ? from + 1 : end;
      case ARGUMENT.two:
        if (from + 2 > end) return -1;
        return this.number(op, where, uint(bytes, from, 2), 2) ? from + 2 : end;
      case ARGUMENT.four:
        if (from + 4 > end) return -1;
        return this.number(op, where, uint(bytes, from, 4), 4) ? from + 4 : end;
      case ARGUMENT.eight:
        if (from + 8 > end) return -1;
        return this.number(op, where, uint(bytes, from, 8), 8) ? from + 8 : end;
      case ARGUMENT.counted1:
        return from + 1 > end ? -1 : this.counted(op, bytes, from + 1, end, where, bytes[from] as number);
      case ARGUMENT.counted4:
        return from + 4 > end ? -1 : this.counted(op, bytes, from + 4, end, where, uint(bytes, from, 4));
      case ARGUMENT.counted8:
        return from + 8 > end ? -1 : this.counted(op, bytes, from + 8, end, where, uint(bytes, from, 8));
      case ARGUMENT.line:
        return this.line(op, bytes, from, end, where);
      case ARGUMENT.twoLines:
        return this.names(op, bytes, from, end, where);
      default:
        this.stop(`0x${op.toString(16)} is no opcode`);
        return end;
    }
  }

  /** At the beginning of a pickle; `false`: what is there is none, or cannot be told yet. */
  private begins(bytes: Uint8Array, at: number, end: number, where: number): boolean {
    if (this.isTorch && this.ended >= TORCH_PICKLES) {
      this.isOver = true;
      return false;
    }
    const first = bytes[at] as number;
    if (this.ended > 0 && !this.isTorch && (this.options.hasMore === true || first !== OP.PROTO)) {
      if (this.options.hasMore !== true)
        this.report(where, 'trailing-bytes', `${this.options.size - where} bytes follow the end of the pickle`);
      this.isOver = true;
      return false;
    }
    const magicEnd = at + 2 + TORCH_MAGIC.length;
    if (this.ended === 0 && first === OP.PROTO) {
      if (magicEnd > end && this.base + magicEnd <= this.options.size) return false;
      this.isTorch = TORCH_MAGIC.every((byte, offset) => bytes[at + 2 + offset] === byte);
      if (this.isTorch) this.machine = this.newMachine();
    }
    return true;
  }

  private number(op: number, where: number, value: number, width: number): boolean {
    const { machine } = this;
    machine.opcodes += 1;
    if (!this.fits(where, 1 + width)) return false;
    if (op === OP.FRAME) this.frames.begin(where, value);
    else if (op === OP.PROTO && value > HIGHEST_PROTOCOL) this.stop(`there is no protocol ${value}`);
    else if (op !== OP.PROTO) doNumber(machine, op, value, where);
    return !this.isOver;
  }

  private counted(op: number, bytes: Uint8Array, from: number, end: number, where: number, length: number): number {
    const { machine } = this;
    const isText = isTextOp(op);
    if (isText && length <= 255 && from + length > end && this.base + from + length <= this.options.size) return -1;
    machine.opcodes += 1;
    const absolute = this.base + from;
    if (absolute + length > this.options.size) {
      this.stop(`at byte ${where} it claims ${length} bytes, and there are ${this.options.size - absolute}`);
      return end;
    }
    if (!this.fits(where, absolute - where + length)) return end;
    if (!isText) machine.data();
    else if (length <= 255) machine.string(bytes, from, from + length);
    else machine.longString();
    this.skip = Math.max(0, from + length - end);
    return Math.min(from + length, end);
  }

  private line(op: number, bytes: Uint8Array, from: number, end: number, where: number): number {
    const newline = bytes.indexOf(NEWLINE, from);
    if (newline < 0 && end - from <= MAX_NAME_BYTES && this.base + end < this.options.size) return -1;
    const to = newline < 0 ? end : newline;
    const { machine } = this;
    machine.opcodes += 1;
    if (!this.fits(where, newline < 0 ? 1 : newline + 1 - (from - 1))) return end;
    doLine(machine, op, bytes, from, to, where);
    if (newline < 0) this.skipsLine = true;
    return newline < 0 ? end : newline + 1;
  }

  private names(op: number, bytes: Uint8Array, from: number, end: number, where: number): number {
    const first = bytes.indexOf(NEWLINE, from);
    const second = first < 0 ? -1 : bytes.indexOf(NEWLINE, first + 1);
    if (second < 0) {
      if (end - from <= 2 * MAX_NAME_BYTES && this.base + end < this.options.size) return -1;
      this.stop('the name of an import has no end');
      return end;
    }
    this.machine.opcodes += 1;
    if (!this.fits(where, second + 1 - (from - 1))) return end;
    const [module, name] = [utf8(bytes, from, first), utf8(bytes, first + 1, second)];
    if (op === OP.GLOBAL) this.machine.global(where, module, name);
    else this.machine.instance(where, module, name);
    return second + 1;
  }

  private fits(where: number, length: number): boolean {
    this.frames.opcode(where, length);
    if (this.machine.opcodes <= MAX_OPCODES) return true;
    this.exceed(`${MAX_OPCODES} opcodes`);
    return false;
  }

  private stopped(where: number): void {
    if (!this.machine.hasValue()) return this.stop('it stops with nothing on the stack');
    this.frames.stop(where);
    this.ended += 1;
    this.count();
    this.machine = this.newMachine();
  }

  private stop(problem: string): void {
    this.count();
    this.report(this.where, 'broken-pickle', `a loader would stop here, having done what stands before: ${problem}`);
    this.isOver = true;
  }

  private exceed(what: string): void {
    this.count();
    this.report(this.where, 'resource-limit', `it has more than may be followed: ${what}`);
    this.isOver = true;
  }

  private count(): void {
    this.imports += this.machine.imports;
    this.calls += this.machine.calls;
    this.opcodes += this.machine.opcodes;
  }
}
