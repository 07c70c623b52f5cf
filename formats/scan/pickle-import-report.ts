import { printable } from '../json.js';
import { CALL, kindOfCall } from './pickle-calls.js';
import { isAllowedImport, partText } from './pickle-imports.js';
import type { RecentBytes } from './pickle-names.js';
import { allowedValue, offsetOf, VALUE } from './pickle-stack.js';
import type { Report } from './reader.js';

/** Of a module, a class or a function, dotted. A name that was too long to be kept is in brackets, and may be one. */
const NAME = /^(?:[\p{L}_][\p{L}\p{N}_.]*|\(.*)$/u;

/** Tells of each import that is not known to be safe, and answers what it is on a pickle's stack. */
export class ImportReporter {
  count = 0;
  /** Those that a loader could carry out: another name than these is of nothing. */
  possible = 0;
  /** Whether one of them makes NumPy's types. */
  hasTypes = false;
  private readonly report: Report;
  private readonly recent: RecentBytes;

  constructor(report: Report, recent: RecentBytes) {
    this.report = report;
    this.recent = recent;
  }

  byName(at: number, module: string, name: string): number {
    this.count += 1;
    if (NAME.test(module) && NAME.test(name)) this.possible += 1;
    if (isAllowedImport(module, name)) {
      const kind = kindOfCall(module, name);
      this.hasTypes ||= kind === CALL.type;
      return allowedValue(kind);
    }
    this.report(at, 'unsafe-global', `it imports ${printable(`${module}.${name}`)}, which is not known to be safe`);
    return VALUE.unsafe;
  }

  /** By two values of the stack: they may be strings, or what a loader has only while it runs. */
  byValues(at: number, ...values: readonly [module: number, name: number]): number {
    const [module, name] = [this.textOf(values[0], at), this.textOf(values[1], at)];
    if (module !== null && name !== null) return this.byName(at, module, name);
    this.count += 1;
    this.possible += 1;
    const known = [module, name].map((text) => (text === null ? 'something that is made while it is loaded' : text));
    this.report(at, 'dynamic-import', `it imports ${known.map(printable).join('.')}: what that is cannot be told`);
    return VALUE.unsafe;
  }

  /** What a string says; `null`: it is none. */
  textOf(value: number, now: number): string | null {
    if (value >= 0) return partText(value);
    const offset = offsetOf(value);
    if (offset < 0 && value !== VALUE.text) return null;
    return (offset < 0 ? null : this.recent.stringAt(offset, now)) ?? '(a long string, or one from far above)';
  }
}
