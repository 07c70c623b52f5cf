import { ImportReporter } from './pickle-import-report.js';
import { CALL, flawOfCall } from './pickle-calls.js';
import { partAt } from './pickle-imports.js';
import { MAX_NAMED_BYTES, type RecentBytes } from './pickle-names.js';
import { OP } from './pickle-ops.js';
import { passData } from './pickle-run.js';
import { kindOf, MAX_DEPTH, MAX_EXPANDED, PickleStack, stringValue, VALUE } from './pickle-stack.js';
import { typePart } from './pickle-types.js';
import type { Report } from './reader.js';

/** Picklers use each place of the memo once: one that is further above their number than this makes a loader's table as large as it says. */
const FAR = 256;
/** With so many values for each opcode, it is one. */
const MAX_EXPANDED_PER_OPCODE = 1000;

/**
 * Does with symbols what a loader would do with values, and reports each import, call and change that could run anything.
 * Where loaders differ it does as the one that goes furthest.
 */
export class PickleMachine {
  /** Why a loader would stop here; what came before it has been done by then. */
  broken: string | null = null;
  /** Which limit was reached: nothing more can be followed. */
  limit: string | null = null;
  /** Whether either is so. */
  isHalted = false;
  /** Opcodes of this pickle. */
  opcodes = 0;
  /** Calls of what may be an import, in all pickles so far. */
  calls = 0;
  readonly imported: ImportReporter;
  /** Whether a persistent id is no more than a reference to a tensor, as in what PyTorch writes. */
  resolvesPersistentIds: boolean;
  private readonly report: Report;
  private readonly stack = new PickleStack();
  readonly recent: RecentBytes;
  private isFar = false;
  /** Whether the last call made one of NumPy's types, which nothing can have used yet. */
  private isTypeNew = false;

  constructor(report: Report, recent: RecentBytes, resolvesPersistentIds: boolean) {
    this.report = report;
    this.imported = new ImportReporter(report, recent);
    this.recent = recent;
    this.resolvesPersistentIds = resolvesPersistentIds;
  }

  /** Before the next pickle of the same file. */
  clear(): void {
    this.opcodes = 0;
    this.stack.clear();
  }

  breakOff(why: string): void {
    this.broken ??= why;
    this.isHalted = true;
  }

  exceed(what: string): void {
    this.limit ??= what;
    this.isHalted = true;
  }

  /** Goes over what only pushes data, as far as it can be told at a glance; answers where the rest begins. */
  pass(bytes: Uint8Array, from: number, end: number, base: number): number {
    const at = passData(this.stack, bytes, from, end, base);
    this.opcodes += this.stack.passed;
    return at;
  }

  hasValue(): boolean {
    return this.stack.has(1);
  }

  /** A string from `from` to `to`, whose opcode stands at `where`. */
  string(bytes: Uint8Array, from: number, to: number, where: number): void {
    if (to - from > MAX_NAMED_BYTES) return this.longString();
    const part = partAt(bytes, from, to);
    this.push(part >= 0 ? part : stringValue(where));
  }

  longString(): void {
    this.push(VALUE.text);
  }

  data(value: number = VALUE.inert): void {
    this.push(value);
  }

  persistentId(at: number, takesOne: boolean): void {
    if (takesOne && !this.demand(1)) return;
    if (!this.resolvesPersistentIds)
      this.report(at, 'persistent-id', 'a persistent id, which the loader hands to code of its own');
    if (takesOne) this.stack.depth -= 1;
    this.push(VALUE.object);
  }

  extension(at: number, code: number): void {
    this.imported.count += 1;
    this.report(at, 'extension-code', `extension code ${code} names an import in the loader's own registry`);
    this.push(VALUE.unsafe);
  }

  put(index: number | bigint, at: number): void {
    if (!this.demand(1)) return;
    if (index <= this.opcodes + FAR) {
      if (!this.stack.keep(Number(index))) this.exceed(`a memo of ${index} places`);
      return;
    }
    if (!this.isFar) this.report(at, 'resource-limit', `it makes a loader keep a memo of ${index} places`);
    this.isFar = true;
    if (!this.stack.keepFar(index)) this.exceed('too many places of the memo that are far beyond the others');
  }

  memoize(): void {
    const { stack } = this;
    if (this.demand(1) && !stack.keep(stack.memoCount)) this.exceed(`a memo of ${stack.memoCount} places`);
  }

  get(index: number | bigint): void {
    if (!this.stack.recall(index)) this.breakOff(`it takes ${index} from the memo, where nothing is`);
    else this.bound();
  }

  global(at: number, module: string, name: string): void {
    this.push(this.imported.byName(at, module, name));
  }

  /** Some loaders import it before they see that there is no mark. */
  instance(at: number, module: string, name: string): void {
    const callee = this.imported.byName(at, module, name);
    const from = this.unmark();
    if (from < 0) return;
    this.calls += 1;
    const { stack } = this;
    this.gather(stack.depth - from, this.answer(at, callee, stack.together(stack.depth - from)));
  }

