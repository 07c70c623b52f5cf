import { blocksOf, NoTemplate, type Token } from './jinja-lexer.js';
import type { Node } from './jinja-nodes.js';
import { ExpressionParser } from './jinja-parser.js';

/** A statement of a template. A target that begins with a dot is a member of a namespace. */
export type Statement = { readonly at: number } & (
  | { readonly kind: 'output'; readonly value: Node }
  | { readonly kind: 'for'; readonly targets: readonly string[]; readonly over: Node; readonly where: Node | null }
  | { readonly kind: 'if' | 'elif'; readonly test: Node }
  | { readonly kind: 'set'; readonly targets: readonly string[]; readonly value: Node }
  | { readonly kind: 'set-block'; readonly targets: readonly string[]; readonly filter: Node | null }
  | { readonly kind: 'macro'; readonly name: string; readonly parameters: readonly Parameter[] }
  | { readonly kind: 'call'; readonly parameters: readonly Parameter[]; readonly value: Node }
  | { readonly kind: 'with'; readonly values: readonly Parameter[] }
  /** One that has an end, and perhaps something to look at. */
  | { readonly kind: 'open'; readonly tag: string; readonly value: Node | null }
  | { readonly kind: 'else' | 'jump' }
  | { readonly kind: 'close'; readonly tag: string }
  /** One that is none of a chat template's. */
  | { readonly kind: 'refused'; readonly tag: string }
  | { readonly kind: 'raw'; readonly text: string }
);

export interface Parameter {
  readonly name: string;
  readonly value: Node | null;
}

type Shape<S = Statement> = S extends Statement ? Omit<S, 'at'> : never;

/** Statements of Jinja that load other templates, or show what is behind them. */
const REFUSED = new Set(['import', 'from', 'include', 'extends', 'debug', 'trans', 'pluralize', 'endtrans']);
const ENDS = new Set(['for', 'if', 'set', 'macro', 'call', 'filter', 'with', 'autoescape', 'block', 'generation']);

/** The statements of a template in order. Throws NoTemplate where Jinja would take none. */
export function statementsOf(text: string): Statement[] {
  const statements: Statement[] = [];
  for (const block of blocksOf(text)) {
    const { at } = block;
    if (block.kind === 'raw') statements.push({ at, kind: 'raw', text: block.text });
    else if (block.kind === 'output') {
      const parser = new ExpressionParser(block.tokens);
      const value = parser.tuple();
      parser.end();
      statements.push({ at, kind: 'output', value });
    } else statements.push({ at, ...statementOf(block.tokens, at) });
  }
  return statements;
}

function statementOf(tokens: readonly Token[], at: number): Shape {
  const parser = new ExpressionParser(tokens);
  const tag = parser.name();
  if (REFUSED.has(tag)) return { kind: 'refused', tag };
  const shape = shapeOf(parser, tag, at);
  // As in Python.
  parser.takesOperator(':');
  parser.end();
  return shape;
}

function shapeOf(parser: ExpressionParser, tag: string, at: number): Shape {
  switch (tag) {
    case 'for':
      return loop(parser);
    case 'if':
    case 'elif':
      return { kind: tag, test: parser.tuple(false) };
    case 'else':
      return { kind: 'else' };
    case 'break':
    case 'continue':
      return { kind: 'jump' };
    case 'print':
    case 'do':
      return { kind: 'output', value: parser.tuple() };
    case 'set': {
      const targets = targetsOf(parser);
      if (parser.takesOperator('=')) return { kind: 'set', targets, value: parser.tuple() };
      return { kind: 'set-block', targets, filter: parser.filters(null) };
    }
    case 'macro':
      return { kind: 'macro', name: parser.name(), parameters: parametersOf(parser) };
    case 'call': {
      const parameters = parser.isOperator('(') ? parametersOf(parser) : [];
      return { kind: 'call', parameters, value: parser.expression() };
    }
    case 'filter':
      return { kind: 'open', tag, value: parser.filters(null, true) };
    case 'with':
      return { kind: 'with', values: assignments(parser) };
    case 'autoescape':
      return { kind: 'open', tag, value: parser.expression() };
    case 'generation':
      return { kind: 'open', tag, value: null };
    case 'block':
      for (parser.name(); !parser.isEnd();) if (!parser.takesName('scoped') && !parser.takesName('required')) break;
      return { kind: 'open', tag, value: null };
    default:
      return closing(parser, tag, at);
  }
}

function closing(parser: ExpressionParser, tag: string, at: number): Shape {
  const ended = tag.startsWith('end') ? tag.slice(3) : '';
  if (!ENDS.has(ended)) throw new NoTemplate(at, `it has a statement that Jinja does not know`);
  if (ended === 'block' && !parser.isEnd()) parser.name();
  return { kind: 'close', tag: ended };
}

function loop(parser: ExpressionParser): Shape {
  const targets = targetsOf(parser);
  if (!parser.takesName('in')) parser.fail('expected in');
  const over = parser.tuple(false);
  const where = parser.takesName('if') ? parser.expression() : null;
  parser.takesName('recursive');
  return { kind: 'for', targets, over, where };
}

function targetsOf(parser: ExpressionParser): readonly string[] {
  const targets: string[] = [];
  for (let isDue = true; !parser.isEnd() && !parser.isOperator('=') && !parser.isOperator('|');) {
    if (parser.takesOperator(',') || parser.takesOperator('(')) isDue = true;
    else if (!parser.takesOperator(')')) {
      // `in` itself may be the name of a target.
      if (!isDue && parser.isName('in')) break;
      const name = parser.name();
      targets.push(parser.takesOperator('.') ? `.${parser.name()}` : name);
      isDue = false;
    }
  }
  return targets;
}

function parametersOf(parser: ExpressionParser): readonly Parameter[] {
  const parameters: Parameter[] = [];
  parser.operator('(');
  while (!parser.takesOperator(')')) {
    if (parameters.length > 0) parser.operator(',');
    if (parser.takesOperator(')')) break;
    const name = parser.name();
    parameters.push({ name, value: parser.takesOperator('=') ? parser.expression() : null });
  }
  return parameters;
}

function assignments(parser: ExpressionParser): readonly Parameter[] {
  const values: Parameter[] = [];
  while (!parser.isEnd()) {
    if (values.length > 0) parser.operator(',');
    const name = parser.name();
    parser.operator('=');
    values.push({ name, value: parser.expression() });
  }
  return values;
}
