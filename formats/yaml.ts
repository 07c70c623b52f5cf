import { isMap, isScalar, LineCounter, parseDocument, visit, type Document } from 'yaml';
import { z } from 'zod';
import { CustodyError } from '../domain/errors.js';
import { quote } from './json.js';

type Path = readonly (string | number)[];

/**
 * Reads YAML 1.2 that people write, as what `schema` makes of it. CONFIG_INVALID names file, line and path of everything
 * that does not fit, and for an unknown key the one that was probably meant. Aliases and tags of one's own are refused: what
 * stands there is what counts.
 */
export function readYaml<T>(schema: z.ZodType<T>, text: string, file: string): T {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, version: '1.2', merge: false });
  const at = (offset: number | undefined): string => `${file}:${offset === undefined ? 1 : lines.linePos(offset).line}`;
  const syntax = [...document.errors, ...document.warnings].map(
    ({ pos, message }) => `${at(pos[0])}: ${message.split('\n')[0]?.replace(/ at line \d+, column \d+:$/, '') ?? ''}`,
  );
  visit(document, {
    Alias: (_, alias) => {
      syntax.push(`${at(alias.range?.[0])}: the alias *${alias.source}: write out what it stands for`);
    },
    Pair: (_, { key }) => {
      if (isScalar(key)) return;
      syntax.push(`${at(startOf(key))}: a key must be plain text`);
    },
  });
  if (syntax.length > 0) throw invalid(syntax);

  const result = schema.safeParse(document.toJS());
  if (result.success) return result.data;
  throw invalid(
    result.error.issues.flatMap((issue) => {
      const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
      if (issue.code !== 'unrecognized_keys') return `${at(offsetOf(document, path))}: ${named(path)}${issue.message}`;
      return issue.keys.map((key) => {
        const meant = nearest(key, keysAt(schema, path));
        const question = meant === null ? '' : `, did you mean ${quote(meant)}?`;
        return `${at(keyOffset(document, path, key))}: ${named(path)}unknown key ${quote(key)}${question}`;
      });
    }),
  );
}

function invalid(problems: readonly string[]): CustodyError {
  return new CustodyError('CONFIG_INVALID', problems.join('\n'), { details: { problems } });
}

function named(path: Path): string {
  return path.length === 0 ? '' : `${path.join('.')}: `;
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
}

/** The keys that the schema knows at a path. */
function keysAt(schema: z.ZodType, path: Path): readonly string[] {
  let place: JsonSchema | undefined = z.toJSONSchema(schema, { unrepresentable: 'any', io: 'input' }) as JsonSchema;
  for (const part of path) place = typeof part === 'number' ? place?.items : place?.properties?.[part];
  return Object.keys(place?.properties ?? {});
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
