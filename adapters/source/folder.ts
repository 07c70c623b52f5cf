import { lstatSync, opendirSync, type Dir, type Stats } from 'node:fs';
import { join } from 'node:path';
import { CustodyError } from '../../domain/errors.js';
import { takenOver } from '../../domain/base.js';
import { MANIFEST_FILE, MAX_FILES, type Manifest, type ManifestFile } from '../../domain/manifest.js';
import { quote } from '../../formats/json.js';
import { findTwins, manifestBytes, parseManifest, unsafePath } from '../../formats/manifest.js';
import { readSmall, unsafe } from './file.js';

/** What fits into one object of the store that is created once. */
export const MAX_DOCUMENT_BYTES = 8 * 1024 * 1024;
const LISTED_FILES = 20;

export interface FolderLimits {
  readonly maxFiles: number;
  readonly maxFileBytes: number;
}

/** For folders on which no policy has a say yet. */
export const NO_LIMITS: FolderLimits = { maxFiles: MAX_FILES, maxFileBytes: Number.MAX_SAFE_INTEGER };

export interface FoundFile {
  /** As in a manifest: relative, `/`-separated. */
  readonly path: string;
  readonly size: number;
  /** Permission bits. */
  readonly mode: number;
}

export interface SourceRelease {
  readonly folder: string;
  readonly manifest: Manifest;
  /** The bytes of `custody.json`, whose hash is the release digest. */
  readonly text: Buffer;
}

/**
 * Every file below a folder, by name, without following or opening anything; in one go, since asking for each by itself
 * takes far longer. INPUT_MISSING: no such folder. INPUT_EMPTY: no file in it. INPUT_UNSAFE: links, hard links, devices, pipes
 * and sockets; names that are not UTF-8 in normal form C, climb, or differ only in case; empty folders, which no manifest can
 * name; more files or larger ones than the limits.
 */
export function walkFolder(folder: string, limits: FolderLimits): FoundFile[] {
  const root = statOf(folder);
  if (root.isSymbolicLink()) throw unsafe(folder, 'it is a symbolic link: give the folder itself');
  if (!root.isDirectory()) throw new CustodyError('INPUT_MISSING', `${quote(folder)} is not a folder`);
  const files: FoundFile[] = [];
  const names: string[] = [];
  const visit = (prefix: string): void => {
    const before = names.length;
    for (const name of namesIn(join(folder, prefix))) {
      const path = prefix + decodeName(name, prefix);
      const problem = unsafePath(path);
      if (problem !== null) throw unsafe(path, problem);
      names.push(path);
      // Folders count too: a tree of nothing but folders must have an end.
      if (files.length > limits.maxFiles || names.length > 2 * limits.maxFiles + 1)
        throw unsafe(folder, `it holds more than ${limits.maxFiles} files, which is what the policy allows`);
      const stats = statOf(join(folder, path));
      if (stats.isDirectory()) visit(`${path}/`);
      else files.push(checkFile(path, stats, limits));
    }
    if (prefix !== '' && names.length === before) throw unsafe(prefix, 'it is an empty folder: remove it');
  };
  visit('');
  if (files.length === 0) throw new CustodyError('INPUT_EMPTY', `there is no file in ${quote(folder)}`);
  const twins = findTwins(names);
  if (twins !== null)
    throw unsafe(twins[1], `${quote(twins[0])} is the same name but for case, and some file systems have one for both`);
  return inByteOrder(files);
}

export function inByteOrder<F extends { readonly path: string }>(files: readonly F[]): F[] {
  return files
    .map((file) => ({ file, bytes: Buffer.from(file.path) }))
    .sort((a, b) => Buffer.compare(a.bytes, b.bytes))
    .map(({ file }) => file);
}

function checkFile(path: string, stats: Stats, { maxFileBytes }: FolderLimits): FoundFile {
  if (stats.isSymbolicLink()) throw unsafe(path, 'it is a symbolic link: put the file itself in its place');
  if (!stats.isFile()) throw unsafe(path, 'it is a device, pipe or socket');
  if (stats.nlink > 1) throw unsafe(path, 'it has a second name (a hard link), by which it could change: copy it');
  if (stats.size > maxFileBytes)
    throw unsafe(path, `it has ${stats.size} bytes, and the policy allows ${maxFileBytes} for one file`);
  return { path, size: stats.size, mode: stats.mode & 0o7777 };
}

