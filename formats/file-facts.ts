import type { FileContent } from '../domain/release-facts.js';
import type { ComponentKind } from '../domain/manifest.js';
import { CustodyError } from '../domain/errors.js';
import { canonicalBytes } from './jcs.js';
import { parseJson } from './json.js';
import { sha256 } from './sha256.js';

/** Larger files are only hashed. A vocabulary of a quarter of a million words has about 20 MiB. */
export const MAX_READ_BYTES = 32 * 1024 * 1024;
const MAX_WORDS = 500_000;
const MAX_KEYS = 5_000;
const MAX_VALUE = 200;

const OPAQUE: FileContent = { kind: 'opaque' };
const READ_KINDS: ReadonlySet<ComponentKind> = new Set(['vocabulary', 'tokenizer', 'config', 'dependencies']);

/** Whether a file of this component is read at all, rather than only hashed. */
export function isRead(kind: ComponentKind, size: number): boolean {
  return READ_KINDS.has(kind) && size <= MAX_READ_BYTES;
}

/** What a file says, by the kind of its component. What cannot be read is opaque: never an error, never ignored. */
export function readContent(kind: ComponentKind, path: string, bytes: Buffer): FileContent {
  try {
    switch (kind) {
      case 'vocabulary':
        return path.endsWith('.json') ? wordsIn(json(bytes, path)) : lines(bytes);
      case 'tokenizer': {
        if (!path.endsWith('.json')) return lines(bytes);
        const value = json(bytes, path);
        const words = wordsIn(value);
        return words.kind === 'opaque' ? settings(value) : words;
      }
      case 'config':
        return settings(json(bytes, path));
      case 'dependencies':
        return path.endsWith('.json') ? lockedIn(json(bytes, path)) : requirements(bytes);
      default:
        return OPAQUE;
    }
  } catch (error) {
    if (error instanceof CustodyError && error.code === 'MALFORMED') return OPAQUE;
    throw error;
  }
}

function json(bytes: Buffer, path: string): unknown {
  return parseJson(bytes, path, { maxBytes: MAX_READ_BYTES });
}

function text(bytes: Buffer): string | null {
  const decoded = bytes.toString('utf8');
  return Buffer.from(decoded, 'utf8').equals(bytes) ? decoded : null;
}

type Members = Readonly<Record<string, unknown>>;
function membersOf(value: unknown): Members | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Members) : null;
}
const EMPTY = sha256('');
const digestOf = (value: unknown): string => sha256(canonicalBytes(value));

function lines(bytes: Buffer): FileContent {
  const decoded = text(bytes);
  return decoded === null ? OPAQUE : vocabulary(decoded.replace(/\n$/, '').split('\n'), EMPTY);
}

function vocabulary(entries: readonly string[], rest: string): FileContent {
  // A word that stands twice has two numbers: which one counts, the reader of the file decides.
  return entries.length > MAX_WORDS || new Set(entries).size !== entries.length
    ? OPAQUE
    : { kind: 'vocabulary', entries, rest };
}

/** A list of words, words with their numbers, or an object that has one of the two as a member or as `model.vocab`. */
function wordsIn(value: unknown): FileContent {
  const whole = wordsOf(value);
  if (whole !== null) return vocabulary(whole, EMPTY);
  const members = membersOf(value);
  if (members === null) return OPAQUE;
  const model = membersOf(members['model']);
  const nested = model === null ? null : wordsOf(model['vocab']);
  if (model !== null && nested !== null)
    return vocabulary(nested, digestOf({ ...members, model: { ...model, vocab: null } }));
  const lists = Object.entries(members).filter(([, member]) => wordsOf(member) !== null);
  const [only, ...more] = lists;
  if (only === undefined || more.length > 0) return OPAQUE;
  return vocabulary(wordsOf(only[1]) ?? [], digestOf({ ...members, [only[0]]: null }));
}

