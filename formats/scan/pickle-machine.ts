import { printable } from '../json.js';
import { isAllowedImport, partAt, partText } from './pickle-imports.js';
import { OP } from './pickle-ops.js';
import { PickleStack, recentValue, sequenceOf, VALUE } from './pickle-stack.js';
import type { Report } from './reader.js';

const MAX_DEPTH = 2_000_000;
const MAX_MEMO = 8_000_000;
/** A structure that would have so many values if each were written out, and so many for each opcode, is a bomb. */
const MAX_EXPANDED = 1e9;
const MAX_EXPANDED_PER_OPCODE = 1000;
/** Of so many strings the text is kept until the next chunk, to name what was imported. */
const RECENT_STRINGS = 512;
const MAX_RECENT_BYTES = 128;
const NOTHING = new Uint8Array(0);

export interface MachineOptions {
  /** Whether a persistent id is no more than a reference to a tensor, as in what PyTorch writes. */
  readonly resolvesPersistentIds: boolean;
}

/**
 * Does with symbols what a loader would do with values, and reports each import, call and change that could run anything.
 * `broken` says why a loader would stop here; what came before it has been done by then.
 */
export class PickleMachine {
  broken: string | null = null;
  /** Which limit was reached: nothing more can be followed. */
  limit: string | null = null;
  /** Calls that a loader would have made by now. */
  calls = 0;
  imports = 0;
  opcodes = 0;
  readonly options: MachineOptions;
  private readonly report: Report;
  private readonly stack = new PickleStack();
  private strings = 0;
  private readonly recentBytes: Uint8Array[] = new Array<Uint8Array>(RECENT_STRINGS).fill(NOTHING);
  private readonly recentFrom = new Int32Array(RECENT_STRINGS);
  private readonly recentTo = new Int32Array(RECENT_STRINGS);

  constructor(report: Report, options: MachineOptions) {
    this.report = report;
    this.options = options;
  }

  /** The bytes that strings were seen in will be overwritten. */
  keepRecent(): void {
    const first = Math.max(0, this.strings - RECENT_STRINGS);
    for (let sequence = first; sequence < this.strings; sequence += 1) {
      const slot = sequence % RECENT_STRINGS;
      const kept = new Uint8Array(
        (this.recentBytes[slot] as Uint8Array).subarray(this.recentFrom[slot], this.recentTo[slot]),
      );
      this.recentBytes[slot] = kept;
      this.recentFrom[slot] = 0;
      this.recentTo[slot] = kept.length;
    }
  }

  hasValue(): boolean {
    return this.stack.has(1);
  }

  string(bytes: Uint8Array, from: number, to: number): void {
    const length = to - from;
    const part = partAt(bytes, from, to);
    if (part >= 0) return this.push(part);
    if (length > MAX_RECENT_BYTES) return this.push(VALUE.text);
    const slot = this.strings % RECENT_STRINGS;
    this.recentBytes[slot] = bytes;
    this.recentFrom[slot] = from;
    this.recentTo[slot] = to;
    this.push(recentValue(this.strings));
    this.strings += 1;
  }

  longString(): void {
    this.push(VALUE.text);
  }

  data(): void {
    this.push(VALUE.inert);
  }

  persistentId(at: number, takesOne: boolean): void {
    if (takesOne && !this.demand(1)) return;
    if (!this.options.resolvesPersistentIds)
      this.report(at, 'persistent-id', 'a persistent id, which the loader hands to code of its own');
    if (takesOne) this.stack.depth -= 1;
    this.push(VALUE.object);
  }

  extension(at: number, code: number): void {
    this.calls += 1;
    this.report(at, 'extension-code', `extension code ${code} names an import in the loader's own registry`);
    this.push(VALUE.unsafe);
  }

  put(index: number): void {
    if (!this.demand(1)) return;
    // Every index is used once: one far beyond their number makes the loader's table as large as it says.
    if (index > this.opcodes + 256 || index >= MAX_MEMO) this.exceed(`a memo of ${index} places`);
    else this.stack.keep(index);
  }

  memoize(): void {
    this.put(this.stack.memoCount);
  }

  get(index: number): void {
    if (!this.stack.recall(index)) this.broken = `it takes ${index} from the memo, where nothing is`;
    else this.bound();
  }

  global(at: number, module: string, name: string): void {
    this.push(this.imported(at, module, name));
  }

  instance(at: number, module: string, name: string): void {
    const from = this.unmark();
    if (from < 0) return;
    this.calls += 1;
    this.imported(at, module, name);
    this.gather(this.stack.depth - from, VALUE.object);
  }

  stackGlobal(at: number): void {
    if (!this.demand(2)) return;
    const [module, name] = [this.textOf(this.stack.valueAt(1)), this.textOf(this.stack.valueAt(0))];
    this.stack.depth -= 2;
    if (module !== null && name !== null) return this.push(this.imported(at, module, name));
    this.imports += 1;
    const known = [module, name].map((text) => (text === null ? 'something that is made while it is loaded' : text));
    this.report(at, 'dynamic-import', `it imports ${known.map(printable).join('.')}: what that is cannot be told`);
    this.push(VALUE.unsafe);
  }