/**
 * Reads a release folder's manifest and makes sure that the folder holds the files it lists, in their sizes, and nothing
 * else; contents are not read yet. What it has of its base need not be there. INPUT_MISSING without a manifest, INPUT_EMPTY for weights of zero bytes, DIGEST_MISMATCH
 * for files added, missing or of another size, and what `walkFolder` and `parseManifest` refuse.
 */
export async function readRelease(
  folder: string,
  limits: FolderLimits,
  base: Manifest | null = null,
): Promise<SourceRelease> {
  const found = walkFolder(folder, limits);
  if (!found.some(({ path }) => path === MANIFEST_FILE))
    throw new CustodyError('INPUT_MISSING', `${quote(folder)} has no ${MANIFEST_FILE}: write it with \`custody pack\``);
  const text = await readSmall(join(folder, MANIFEST_FILE), MAX_DOCUMENT_BYTES);
  const manifest = parseManifest(text);
  compare(
    manifest,
    found.filter(({ path }) => path !== MANIFEST_FILE),
    base,
  );
  assertWeights(manifest);
  return { folder, manifest, text };
}

/** Some files of a release as a release of their own: what of it lies in the folder, or is to be looked into. */
export function partOf({ folder, manifest }: SourceRelease, files: readonly ManifestFile[]): SourceRelease {
  const paths = new Set(files.map(({ path }) => path));
  const components = manifest.components.map((each) => ({
    ...each,
    files: each.files.filter((path) => paths.has(path)),
  }));
  const part: Manifest = { ...manifest, components: components.filter((each) => each.files.length > 0), files };
  return { folder, manifest: part, text: manifestBytes(part) };
}

/** The same of all that is not taken over from a base. */
export function ownPart(source: SourceRelease, base: Manifest | null): SourceRelease {
  if (base === null) return source;
  const taken = new Set(takenOver(source.manifest, base));
  return partOf(
    source,
    source.manifest.files.filter((file) => !taken.has(file)),
  );
}

function compare(manifest: Manifest, found: readonly FoundFile[], base: Manifest | null): void {
  const { files } = manifest;
  const elsewhere = new Set(base === null ? [] : takenOver(manifest, base).map(({ path }) => path));
  const sizes = new Map(found.map(({ path, size }) => [path, size]));
  const listed = new Set(files.map(({ path }) => path));
  const differences = {
    added: found.map(({ path }) => path).filter((path) => !listed.has(path)),
    missing: files.map(({ path }) => path).filter((path) => !sizes.has(path) && !elsewhere.has(path)),
    changed: files.filter(({ path, size }) => sizes.has(path) && sizes.get(path) !== size).map(({ path }) => path),
  };
  const problems = Object.entries(differences).filter(([, paths]) => paths.length > 0);
  if (problems.length === 0) return;
  const told = problems.map(([how, paths]) => `${how}: ${paths.slice(0, LISTED_FILES).map(quote).join(', ')}`);
  throw new CustodyError(
    'DIGEST_MISMATCH',
    `the folder does not hold what its ${MANIFEST_FILE} lists; ${told.join('; ')}: pack it again and have it signed`,
    { details: Object.fromEntries(problems.map(([how, paths]) => [how, paths.slice(0, LISTED_FILES)])) },
  );
}

function assertWeights({ components, files }: Manifest): void {
  const sizes = new Map(files.map(({ path, size }) => [path, size]));
  const weights = components.filter(({ kind }) => kind === 'weights' || kind === 'adapter');
  const empty = weights.flatMap((component) => component.files).find((path) => sizes.get(path) === 0);
  if (empty !== undefined) throw new CustodyError('INPUT_EMPTY', `the weights in ${quote(empty)} have zero bytes`);
}

/** One after the other: a folder may have more names than fit into memory. */
function* namesIn(folder: string): Generator<Buffer> {
  const opened: Dir = opendirSync(Buffer.from(folder), { encoding: 'buffer' as BufferEncoding });
  try {
    for (let entry = opened.readSync(); entry !== null; entry = opened.readSync())
      yield entry.name as unknown as Buffer;
  } finally {
    opened.closeSync();
  }
}

function statOf(path: string): Stats {
  try {
    return lstatSync(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new CustodyError('INPUT_MISSING', `cannot read ${quote(path)}: ${code ?? String(cause)}`, { cause });
  }
}

function decodeName(name: Buffer, prefix: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(name);
  } catch (cause) {
    throw unsafe(`${prefix}${name.toString('latin1')}`, 'its name is not UTF-8', cause);
  }
}