function wordsOf(value: unknown): readonly string[] | null {
  if (Array.isArray(value)) {
    if (value.length === 0) return null;
    return value.every((word) => typeof word === 'string') ? value : null;
  }
  const numbered = Object.entries(membersOf(value) ?? {});
  if (numbered.length === 0 || !numbered.every(([, at]) => Number.isSafeInteger(at))) return null;
  const sorted = [...numbered].sort(([, a], [, b]) => (a as number) - (b as number));
  // With holes between the numbers, the order alone would not tell which number a word has.
  return sorted.every(([, number], at) => number === at) ? sorted.map(([word]) => word) : null;
}

/** Every leaf by its path; lists are leaves. A dot in a key is written with a backslash, so that no two paths are one. */
function settings(value: unknown): FileContent {
  const values = new Map<string, string>();
  const visit = (node: unknown, path: readonly string[]): void => {
    const members = Object.entries(membersOf(node) ?? {});
    if (members.length === 0) values.set(path.join('.'), leaf(node));
    for (const [key, member] of members) visit(member, [...path, key.replaceAll(/[\\.]/g, '\\$&')]);
  };
  visit(value, []);
  return values.size > MAX_KEYS ? OPAQUE : { kind: 'config', values: Object.fromEntries(values) };
}

function leaf(value: unknown): string {
  const canonical = canonicalBytes(value);
  return canonical.length > MAX_VALUE ? `sha256:${sha256(canonical)}` : canonical.toString('utf8');
}

/** npm's lock file, and the one of Custody's trainers: `packages` by name, `runtime`, `files` by digest. */
function lockedIn(value: unknown): FileContent {
  const lock = membersOf(value);
  const listed = membersOf(lock?.['packages']);
  if (lock === null || listed === null) return OPAQUE;
  const packages: Record<string, string> = {};
  const details: Record<string, unknown> = {};
  for (const [name, entry] of Object.entries(listed)) {
    const { version, ...more } = typeof entry === 'string' ? { version: entry } : (membersOf(entry) ?? {});
    if (typeof version === 'string') packages[name] = pinned(version, more);
    else details[name] = entry;
  }
  const runtime = membersOf(lock['runtime']);
  if (typeof runtime?.['name'] === 'string' && typeof runtime['version'] === 'string')
    packages[`runtime ${runtime['name']}`] = runtime['version'];
  const files: Record<string, string> = {};
  for (const [name, entry] of Object.entries(membersOf(lock['files']) ?? {})) {
    const digest = membersOf(entry)?.['sha256'];
    if (typeof digest === 'string') files[name] = digest;
    else details[name] = entry;
  }
  if (Object.keys(packages).length + Object.keys(files).length > MAX_KEYS) return OPAQUE;
  const unversioned = runtime === null ? null : { ...runtime, version: null };
  const rest = { ...lock, packages: null, files: null, runtime: unversioned, details };
  return { kind: 'dependencies', packages, files, rest: digestOf(rest) };
}

/** A version, and what else fixes the package: its hashes and sources. */
function pinned(version: string, more: Members): string {
  return Object.keys(more).length === 0 ? version : `${version} ${digestOf(more).slice(0, 16)}`;
}

const PINNED = /^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;#]+)(.*)$/;

/** pip's requirements with exact versions; every other line is part of the rest. */
function requirements(bytes: Buffer): FileContent {
  const decoded = text(bytes);
  if (decoded === null) return OPAQUE;
  const packages = new Map<string, string>();
  const rest: string[] = [];
  for (const line of decoded.replaceAll(/\\\r?\n/g, ' ').split('\n')) {
    const [, name = '', version = '', more = ''] = PINNED.exec(line.trim()) ?? [];
    const key = `pip ${name.toLowerCase().replaceAll(/[._-]+/g, '-')}`;
    // A second line for a package is for another platform, or a mistake: either way it is not read as the first.
    if (version === '' || packages.has(key)) rest.push(line);
    else packages.set(key, pinned(version, more.trim() === '' ? {} : { more }));
  }
  return packages.size > MAX_KEYS
    ? OPAQUE
    : { kind: 'dependencies', packages: Object.fromEntries(packages), files: {}, rest: digestOf(rest) };
}
