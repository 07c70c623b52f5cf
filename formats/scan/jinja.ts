import { quote } from '../json.js';
import type { Report } from './reader.js';

const BLOCK = /\{\{|\{%/g;
/** A string, a name, a number, or one other character. */
const TOKEN = /'((?:[^'\\]|\\[\s\S])*)'|"((?:[^"\\]|\\[\s\S])*)"|[A-Za-z_][A-Za-z0-9_]*|\d+|\S/gy;
/** What leads from a value of a template to the interpreter's insides without two underscores. */
const INSIDES =
  /^(gi_|cr_|ag_|f_(globals|locals|back|builtins|code)|tb_|co_|func_|im_(func|self|class)|mro$|subclasses$)/;
const STATEMENTS = new Set(['import', 'from', 'include', 'extends']);
/** Jinja's own objects, from whose globals everything can be reached. */
const GATEWAYS = new Set([
  'lipsum',
  'cycler',
  'joiner',
  'self',
  'request',
  'config',
  'url_for',
  'get_flashed_messages',
]);
const MAX_REPORTS = 8;
const MAX_INDEX_TOKENS = 200;

interface Token {
  readonly kind: 'text' | 'name' | 'other';
  readonly value: string;
  readonly at: number;
}

/** Whether a text has anything that a Jinja template evaluates. */
export function isTemplate(text: string): boolean {
  return text.includes('{{') || text.includes('{%');
}

/**
 * Looks for ways from a chat template to the interpreter that renders it: attributes and names with two underscores, however
 * they are spelled, attributes computed at run time, templates that load others. Offsets are characters.
 */
export function checkTemplate(text: string, report: Report): void {
  let told = 0;
  const tell = (at: number, message: string): void => {
    told += 1;
    if (told <= MAX_REPORTS) report(at, 'template-escape', message);
  };
  BLOCK.lastIndex = 0;
  for (let block = BLOCK.exec(text); block !== null && told <= MAX_REPORTS; block = BLOCK.exec(text)) {
    const { tokens, end } = tokensOf(text, block.index + 2, block[0] === '{{' ? '}}' : '%}');
    checkBlock(tokens, block[0] === '{%', tell, () => told > MAX_REPORTS);
    // Each character is looked at once, however many blocks have no end.
    BLOCK.lastIndex = end;
  }
}

function checkBlock(
  tokens: readonly Token[],
  isStatement: boolean,
  tell: (at: number, message: string) => void,
  isEnough: () => boolean,
): void {
  const first = tokens.find(({ value }) => value !== '-' && value !== '+');
  if (isStatement && first?.kind === 'name' && STATEMENTS.has(first.value))
    tell(first.at, `the statement ${first.value} loads another template`);
  tokens.forEach(({ kind, value, at }, index) => {
    if (isEnough()) return;
    const before = tokens[index - 1];
    const after = tokens[index + 1];
    if (kind === 'text') {
      const literal = unescaped(value);
      if (literal.includes('__')) tell(at, `the string ${quote(literal)} holds two underscores`);
      else if (/^_+$/.test(literal)) tell(at, 'a string of underscores, of which a name can be made');
      else if (before?.value === '[' && INSIDES.test(literal))
        tell(at, `the member ${quote(literal)} of the interpreter`);
      return;
    }
    if (kind !== 'name') {
      if (value === '[' && joinsText(tokens, index)) tell(at, 'a member whose name is put together at run time');
      return;
    }
    if (value.startsWith('__')) tell(at, `the name ${quote(value)} leads to the interpreter`);
    else if (before?.value === '.' && (INSIDES.test(value) || value.includes('__')))
      tell(at, `the attribute ${quote(value)} leads to the interpreter`);
    else if (before?.value === '|' && value === 'attr') tell(at, 'the filter attr, which reads any attribute');
    else if (GATEWAYS.has(value) && before?.value !== '.' && (after?.value === '.' || after?.value === '['))
      tell(at, `${value} leads to the interpreter's globals`);
    else if (value === 'attribute' && after?.value === '=' && tokens[index + 2]?.kind !== 'text')
      tell(at, 'an attribute whose name is put together at run time');
  });
}

/** Whether the index that begins here joins strings, or is longer than anybody writes one. */
function joinsText(tokens: readonly Token[], open: number): boolean {
  let depth = 0;
  for (let at = open; at < tokens.length; at += 1) {
    if (at > open + MAX_INDEX_TOKENS) return true;
    const { value, kind } = tokens[at] as Token;
    if (kind === 'other' && (value === '[' || value === '(')) depth += 1;
    if (kind === 'other' && (value === ']' || value === ')')) depth -= 1;
    if (depth === 0) return false;
    if (kind !== 'other' || depth !== 1) continue;
    const around = [tokens[at - 1], tokens[at + 1]];
    if (value === '~' || ((value === '+' || value === '%') && around.some((token) => token?.kind === 'text')))
      return true;
    if (value === '|' && ['join', 'format', 'replace', 'reverse'].includes(tokens[at + 1]?.value ?? '')) return true;
  }
  return false;
}

function tokensOf(text: string, from: number, close: string): { readonly tokens: Token[]; readonly end: number } {
  const tokens: Token[] = [];
  TOKEN.lastIndex = from;
  for (;;) {
    while (/\s/.test(text[TOKEN.lastIndex] ?? '')) TOKEN.lastIndex += 1;
    const at = TOKEN.lastIndex;
    const match = at >= text.length || text.startsWith(close, at) ? null : TOKEN.exec(text);
    if (match === null) return { tokens, end: at };
    const literal = match[1] ?? match[2];
    const isName = /^[A-Za-z_]/.test(match[0]);
    tokens.push({ kind: literal !== undefined ? 'text' : isName ? 'name' : 'other', value: literal ?? match[0], at });
  }
}

/** A Python string literal as the template engine reads it. */
function unescaped(literal: string): string {
  return literal.replace(
    /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{1,3})|N\{([^}]*)\}|([\s\S]))/g,
    (whole, x?: string, u?: string, long?: string, octal?: string, named?: string, other?: string) => {
      const hex = x ?? u ?? long;
      const code =
        hex !== undefined ? Number.parseInt(hex, 16) : octal !== undefined ? Number.parseInt(octal, 8) : null;
      if (code !== null) return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
      // A character by its name can only be there to hide what it is.
      return named !== undefined ? '__' : (other ?? '');
    },
  );
}
