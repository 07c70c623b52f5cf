import type { z } from 'zod';
import { CustodyError } from '../domain/errors.js';

export interface JsonLimits {
  /** UTF-8 bytes. */
  readonly maxBytes?: number;
  /** Objects and arrays inside one another. */
  readonly maxDepth?: number;
  /** Values of any kind, all levels together. */
  readonly maxValues?: number;
}

export const MAX_JSON_BYTES = 1024 * 1024;
export const MAX_JSON_DEPTH = 64;

/** Keys that other people's code may turn into a prototype. */
export const DANGEROUS_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const LONE_SURROGATE = /\p{Surrogate}/u;
const LISTED_PROBLEMS = 20;

/**
 * Parses one JSON document in the sense of I-JSON (RFC 7493), in linear time. Refused, each as MALFORMED with `what`, line
 * and column: bytes that are not UTF-8, a byte-order mark, duplicate keys, keys that reach a prototype, lone surrogates,
 * integers that a double cannot carry unchanged, and whatever exceeds the limits.
 */
export function parseJson(input: Uint8Array | string, what: string, limits: JsonLimits = {}): unknown {
  const maxBytes = limits.maxBytes ?? MAX_JSON_BYTES;
  const size = typeof input === 'string' ? Buffer.byteLength(input) : input.byteLength;
  if (size > maxBytes) {
    throw new CustodyError('MALFORMED', `${what} is too large: ${size} bytes, at most ${maxBytes} are read`, {
      details: { what, size, maxBytes },
    });
  }
  const parser = new Parser(typeof input === 'string' ? input : decodeUtf8(input, what), what, limits);
  return parser.document();
}

/** What `schema` makes of a value; otherwise MALFORMED, listing every path that does not fit. */
export function checkShape<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => {
    const path = issue.path.length === 0 ? '(root)' : issue.path.map(String).join('.');
    return printable(`${path}: ${issue.message}`);
  });
  const listed = problems.slice(0, LISTED_PROBLEMS);
  const more = problems.length > listed.length ? `; and ${problems.length - listed.length} more` : '';
  throw new CustodyError('MALFORMED', `${what} does not have the expected shape: ${listed.join('; ')}${more}`, {
    details: { what, problems: listed },
  });
}

