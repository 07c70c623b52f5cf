import { quote } from '../printable.js';
import { KIND, type Kind } from './jinja-kind.js';
import { Kinds } from './jinja-kinds.js';
import { NoTemplate } from './jinja-lexer.js';
import type { Node } from './jinja-nodes.js';
import { Scope } from './jinja-scope.js';
import { statementsOf, type Parameter, type Statement } from './jinja-statements.js';
import type { Report } from './reader.js';

const MAX_REPORTS = 8;
/** A chain of variables that is longer than this, each assigned from one that is assigned below it, nobody writes. */
const MAX_PASSES = 12;
/** Names that no text around a template uses by accident. */
const NAMES =
  /(?:^|[^\p{L}\p{N}_])__[\p{L}\p{N}]|\|\s*attr\s*\(|\.\s*(?:gi_frame|f_globals|f_builtins|mro|func_globals)\b|\b(?:lipsum|cycler|joiner)\s*[.[]/u;

export interface TemplateOptions {
  /** Whether something says that it is a template, so that one which cannot be read is not clean. */
  readonly isClaimed: boolean;
}

/** Whether a text has anything that a Jinja template evaluates. */
export function isTemplate(text: string): boolean {
  return (text.includes('{{') && text.includes('}}')) || (text.includes('{%') && text.includes('%}'));
}

/**
 * Looks for ways from a chat template to the interpreter that renders it: each attribute, index, call and filter must be one
 * that a chat has use for. Offsets are characters. Answers how many expressions were looked at.
 */
export function checkTemplate(text: string, report: Report, { isClaimed }: TemplateOptions): number {
  try {
    return new Template(statementsOf(text), report).check();
  } catch (error) {
    if (!(error instanceof NoTemplate)) throw error;
    const { at, message, isLimit } = error;
    if (isLimit) report(at, 'resource-limit', `of a template: ${message}`);
    else if (isClaimed) report(at, 'malformed', `it is no template that can be looked through: ${message}`);
    else lookForNames(text, report);
    return 0;
  }
}

/** What Jinja does not take is no danger of Jinja's; what only looks like a template may be one of a kin. */
function lookForNames(text: string, report: Report): void {
  for (const [open, close] of [
    ['{{', '}}'],
    ['{%', '%}'],
  ] as const) {
    let at = text.indexOf(open);
    while (at >= 0) {
      const end = text.indexOf(close, at + 2);
      if (end < 0) break;
      const found = NAMES.exec(text.slice(at + 2, end));
      if (found !== null)
        return report(at + 2 + found.index, 'template-escape', `between braces, ${quote(found[0].trim())}`);
      at = text.indexOf(open, end + 2);
    }
  }
}

class Template {
  private readonly statements: readonly Statement[];
  private readonly report: Report;
  private readonly scope = new Scope();
  private readonly kinds: Kinds;
  private told: Set<string> | null = null;

  constructor(statements: readonly Statement[], report: Report) {
    this.statements = statements;
    this.report = report;
    this.kinds = new Kinds(this.scope, (at, message) => this.tell(at, message));
  }

  check(): number {
    for (const statement of this.statements)
      if (statement.kind === 'macro')
        this.scope.addMacro(
          statement.name,
          statement.parameters.map(({ name }) => name),
        );
    for (let pass = 0; pass === 0 || this.scope.hasGrown; pass += 1) {
      if (pass === MAX_PASSES) throw new NoTemplate(0, 'its variables hang together in too many ways', true);
      this.scope.restart(0);
      this.walk();
    }
    this.told = new Set();
    this.scope.restart(0);
    this.walk();
    this.scope.restart(0);
    return this.kinds.steps;
  }

  private tell(at: number, message: string): void {
    if (this.told === null || this.told.size >= MAX_REPORTS || this.told.has(`${at} ${message}`)) return;
    this.told.add(`${at} ${message}`);
    this.report(at, 'template-escape', message);
  }

  private walk(): void {
    for (const statement of this.statements) this.look(statement);
  }

  private look(statement: Statement): void {
    const { at } = statement;
    const { scope, kinds } = this;
    switch (statement.kind) {
      case 'output':
        kinds.of(statement.value);
        return;
      case 'for':
        return this.loop(statement);
      case 'if':
        kinds.of(statement.test);
        return scope.open('if');
      case 'elif':
        scope.branch(false, at);
        kinds.of(statement.test);
        return;
      case 'else':
        return scope.branch(true, at);
      case 'set': {
        const kind = kinds.of(statement.value);
        return this.define(statement.targets, statement.targets.length > 1 ? kinds.elementOf(kind) : kind, at);
      }
      case 'set-block':
        if (statement.filter !== null) kinds.of(statement.filter);
        this.define(statement.targets, KIND.made, at);
        return scope.open('set');
      case 'macro':
        return this.macro(statement.parameters, at);
      case 'call':
        kinds.of(statement.value);
        scope.open('call');
        return this.define(
          statement.parameters.map(({ name }) => name),
          KIND.made | KIND.free,
          at,
        );
      case 'with': {
        const values = statement.values.map(({ name, value }) => [name, this.maybe(value)] as const);
        scope.open('with');
        return values.forEach(([name, kind]) => this.define([name], kind, at));
      }
      case 'open':
        if (statement.value !== null) kinds.of(statement.value);
        return scope.open(statement.tag);
      case 'close':
        return scope.close(statement.tag, at);
      case 'refused':
        return this.tell(at, `the statement ${statement.tag}`);
      case 'raw':
        // A reader that knows no raw blocks evaluates it.
        if (this.told !== null && isTemplate(statement.text))
          checkTemplate(statement.text, (_, rule, message) => this.report(at, rule, message), { isClaimed: false });
        return;
      case 'jump':
        return;
    }
  }

  private loop({ targets, over, where, at }: Statement & { readonly kind: 'for' }): void {
    const round = this.kinds.elementOf(this.kinds.of(over));
    this.scope.open('for');
    this.scope.write('loop', round);
    this.define(targets, targets.length > 1 ? this.kinds.elementOf(round) : round, at);
    if (where !== null) this.kinds.of(where);
  }

  private macro(parameters: readonly Parameter[], at: number): void {
    const defaults = parameters.map(({ value }) => this.maybe(value));
    this.scope.open('macro');
    parameters.forEach(({ name }, index) => this.define([name], defaults[index] ?? 0, at));
  }

  private maybe(value: Node | null): Kind {
    return value === null ? 0 : this.kinds.of(value);
  }

  private define(names: readonly string[], kind: Kind, at: number): void {
    for (const name of names)
      if (!this.scope.define(name, kind)) this.tell(at, `the name ${quote(name)} is given another meaning`);
  }
}