  stackGlobal(at: number): void {
    if (!this.demand(2)) return;
    const { stack } = this;
    const value = this.imported.byValues(at, stack.valueAt(1), stack.valueAt(0));
    stack.depth -= 2;
    this.push(value);
  }

  /** An opcode that takes what it needs from the stack. */
  step(op: number, at: number): void {
    const { stack } = this;
    switch (op) {
      case OP.MARK:
        if (stack.marks.length >= MAX_DEPTH) return this.exceed(`${MAX_DEPTH} marks`);
        return stack.mark();
      case OP.POP:
        if (stack.marks.length > 0 && stack.depth === stack.fence) stack.unmark();
        else if (this.demand(1)) stack.depth -= 1;
        return;
      case OP.READONLY_BUFFER:
        return void this.demand(1);
      case OP.POP_MARK: {
        const from = this.unmark();
        if (from >= 0) stack.depth = from;
        return;
      }
      case OP.DUP:
        if (this.demand(1)) this.push(stack.valueAt(0), stack.sizes[stack.depth - 1]);
        return;
      case OP.TUPLE1:
        return void (this.demand(1) && this.tuple(1, at));
      case OP.TUPLE2:
        return void (this.demand(2) && this.tuple(2, at));
      case OP.TUPLE3:
        return void (this.demand(3) && this.tuple(3, at));
      case OP.TUPLE:
      case OP.FROZENSET: {
        const from = this.unmark();
        if (from >= 0) this.tuple(stack.depth - from, at);
        return;
      }
      case OP.LIST:
      case OP.DICT: {
        const from = this.unmark();
        if (from >= 0) this.gather(stack.depth - from, VALUE.telling);
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
        return this.call(at, 2, stack.valueAt(0));
      case OP.NEWOBJ_EX:
        return this.call(at, 3, VALUE.telling);
      case OP.OBJ: {
        const from = this.unmark();
        if (from < 0) return;
        if (stack.depth === from) this.breakOff('it makes an object of nothing');
        else this.call(at, stack.depth - from, stack.together(stack.depth - from - 1));
        return;
      }
      case OP.BUILD:
        if (!this.demand(2)) return;
        if (stack.valueAt(1) === VALUE.type && !(this.isTypeNew && stack.valueAt(0) === VALUE.typeState))
          this.report(at, 'unsafe-call', 'it makes a type of numbers or texts into one that arrays take for another');
        this.countCall(stack.valueAt(1));
        if (kindOf(stack.valueAt(1)) >= 0)
          this.report(at, 'unsafe-call', 'it changes what was imported, for everybody who uses it');
        stack.putInto(stack.depth - 1);
        return this.bound();
      default:
        this.breakOff(`0x${op.toString(16)} is no opcode`);
    }
  }

  /** The callable lies below its arguments, all of them among the last `count` values. */
  private call(at: number, count: number, given: number): void {
    if (!this.demand(count)) return;
    const callee = this.stack.valueAt(count - 1);
    this.countCall(callee);
    if (kindOf(callee) < 0 && callee !== VALUE.unsafe)
      this.report(at, 'unsafe-call', 'it calls something that is not an import, but was made while it is loaded');
    this.gather(count, this.answer(at, callee, given));
  }

  /** What a call comes to with what it is `given`. */
  private answer(at: number, callee: number, given: number): number {
    const kind = kindOf(callee);
    const flaw = flawOfCall(kind, given);
    this.isTypeNew = kind === CALL.type && flaw === null;
    if (flaw !== null) this.report(at, kind === CALL.type ? 'unsafe-call' : 'resource-limit', flaw);
    if (flaw !== null || (kind !== CALL.encode && kind !== CALL.type)) return VALUE.object;
    return kind === CALL.encode ? VALUE.inert : VALUE.type;
  }

  /** Nothing runs where it is data that is called, or given a state. */
  private countCall(callee: number): void {
    const isData = kindOf(callee) < 0 && callee !== VALUE.unsafe && callee !== VALUE.object && callee !== VALUE.type;
    if (!isData) this.calls += 1;
    this.isTypeNew = false;
  }

  private fill(at: number, from: number): void {
    const { stack } = this;
    if (from < 0) return;
    if (from - 1 < stack.fence) return this.breakOff('there is nothing to put the items into');
    if (kindOf(stack.values[from - 1] as number) >= 0)
      this.report(at, 'unsafe-call', 'it puts items into what was imported');
    stack.putInto(from);
    this.bound();
  }

  private tuple(count: number, at: number): void {
    const part = this.imported.hasTypes ? typePart(this.stack, count, at, this) : null;
    this.gather(count, part ?? this.stack.together(count));
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
    this.breakOff('it takes more from the stack than there is');
    return false;
  }

  private unmark(): number {
    const from = this.stack.unmark();
    if (from < 0) this.breakOff('it goes back to a mark that was not set');
    return from;
  }
}
