import { isMap, isScalar, LineCounter, parseDocument, visit, type Document } from 'yaml';
import { z } from 'zod';
import { CustodyError } from '../domain/errors.js';
import { DANGEROUS_KEYS, printable, quote } from './json.js';

type Path = readonly (string | number)[];

/** A value that was read, and where each of its members stands: `file:line:column`. */
export interface Placed<T> {
  readonly value: T;
  readonly place: (path: Path) => string;
}

const MAX_YAML_BYTES = 4 * 1024 * 1024;
/** Truth values in YAML 1.1, text in YAML 1.2: two readers of one file could disagree. */
const AMBIGUOUS = /^(y|yes|n|no|on|off)$/i;

/**
 * Reads YAML 1.2 that people write, as what `schema` makes of it. CONFIG_INVALID names file, line, column and path of
 * everything that does not fit, and for an unknown key or value the one that was probably meant. Aliases, tags of one's own
 * and words that older YAML takes for truth values are refused: what stands there is what counts.
 */
export function readYaml<T>(schema: z.ZodType<T>, text: string, file: string): Placed<T> {
  const lines = new LineCounter();
  const at = (offset: number | undefined): string => {
    const { line, col } = lines.linePos(offset ?? 0);
    return `${file}:${Math.max(line, 1)}:${Math.max(col, 1)}`;
  };
  if (Buffer.byteLength(text) > MAX_YAML_BYTES)
    throw invalid([`${at(0)} larger than ${MAX_YAML_BYTES} bytes, which is the most that is read`]);
  if (text.startsWith('\ufeff')) throw invalid([`${at(0)} a byte-order mark: save the file as UTF-8 without one`]);
  const { document, value } = parsed(text, file, lines, at);
  const place = (path: Path): string => at(offsetOf(document, path));
  const result = schema.safeParse(value);
  if (result.success) return { value: result.data, place };
  throw invalid(
    result.error.issues.flatMap(plainIssues).flatMap((issue) => {
      const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
      if (issue.code === 'unrecognized_keys')
        return issue.keys.map((key) => {
          const meant = meantFor(key, keysAt(schema, path));
          return `${at(keyOffset(document, path, key))} ${[...path, printable(key)].join('.')}: unknown key${meant}`;
        });
      const said = document.getIn(path);
      const { message } = issue;
      if (issue.code !== 'invalid_value' || typeof said !== 'string') return problemAt(place(path), path, message);
      const known = issue.values.map(String);
      return problemAt(place(path), path, `${quote(said)} is none of ${known.join(', ')}${meantFor(said, known)}`);
    }),
  );
}

/** `file:line:column path: what is wrong`. */
export function problemAt(place: string, path: Path, message: string): string {
  return path.length === 0 ? `${place} ${message}` : `${place} ${path.join('.')}: ${message}`;
}

function parsed(
  text: string,
  file: string,
  lines: LineCounter,
  at: (offset: number | undefined) => string,
): { readonly document: Document; readonly value: unknown } {
  try {
    const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, version: '1.2', merge: false });
    const problems = syntaxOf(document, at);
    if (problems.length > 0) throw invalid(problems);
    return { document, value: document.toJS() };
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new CustodyError('CONFIG_INVALID', `${file}:1:1 nested too deeply to be read`, { cause });
  }
}

function syntaxOf(document: Document.Parsed, at: (offset: number | undefined) => string): string[] {
  const problems = [...document.errors, ...document.warnings].map(
    ({ pos, message }) => `${at(pos[0])} ${message.split('\n')[0]?.replace(/ at line \d+, column \d+:$/, '') ?? ''}`,
  );
  visit(document, {
    Alias: (_, alias) => {
      problems.push(`${at(alias.range?.[0])} the alias *${alias.source}: write out what it stands for`);
    },
    Pair: (_, { key }) => {
      if (!isScalar(key)) problems.push(`${at(startOf(key))} a key must be plain text`);
      else if (DANGEROUS_KEYS.has(String(key.value)))
        problems.push(`${at(startOf(key))} the key ${quote(String(key.value))} is not allowed`);
    },
    Scalar: (_, { type, value, range }) => {
      if (type === 'PLAIN' && typeof value === 'string' && AMBIGUOUS.test(value))
        problems.push(`${at(range?.[0])} ${value} is a truth value to some readers: put it in quotes`);
    },
  });
  return problems;
}