  /** An opcode that takes what it needs from the stack. */
  step(op: number, at: number): void {
    const { stack } = this;
    switch (op) {
      case OP.NONE:
      case OP.NEWTRUE:
      case OP.NEWFALSE:
      case OP.EMPTY_TUPLE:
      case OP.EMPTY_LIST:
      case OP.EMPTY_DICT:
      case OP.EMPTY_SET:
      case OP.NEXT_BUFFER:
        return this.push(VALUE.inert);
      case OP.READONLY_BUFFER:
        return void this.demand(1);
      case OP.MARK:
        if (stack.marks.length >= MAX_DEPTH) return this.exceed(`${MAX_DEPTH} marks`);
        return stack.mark();
      case OP.POP:
        if (stack.marks.length > 0 && stack.depth === stack.fence) stack.unmark();
        else if (this.demand(1)) stack.depth -= 1;
        return;
      case OP.POP_MARK: {
        const from = this.unmark();
        if (from >= 0) stack.depth = from;
        return;
      }
      case OP.DUP:
        if (this.demand(1)) this.push(stack.valueAt(0), stack.sizes[stack.depth - 1]);
        return;
      case OP.TUPLE1:
        return void (this.demand(1) && this.gather(1, VALUE.inert));
      case OP.TUPLE2:
        return void (this.demand(2) && this.gather(2, VALUE.inert));
      case OP.TUPLE3:
        return void (this.demand(3) && this.gather(3, VALUE.inert));
      case OP.TUPLE:
      case OP.LIST:
      case OP.DICT:
      case OP.FROZENSET: {
        const from = this.unmark();
        if (from >= 0) this.gather(stack.depth - from, VALUE.inert);
        return;
      }
      case OP.APPEND:
        return this.fill(at, this.demand(2) ? stack.depth - 1 : -1);
      case OP.SETITEM:
        return this.fill(at, this.demand(3) ? stack.depth - 2 : -1);
      case OP.APPENDS:
      case OP.SETITEMS:
      case OP.ADDITEMS:
        return this.fill(at, this.unmark());
      case OP.STACK_GLOBAL:
        return this.stackGlobal(at);
      case OP.REDUCE:
      case OP.NEWOBJ:
        return this.call(at, 2);
      case OP.NEWOBJ_EX:
        return this.call(at, 3);
      case OP.OBJ: {
        const from = this.unmark();
        if (from < 0) return;
        if (stack.depth === from) this.broken = 'it makes an object of nothing';
        else this.call(at, stack.depth - from);
        return;
      }
      case OP.BUILD:
        if (!this.demand(2)) return;
        this.calls += 1;
        if (stack.valueAt(1) === VALUE.allowed)
          this.report(at, 'unsafe-call', 'it changes what was imported, for everybody who uses it');
        stack.putInto(stack.depth - 1);
        return this.bound();
      default:
        this.broken = `0x${op.toString(16)} is no opcode`;
    }
  }

  /** The callable lies below its arguments, all of them among the last `count` values. */
  private call(at: number, count: number): void {
    if (!this.demand(count)) return;
    this.calls += 1;
    const callee = this.stack.valueAt(count - 1);
    if (callee !== VALUE.allowed && callee !== VALUE.unsafe)
      this.report(at, 'unsafe-call', 'it calls something that is not an import, but was made while it is loaded');
    this.gather(count, VALUE.object);
  }

  private fill(at: number, from: number): void {
    const { stack } = this;
    if (from < 0) return;
    if (from - 1 < stack.fence) return void (this.broken = 'there is nothing to put the items into');
    if (stack.values[from - 1] === VALUE.allowed)
      this.report(at, 'unsafe-call', 'it puts items into what was imported');
    stack.putInto(from);
    this.bound();
  }

  private imported(at: number, module: string, name: string): number {
    this.imports += 1;
    if (isAllowedImport(module, name)) return VALUE.allowed;
    this.report(at, 'unsafe-global', `it imports ${printable(`${module}.${name}`)}, which is not known to be safe`);
    return VALUE.unsafe;
  }

  private textOf(value: number): string | null {
    if (value >= 0) return partText(value);
    const sequence = sequenceOf(value);
    if (sequence < 0 || sequence < this.strings - RECENT_STRINGS)
      return value === VALUE.text || sequence >= 0 ? '(a long string, or one from far above)' : null;
    const slot = sequence % RECENT_STRINGS;
    const bytes = (this.recentBytes[slot] as Uint8Array).subarray(this.recentFrom[slot], this.recentTo[slot]);
    return Buffer.from(bytes).toString('utf8');
  }

  private gather(count: number, value: number): void {
    this.stack.gather(count, value);
    this.bound();
  }

  private push(value: number, size = 1): void {
    if (this.stack.depth >= MAX_DEPTH) this.exceed(`a stack of ${MAX_DEPTH} values`);
    else this.stack.push(value, size);
  }

  /** Whether what is on top, written out, is out of all proportion to the opcodes that made it. */
  private bound(): void {
    const { stack } = this;
    if (stack.depth >= MAX_DEPTH) return this.exceed(`a stack of ${MAX_DEPTH} values`);
    const size = stack.sizes[stack.depth - 1] as number;
    if (size < MAX_EXPANDED || size < this.opcodes * MAX_EXPANDED_PER_OPCODE) return;
    this.exceed(`${this.opcodes} opcodes make a structure of ${size.toExponential(1)} values`);
  }

  private demand(count: number): boolean {
    if (this.stack.has(count)) return true;
    this.broken = 'it takes more from the stack than there is';
    return false;
  }

  private unmark(): number {
    const from = this.stack.unmark();
    if (from < 0) this.broken = 'it goes back to a mark that was not set';
    return from;
  }

  private exceed(what: string): void {
    this.limit ??= what;
  }
}
