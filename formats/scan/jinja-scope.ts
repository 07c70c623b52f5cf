import { KIND, type Given, type Kind } from './jinja-kind.js';
import { NoTemplate } from './jinja-lexer.js';
import { FIXED, FUNCTIONS, ROOTS } from './jinja-words.js';

const MAX_NAMESAKES = 8;

/** A statement that has an end, and the names that are given a value in it. */
interface Frame {
  readonly tag: string;
  names: Set<string>;
  /** Of an `if`, the names of the branches that have ended. */
  readonly branches: Set<string>[];
  hasElse: boolean;
}

/**
 * What variables can be: for each name, everything that is ever assigned to it anywhere in the template. Where no assignment
 * must have happened before, it may be what somebody else gives by that name, too.
 */
export class Scope {
  /** The parameters of each macro: of all that have its name, since any of them may be the one that is called. */
  private readonly macros = new Map<string, (readonly string[])[]>();
  private readonly kinds = new Map<string, Kind>();
  private readonly assigned = new Map<string, number>();
  private frames: Frame[] = [{ tag: '', names: new Set(), branches: [], hasElse: false }];
  /** Whether a variable turned out to be more than was known of it. */
  hasGrown = false;

  read(name: string): Kind {
    if (name === 'varargs' || name === 'kwargs') return KIND.made | KIND.container;
    if (FIXED.has(name) || FUNCTIONS.has(name) || this.macros.has(name)) return KIND.object;
    const kind = this.kinds.get(name) ?? 0;
    if (ROOTS.has(name)) return kind | KIND.root;
    return this.assigned.has(name) ? kind : kind | KIND.free;
  }

  /** Of a namespace. */
  member(name: string): Kind {
    return this.kinds.get(`.${name}`) ?? 0;
  }

  /** What was put into any container. */
  changed(): Kind {
    return this.kinds.get('*') ?? 0;
  }

  change(kind: Kind): void {
    this.write('*', kind);
  }

  /** What the rounds of any loop are of. */
  rounds(): Kind {
    return this.kinds.get('loop') ?? 0;
  }

  write(name: string, kind: Kind): void {
    const known = this.kinds.get(name) ?? 0;
    if ((known | kind) === known && this.kinds.has(name)) return;
    this.kinds.set(name, known | kind);
    this.hasGrown = true;
  }

  /** Gives a name a value from here to the end of the statement around it. Answers whether it may be given one. */
  define(name: string, kind: Kind): boolean {
    this.write(name, kind);
    const frame = this.frame();
    if (!name.startsWith('.') && !frame.names.has(name)) {
      frame.names.add(name);
      this.count(name, 1);
    }
    return !FIXED.has(name) && !this.macros.has(name);
  }

  addMacro(name: string, parameters: readonly string[]): void {
    const known = this.macros.get(name);
    if (known === undefined) this.macros.set(name, [parameters]);
    else if (known.push(parameters) > MAX_NAMESAKES)
      throw new NoTemplate(0, `more than ${MAX_NAMESAKES} macros have one name`, true);
  }

  /** Gives a macro's parameters what it is called with; `false`: it is none. */
  enter(macro: string, { positional, named }: Given): boolean {
    const macros = this.macros.get(macro);
    for (const parameters of macros ?? []) {
      positional.forEach((kind, at) => {
        const parameter = parameters[at];
        if (parameter !== undefined) this.write(parameter, kind);
      });
      for (const [name, kind] of named) if (parameters.includes(name)) this.write(name, kind);
    }
    return macros !== undefined;
  }

  open(tag: string): void {
    this.frames.push({ tag, names: new Set(), branches: [], hasElse: false });
  }

  /** `elif` or `else`. */
  branch(isElse: boolean, at: number): void {
    const frame = this.frame();
    if ((frame.tag !== 'if' && !(frame.tag === 'for' && isElse)) || frame.hasElse)
      throw new NoTemplate(at, 'an else belongs to nothing');
    frame.branches.push(frame.names);
    this.forget(frame.names);
    frame.names = new Set();
    frame.hasElse = isElse;
  }

  close(tag: string, at: number): void {
    const frame = this.frames.length > 1 ? this.frames.pop() : undefined;
    if (frame?.tag !== tag) throw new NoTemplate(at, `end${tag} belongs to nothing`);
    this.forget(frame.names);
    if (tag !== 'if' || !frame.hasElse) return;
    const { names } = this.frame();
    for (const name of frame.names)
      if (!names.has(name) && frame.branches.every((branch) => branch.has(name))) {
        names.add(name);
        this.count(name, 1);
      }
  }

  /** Begins anew, with what is known by now. */
  restart(at: number): void {
    if (this.frames.length > 1) throw new NoTemplate(at, `${this.frame().tag} has no end`);
    this.frames = [{ tag: '', names: new Set(), branches: [], hasElse: false }];
    this.assigned.clear();
    this.hasGrown = false;
  }

  private frame(): Frame {
    return this.frames.at(-1) as Frame;
  }

  private forget(names: ReadonlySet<string>): void {
    for (const name of names) this.count(name, -1);
  }

  private count(name: string, by: number): void {
    const count = (this.assigned.get(name) ?? 0) + by;
    if (count === 0) this.assigned.delete(name);
    else this.assigned.set(name, count);
  }
}