/** A process's configuration file. CONFIG_INVALID lists everything that does not fit. */
export function parseConfig<T>(schema: z.ZodType<T>, text: Uint8Array | string, file: string): T {
  try {
    return checkShape(schema, parseJson(text, file), file);
  } catch (cause) {
    throw new CustodyError('CONFIG_INVALID', cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** Somebody else's text in quotes, safe in a message: no control, bidi or invisible characters, at most 200 characters. */
export function quote(text: string): string {
  return `"${printable(text)}"`;
}

/** The same without quotes. */
export function printable(text: string): string {
  const short = text.length > 200 ? `${text.slice(0, 200)}…` : text;
  return short.replace(/[\p{C}\u2028\u2029]/gu, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);
}

function decodeUtf8(bytes: Uint8Array, what: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new CustodyError('MALFORMED', `${what} is not UTF-8`, { details: { what }, cause });
  }
}

class Parser {
  readonly #text: string;
  readonly #what: string;
  readonly #maxDepth: number;
  readonly #maxValues: number;
  #at = 0;
  #values = 0;

  constructor(text: string, what: string, limits: JsonLimits) {
    this.#text = text;
    this.#what = what;
    this.#maxDepth = limits.maxDepth ?? MAX_JSON_DEPTH;
    this.#maxValues = limits.maxValues ?? Number.MAX_SAFE_INTEGER;
  }

  document(): unknown {
    if (this.#text.startsWith('\ufeff')) this.#fail('a byte-order mark is not allowed');
    this.#skipSpace();
    const value = this.#value(0);
    this.#skipSpace();
    if (this.#at < this.#text.length) this.#fail('text after the end of the document');
    return value;
  }

  #value(depth: number): unknown {
    this.#values += 1;
    if (this.#values > this.#maxValues) this.#fail(`more than ${this.#maxValues} values`);
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object(this.#deeper(depth));
      case '[':
        return this.#array(this.#deeper(depth));
      case '"':
        return this.#string();
      case 't':
        return this.#literal('true', true);
      case 'f':
        return this.#literal('false', false);
      case 'n':
        return this.#literal('null', null);
      case undefined:
        return this.#fail('the document ends too early');
      default:
        return this.#number();
    }
  }

  #deeper(depth: number): number {
    if (depth >= this.#maxDepth) this.#fail(`nested deeper than ${this.#maxDepth} levels`);
    return depth + 1;
  }

  #object(depth: number): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    this.#at += 1;
    this.#skipSpace();
    if (this.#takes('}')) return object;
    for (;;) {
      const keyAt = this.#at;
      if (this.#text[keyAt] !== '"') this.#fail('expected a key in double quotes');
      const key = this.#string();
      if (DANGEROUS_KEYS.has(key)) this.#fail(`the key ${quote(key)} is not allowed`, keyAt);
      if (Object.hasOwn(object, key)) this.#fail(`the key ${quote(key)} stands twice in one object`, keyAt);
      this.#skipSpace();
      if (!this.#takes(':')) this.#fail('expected ":"');
      this.#skipSpace();
      object[key] = this.#value(depth);
      this.#skipSpace();
      if (this.#takes('}')) return object;
      if (!this.#takes(',')) this.#fail('expected "," or "}"');
      this.#skipSpace();
    }
  }

  #array(depth: number): unknown[] {
    const array: unknown[] = [];
    this.#at += 1;
    this.#skipSpace();
    if (this.#takes(']')) return array;
    for (;;) {
      array.push(this.#value(depth));
      this.#skipSpace();
      if (this.#takes(']')) return array;
      if (!this.#takes(',')) this.#fail('expected "," or "]"');
      this.#skipSpace();
    }
  }

  #string(): string {
    const start = this.#at;
    let end = start + 1;
    let plain = true;
    for (;;) {
      const code = this.#text.charCodeAt(end);
      if (code === 0x22) break;
      if (Number.isNaN(code)) this.#fail('this string has no end');
      if (code < 0x20) this.#fail('a control character in a string must be escaped', end);
      plain &&= code !== 0x5c && code < 0x80;
      end += code === 0x5c ? 2 : 1;
    }
    this.#at = end + 1;
    if (plain) return this.#text.slice(start + 1, end);
    const text = this.#unescape(start);
    if (LONE_SURROGATE.test(text)) this.#fail('a lone surrogate is not a character', start);
    return text;
  }

  #unescape(start: number): string {
    try {
      return JSON.parse(this.#text.slice(start, this.#at)) as string;
    } catch (cause) {
      return this.#fail('an escape in this string is not JSON', start, cause);
    }
  }

  #number(): number {
    NUMBER.lastIndex = this.#at;
    const match = NUMBER.exec(this.#text);
    if (match === null) return this.#fail('expected a value');
    const [literal, fraction, exponent] = match;
    const value = Number(literal);
    const isInteger = fraction === undefined && exponent === undefined;
    if (!Number.isFinite(value) || (isInteger && literal !== '-0' && String(value) !== literal)) {
      this.#fail('this number does not fit in a double');
    }
    this.#at += literal.length;
    return value;
  }

  #literal<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) this.#fail('expected a value');
    this.#at += word.length;
    return value;
  }

  #takes(char: string): boolean {
    if (this.#text[this.#at] !== char) return false;
    this.#at += 1;
    return true;
  }

  #skipSpace(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at += 1;
    }
  }

  #fail(problem: string, at: number = this.#at, cause?: unknown): never {
    const before = this.#text.slice(0, at);
    const line = before.split('\n').length;
    const column = at - before.lastIndexOf('\n');
    throw new CustodyError(
      'MALFORMED',
      `${this.#what} is not acceptable JSON at line ${line}, column ${column}: ${problem}`,
      {
        details: { what: this.#what, line, column },
        ...(cause === undefined ? {} : { cause }),
      },
    );
  }
}
