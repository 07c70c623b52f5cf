import canonicalize from 'canonicalize';
import { MAX_JSON_DEPTH } from '../domain/depth.js';
import { CustodyError } from '../domain/errors.js';
import { parseJson, quote } from './json.js';

/**
 * The canonical form (RFC 8785, JCS) of a JSON value, in UTF-8. Only what JSON has is accepted: `undefined`, NaN, Infinity,
 * functions, instances of classes, holes in arrays, lone surrogates and more than 64 levels are MALFORMED, with their path.
 */
export function canonicalBytes(value: unknown): Buffer {
  assertJson(value, '$', 0);
  const text = canonicalize(value);
  if (text === undefined) throw new CustodyError('INTERNAL', 'canonicalize answered nothing for a JSON value');
  return Buffer.from(text, 'utf8');
}

/** True when the bytes are JSON that `parseJson` accepts (of any size), and are its one canonical form. */
export function isCanonical(bytes: Uint8Array): boolean {
  try {
    return canonicalBytes(parseJson(bytes, 'document', { maxBytes: bytes.byteLength })).equals(bytes);
  } catch (error) {
    if (error instanceof CustodyError && error.code === 'MALFORMED') return false;
    throw error;
  }
}

function assertJson(value: unknown, path: string, depth: number): void {
  if (depth > MAX_JSON_DEPTH) refuse(path, `nested deeper than ${MAX_JSON_DEPTH} levels, or a cycle`);
  switch (typeof value) {
    case 'boolean':
      return;
    case 'string':
      if (/\p{Surrogate}/u.test(value)) refuse(path, 'a lone surrogate');
      return;
    case 'number':
      if (!Number.isFinite(value)) refuse(path, `the number ${value}`);
      return;
    case 'object':
      if (value === null) return;
      if (Array.isArray(value)) assertArray(value, path, depth);
      else assertObject(value, path, depth);
      return;
    default:
      refuse(path, typeof value === 'undefined' ? 'undefined' : `a ${typeof value}`);
  }
}

function assertArray(array: readonly unknown[], path: string, depth: number): void {
  // By index, so that a hole is seen as the undefined it would be read as.
  for (let i = 0; i < array.length; i++) assertJson(array[i], `${path}[${i}]`, depth + 1);
}

function assertObject(object: object, path: string, depth: number): void {
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype !== Object.prototype && prototype !== null) refuse(path, 'an instance of a class');
  if (Object.getOwnPropertySymbols(object).length > 0) refuse(path, 'a symbol as key');
  for (const [key, member] of Object.entries(object)) {
    if (/\p{Surrogate}/u.test(key)) refuse(path, 'a key with a lone surrogate');
    assertJson(member, `${path}.${key}`, depth + 1);
  }
}

function refuse(path: string, problem: string): never {
  throw new CustodyError('MALFORMED', `no canonical JSON for the value at ${quote(path)}: ${problem}`, {
    details: { path },
  });
}