/** Of alternatives of which none fits, what is wrong with the one that comes closest. */
function plainIssues(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code !== 'invalid_union') return [issue];
  const [closest] = [...issue.errors].sort((a, b) => a.length - b.length);
  if (closest === undefined) return [issue];
  return closest.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] })).flatMap(plainIssues);
}

function meantFor(word: string, candidates: readonly string[]): string {
  const meant = nearest(word, candidates);
  return meant === null ? '' : `, did you mean ${quote(meant)}?`;
}

function invalid(problems: readonly string[]): CustodyError {
  return new CustodyError('CONFIG_INVALID', problems.join('\n'), { details: { problems } });
}

function startOf(node: unknown): number | undefined {
  return typeof node === 'object' && node !== null && 'range' in node
    ? ((node as { readonly range?: readonly number[] | null }).range?.[0] ?? undefined)
    : undefined;
}

/** Where the value at a path begins; where there is none, the nearest that holds it. */
function offsetOf(document: Document, path: Path): number | undefined {
  for (let length = path.length; length > 0; length -= 1) {
    const offset = startOf(document.getIn(path.slice(0, length), true));
    if (offset !== undefined) return offset;
  }
  return startOf(document.contents);
}

function keyOffset(document: Document, path: Path, key: string): number | undefined {
  const parent: unknown = path.length === 0 ? document.contents : document.getIn(path, true);
  const pair = isMap(parent) ? parent.items.find((item) => isScalar(item.key) && String(item.key.value) === key) : null;
  return startOf(pair?.key) ?? offsetOf(document, path);
}

interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
}

/** The keys that the schema knows at a path, in any of its alternatives. */
function keysAt(schema: z.ZodType, path: Path): readonly string[] {
  let places = [z.toJSONSchema(schema, { unrepresentable: 'any', io: 'input' }) as JsonSchema].flatMap(alternatives);
  for (const part of path)
    places = places
      .flatMap((place) => (typeof part === 'number' ? place.items : place.properties?.[part]) ?? [])
      .flatMap(alternatives);
  return [...new Set(places.flatMap(({ properties = {} }) => Object.keys(properties)))];
}

function alternatives(schema: JsonSchema): readonly JsonSchema[] {
  return schema.anyOf === undefined ? [schema] : schema.anyOf.flatMap(alternatives);
}

/** The candidate that takes the fewest edits to reach, where that is at most two or a third of the word, of a short one one. */
export function nearest(word: string, candidates: readonly string[]): string | null {
  const ranked = candidates
    .map((candidate) => ({ candidate, edits: editsBetween(word.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.edits - b.edits);
  const [best] = ranked;
  return best !== undefined && best.edits <= Math.max(word.length < 4 ? 1 : 2, Math.floor(word.length / 3))
    ? best.candidate
    : null;
}

/** Letters put in, left out, replaced, or changed with their neighbour: optimal string alignment. */
function editsBetween(a: string, b: string): number {
  let rows: readonly (readonly number[])[] = [[], Array.from({ length: b.length + 1 }, (_, at) => at)];
  for (let i = 1; i <= a.length; i += 1) {
    const [twoUp = [], up = []] = rows;
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (up[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swaps = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = swaps ? (twoUp[j - 2] ?? 0) + 1 : Infinity;
      row.push(Math.min(replaced, (up[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, swapped));
    }
    rows = [up, row];
  }
  return rows[1]?.[b.length] ?? 0;
}
