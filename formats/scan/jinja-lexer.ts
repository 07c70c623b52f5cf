/** One token of what stands between the braces. `at` counts characters from the beginning of the template. */
export interface Token {
  readonly kind: 'name' | 'number' | 'string' | 'operator' | 'end';
  /** Of a string, what it says, its escapes resolved. */
  readonly value: string;
  readonly at: number;
}

/** What a template evaluates: `{{ … }}` or `{% … %}`; or the text of a raw block, which it does not. */
export type Block =
  | { readonly kind: 'output' | 'statement'; readonly at: number; readonly tokens: readonly Token[] }
  | { readonly kind: 'raw'; readonly at: number; readonly text: string };

/** No template: Jinja would not take it either. `isLimit`: it may well be one, and is larger than what is read. */
export class NoTemplate extends Error {
  readonly at: number;
  readonly isLimit: boolean;

  constructor(at: number, message: string, isLimit = false) {
    super(message);
    this.at = at;
    this.isLimit = isLimit;
  }
}

/** Tokens of one template. The longest chat templates in use have about 5,000. */
const MAX_TOKENS = 100_000;
/** White space of Python, which has more of it than JavaScript. */
const SPACE = '[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';
const SPACES = new RegExp(`${SPACE}*`, 'y');
const OPEN = /\{[{%#]/g;
const RAW = new RegExp(`\\{%[-+]?${SPACE}*raw${SPACE}*-?%\\}`, 'y');
const END_RAW = new RegExp(`\\{%[-+]?${SPACE}*endraw${SPACE}*[-+]?%\\}`, 'y');
const END_OUTPUT = /-?\}\}/y;
const END_STATEMENT = /[-+]?%\}/y;
const FLOAT = /(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy;
const INTEGER = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy;
/** More than Python takes for a name: what it refuses is refused there. */
const NAME = /[\p{L}\p{N}\p{M}\p{Pc}\xb7\u2118\u212e]{1,1000}/uy;
const MAX_NAME = 1000;
const OPERATOR = /\/\/|\*\*|[=!<>]=|[-+*/%~[\](){}=<>.:|,;]/y;
const CLOSES: Readonly<Record<string, string>> = { '{': '}', '(': ')', '[': ']' };

/**
 * The blocks of a template, found as Jinja 3 finds them with its own delimiters: an end counts only outside of strings and
 * brackets. Each character is looked at a bounded number of times. Throws NoTemplate.
 */
export function* blocksOf(text: string): Generator<Block> {
  let left = MAX_TOKENS;
  let at = 0;
  for (;;) {
    OPEN.lastIndex = at;
    const open = OPEN.exec(text);
    if (open === null) return;
    const begin = open.index;
    if (open[0] === '{#') {
      const end = text.indexOf('#}', begin + 2);
      if (isBlank(text, begin + 2 + signAt(text, begin + 2))) return;
      if (end < 0) throw new NoTemplate(begin, 'a comment has no end');
      at = end + 2;
      continue;
    }
    const raw = open[0] === '{%' ? match(RAW, text, begin) : null;
    if (raw !== null) {
      const from = begin + raw.length;
      const end = endOfRaw(text, from);
      yield { kind: 'raw', at: from, text: text.slice(from, end.from) };
      at = end.to;
      continue;
    }
    const kind = open[0] === '{{' ? 'output' : 'statement';
    const block = tokensOf(
      text,
      begin + 2 + signAt(text, begin + 2),
      kind === 'output' ? END_OUTPUT : END_STATEMENT,
      left,
    );
    left -= block.tokens.length;
    yield { kind, at: begin, tokens: block.tokens };
    at = block.to;
  }
}

function endOfRaw(text: string, from: number): { readonly from: number; readonly to: number } {
  for (let at = text.indexOf('{%', from); at >= 0; at = text.indexOf('{%', at + 2)) {
    const end = match(END_RAW, text, at);
    if (end !== null) return { from: at, to: at + end.length };
  }
  // Of what is not there, Jinja does not miss the end.
  if (isBlank(text, from)) return { from, to: text.length };
  throw new NoTemplate(from, 'a raw block has no end');
}

function signAt(text: string, at: number): number {
  return text[at] === '-' || text[at] === '+' ? 1 : 0;
}

/** Whether nothing follows, or a line's end, which Jinja takes off. */
function isBlank(text: string, from: number): boolean {
  return from + (match(SPACES, text, from)?.length ?? 0) === text.length;
}

function tokensOf(text: string, from: number, close: RegExp, limit: number): { tokens: Token[]; to: number } {
  const tokens: Token[] = [];
  const open: string[] = [];
  let at = from;
  for (;;) {
    at += match(SPACES, text, at)?.length ?? 0;
    const end = open.length === 0 ? match(close, text, at) : null;
    if (end !== null) {
      tokens.push({ kind: 'end', value: '', at });
      return { tokens, to: at + end.length };
    }
    if (tokens.length >= limit) throw new NoTemplate(at, `it has more than ${MAX_TOKENS} tokens`, true);
    const token = tokenAt(text, at);
    if (token === null)
      throw new NoTemplate(at, at >= text.length ? 'a block has no end' : 'a character has no meaning');
    const { kind, source } = token;
    if (kind === 'operator') balance(open, source, at);
    tokens.push({ kind, value: kind === 'string' ? unescaped(source.slice(1, -1)) : source, at });
    at += source.length;
  }
}

function tokenAt(text: string, at: number): { readonly kind: Token['kind']; readonly source: string } | null {
  const float = text[at - 1] === '.' ? null : match(FLOAT, text, at);
  const number = float ?? match(INTEGER, text, at);
  if (number !== null) return { kind: 'number', source: number };
  const name = match(NAME, text, at);
  if (name !== null && name.length >= MAX_NAME) throw new NoTemplate(at, `a name has ${MAX_NAME} letters`, true);
  if (name !== null) return { kind: 'name', source: name };
  const string = stringAt(text, at);
  if (string !== null) return { kind: 'string', source: string };
  const operator = match(OPERATOR, text, at);
  return operator === null ? null : { kind: 'operator', source: operator };
}

/** By hand: an expression of a string of megabytes takes more stack than there is. */
function stringAt(text: string, at: number): string | null {
  const mark = text[at];
  if (mark !== "'" && mark !== '"') return null;
  for (let end = at + 1; end < text.length; end += 1) {
    if (text[end] === mark) return text.slice(at, end + 1);
    if (text[end] === '\\') end += 1;
  }
  return null;
}

function balance(open: string[], bracket: string, at: number): void {
  const close = CLOSES[bracket];
  if (close !== undefined) open.push(close);
  else if (/^[\])}]$/.test(bracket) && open.pop() !== bracket) throw new NoTemplate(at, 'a bracket closes nothing');
}

function match(form: RegExp, text: string, at: number): string | null {
  form.lastIndex = at;
  return form.exec(text)?.[0] ?? null;
}

const ESCAPES: Readonly<Record<string, string>> = {
  ...{ '\\': '\\', "'": "'", '"': '"', a: '\x07', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' },
};

/** A Python string literal as Jinja reads it. */
function unescaped(literal: string): string {
  return literal.replace(
    /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{1,3})|N\{([^}]*)\}|(\r\n|[\s\S]))/g,
    (whole, x?: string, u?: string, long?: string, octal?: string, named?: string, other?: string) => {
      const hex = x ?? u ?? long;
      const code =
        hex !== undefined ? Number.parseInt(hex, 16) : octal !== undefined ? Number.parseInt(octal, 8) : null;
      if (code !== null) return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
      // A character by its name can only be there to hide what it is.
      if (named !== undefined) return '__';
      if (other === '\n' || other === '\r' || other === '\r\n') return '';
      return Object.hasOwn(ESCAPES, other ?? '') ? (ESCAPES[other ?? ''] ?? whole) : whole;
    },
  );
}
