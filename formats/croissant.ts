import { z } from 'zod';
import { isDigest, type Digest } from '../domain/digest.js';
import type { ListedFile } from './file-list.js';
import { checkShape, parseJson, quote } from './json.js';
import { unsafePath } from './paths.js';

/** Where a data set has its description, if it ships one. */
export const CROISSANT_FILE = 'croissant.json';
const MAX_CROISSANT_BYTES = 8 * 1024 * 1024;

/** A file as Croissant describes it: https://docs.mlcommons.org/croissant/docs/croissant-spec.html, "FileObject". */
interface DescribedFile {
  readonly name: string;
  readonly contentUrl: string;
  /** `null`: none that is one. */
  readonly sha256: Digest | null;
}

const oneOrMany = <T extends z.ZodType>(of: T) => z.union([of, z.array(of)]).transform((given) => [given].flat());
const resource = z.looseObject({
  '@type': oneOrMany(z.string()),
  '@id': z.string().exactOptional(),
  name: z.string().exactOptional(),
  contentUrl: z.string().exactOptional(),
  sha256: z.string().exactOptional(),
  containedIn: z.unknown().optional(),
});
const schema = z.looseObject({ '@type': oneOrMany(z.string()), distribution: z.array(resource).min(1).max(100_000) });

const isOf = (types: readonly string[], type: string): boolean =>
  types.some((given) => given === type || given.endsWith(`:${type}`) || given.endsWith(`/${type}`));

/**
 * The files that a Croissant description names. What lies inside an archive is left out, since the archive is described as well.
 * MALFORMED: it describes no data set in Croissant's terms.
 */
export function readCroissant(bytes: Uint8Array): readonly DescribedFile[] {
  const value = parseJson(bytes, CROISSANT_FILE, { maxBytes: MAX_CROISSANT_BYTES, maxValues: 1_000_000 });
  const { distribution } = checkShape(schema, value, CROISSANT_FILE);
  return distribution
    .filter((each) => isOf([each['@type']].flat(), 'FileObject') && each.containedIn === undefined)
    .map(({ '@id': id, name, contentUrl = '', sha256 = '' }) => ({
      name: name ?? id ?? contentUrl,
      contentUrl,
      sha256: isDigest(sha256.toLowerCase()) ? sha256.toLowerCase() : null,
    }));
}

/** What speaks against a description of these files; `null` if nothing does. Files that it does not name are none of its business. */
export function flawInCroissant(described: readonly DescribedFile[], listed: readonly ListedFile[]): string | null {
  if (described.length === 0) return 'it describes no file';
  const byPath = new Map(listed.map(({ path, sha256 }) => [path, sha256]));
  const names = new Map(listed.map(({ path, sha256 }) => [`${sha256} ${basename(path)}`, path]));
  for (const { name, contentUrl, sha256 } of described) {
    const what = quote(name.slice(0, 200));
    if (sha256 === null) return `${what} has no SHA-256`;
    if (/^https?:\/\//i.test(contentUrl)) {
      if (!names.has(`${sha256} ${basename(pathOf(contentUrl))}`)) return `${what} lies elsewhere, and is not here`;
      continue;
    }
    if (unsafePath(contentUrl) !== null) return `${what} lies outside: ${quote(contentUrl.slice(0, 200))}`;
    const found = byPath.get(contentUrl);
    if (found === undefined) return `${what} is not here: ${quote(contentUrl)}`;
    if (found !== sha256) return `${what} has the SHA-256 ${found}, and is described with ${sha256}`;
  }
  return null;
}

function basename(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function pathOf(url: string): string {
  try {
    return decodeURIComponent(new URL(url).pathname);
  } catch (error) {
    // No address: then it is none of the files either.
    if (error instanceof TypeError || error instanceof URIError) return '';
    throw error;
  }
}
