import type { z } from 'zod';
import { MAX_JSON_DEPTH } from '../domain/depth.js';
import { CustodyError } from '../domain/errors.js';
import type { JsonVisitor } from './json-visitor.js';
import { quote } from './printable.js';
import { checkShape } from './shape.js';
import { BytePlaces, decodeUtf8 } from './utf8.js';

export { printable, quote } from './printable.js';
export { checkShape } from './shape.js';

export interface JsonLimits {
  /** UTF-8 bytes. */
  readonly maxBytes?: number;
  /** Objects and arrays inside one another. */
  readonly maxDepth?: number;
  /** Values of any kind, all levels together. */
  readonly maxValues?: number;
}

export const MAX_JSON_BYTES = 1024 * 1024;

/** Keys that other people's code may turn into a prototype. */
export const DANGEROUS_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const LONE_SURROGATE = /\p{Surrogate}/u;
/** Keys of the objects that are open while a document is gone through: so many words has no vocabulary. */
const MAX_HELD_KEYS = 600_000;
/** An array that is shown with the object that it is in. */
const FEW_ELEMENTS = 4;
/** In characters: longer ones than any text of a model, of which a copy has to be made. */
const MAX_SHOWN_STRING = 4 * 1024 * 1024;

/**
 * Parses one JSON document in the sense of I-JSON (RFC 7493), in linear time. Refused, each as MALFORMED with `what`, line
 * and column: bytes that are not UTF-8, a byte-order mark, duplicate keys, keys that reach a prototype, lone surrogates,
 * integers that a double cannot carry unchanged, and whatever exceeds the limits.
 */
export function parseJson(input: Uint8Array | string, what: string, limits: JsonLimits = {}): unknown {
  return parserOf(input, what, limits, null).document();
}

/**
 * Goes through somebody else's document without keeping it: each object is shown once it has ended. Whatever a lenient reader
 * takes is taken, so that it is seen: any key and number, NaN and infinities, lone surrogates. Duplicate keys, of which two
 * readers may take different ones, are refused, and so is what exceeds the limits.
 */
export function lookThroughJson(
  input: Uint8Array | string,
  what: string,
  limits: JsonLimits,
  visitor: JsonVisitor,
): void {
  parserOf(input, what, limits, visitor).document();
}

function parserOf(input: Uint8Array | string, what: string, limits: JsonLimits, visitor: JsonVisitor | null): Parser {
  const maxBytes = limits.maxBytes ?? MAX_JSON_BYTES;
  const size = typeof input === 'string' ? Buffer.byteLength(input) : input.byteLength;
  if (size > maxBytes) {
    throw new CustodyError('MALFORMED', `${what} is too large: ${size} bytes, at most ${maxBytes} are read`, {
      details: { what, size, maxBytes },
    });
  }
  return new Parser(typeof input === 'string' ? input : decodeUtf8(input, what), what, limits, visitor);
}

/** A process's configuration file. CONFIG_INVALID lists everything that does not fit. */
export function parseConfig<T>(schema: z.ZodType<T>, text: Uint8Array | string, file: string): T {
  try {
    return checkShape(schema, parseJson(text, file), file);
  } catch (cause) {
    throw new CustodyError('CONFIG_INVALID', cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

class Parser {
  readonly #text: string;
  readonly #what: string;
  readonly #places: BytePlaces;
  readonly #maxDepth: number;
  readonly #maxValues: number;
  /** Who is shown the objects, instead of being answered the document. */
  readonly #visitor: JsonVisitor | null;
  #at = 0;
  #values = 0;
  #heldKeys = 0;
  /** The key whose value is looked through. */
  #under = '';

  constructor(text: string, what: string, limits: JsonLimits, visitor: JsonVisitor | null) {
    this.#text = text;
    this.#what = what;
    this.#places = new BytePlaces(text);
    this.#maxDepth = limits.maxDepth ?? MAX_JSON_DEPTH;
    this.#maxValues = limits.maxValues ?? Number.MAX_SAFE_INTEGER;
    this.#visitor = visitor;
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
        return this.#visitor === null ? this.#object(this.#deeper(depth)) : this.#shown(this.#deeper(depth));
      case '[':
        return this.#array(this.#deeper(depth));
      case '"':
        return this.#words();
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

  #words(): string {
    const begin = this.#at;
    const text = this.#string();
    this.#visitor?.onText(text, () => this.#places.before(begin));
    return text;
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
      const key = this.#key();
      if (DANGEROUS_KEYS.has(key)) this.#fail(`the key ${quote(key)} is not allowed`, keyAt);
      if (Object.hasOwn(object, key)) this.#fail(`the key ${quote(key)} stands twice in one object`, keyAt);
      this.#colon();
      object[key] = this.#value(depth);
      this.#skipSpace();
      if (this.#takes('}')) return object;
      if (!this.#takes(',')) this.#fail('expected "," or "}"');
      this.#skipSpace();
    }
  }

  #shown(depth: number): undefined {
    const begin = this.#at;
    const under = this.#under;
    const members = new Map<string, unknown>();
    this.#at += 1;
    this.#skipSpace();
    for (let first = true; !this.#takes('}'); first = false) {
      if (!first && !this.#takes(',')) this.#fail('expected "," or "}"');
      this.#skipSpace();
      const keyAt = this.#at;
      const key = this.#key();
      if (members.has(key)) this.#fail(`the key ${quote(key)} stands twice in one object`, keyAt);
      this.#colon();
      this.#under = key;
      members.set(key, this.#value(depth));
      this.#heldKeys += 1;
      if (this.#heldKeys > MAX_HELD_KEYS) this.#fail(`more than ${MAX_HELD_KEYS} keys`);
      this.#skipSpace();
    }
    this.#heldKeys -= members.size;
    this.#under = under;
    this.#visitor?.onObject(members, () => this.#places.before(begin), under);
  }

  #key(): string {
    if (this.#text[this.#at] !== '"') this.#fail('expected a key in double quotes');
    return this.#string();
  }

  #colon(): void {
    this.#skipSpace();
    if (!this.#takes(':')) this.#fail('expected ":"');
    this.#skipSpace();
  }

  #array(depth: number): unknown[] | undefined {
    const array: unknown[] = [];
    let isLong = false;
    this.#at += 1;
    this.#skipSpace();
    if (this.#takes(']')) return array;
    for (;;) {
      const value = this.#value(depth);
      if (this.#visitor === null || array.length < FEW_ELEMENTS) array.push(value);
      else isLong = true;
      this.#skipSpace();
      if (this.#takes(']')) return isLong ? undefined : array;
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
    if (this.#visitor !== null && end - start > MAX_SHOWN_STRING) this.#fail('this string is too long', start);
    if (plain) return this.#text.slice(start + 1, end);
    const text = this.#unescape(start);
    if (this.#visitor === null && LONE_SURROGATE.test(text)) this.#fail('a lone surrogate is not a character', start);
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
    const word =
      this.#visitor === null ? undefined : /(?:NaN|-?Infinity)/y.exec(this.#text.slice(this.#at, this.#at + 9));
    if (word?.[0] !== undefined) {
      this.#at += word[0].length;
      return Number(word[0]);
    }
    NUMBER.lastIndex = this.#at;
    const match = NUMBER.exec(this.#text);
    if (match === null) return this.#fail('expected a value');
    const [literal, fraction, exponent] = match;
    const value = Number(literal);
    const isInteger = fraction === undefined && exponent === undefined;
    const isExact = Number.isFinite(value) && !(isInteger && literal !== '-0' && String(value) !== literal);
    if (!isExact && this.#visitor === null) this.#fail('this number does not fit in a double');
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
