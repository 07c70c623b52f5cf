import { z } from 'zod';
import { CustodyError } from '../domain/errors.js';
import { COMPONENT_KINDS, MANIFEST_FILE, MAX_FILES, type Manifest } from '../domain/manifest.js';
import { isModelName, isVersion } from '../domain/names.js';
import { PROTOCOLS } from '../domain/protocol.js';
import { digestSchema } from './in-toto.js';
import { canonicalBytes } from './jcs.js';
import { checkShape, parseJson, quote } from './json.js';
import type { OmsResource } from './oms.js';
import { unsafePath } from './paths.js';

export { unsafePath } from './paths.js';
import { sha256 } from './sha256.js';

const MAX_MANIFEST_BYTES = 16 * 1024 * 1024;

const pathSchema = z.string().refine((path) => unsafePath(path) === null, 'not a safe relative path');

const schema = z.strictObject({
  schema: z.literal('https://custody.dev/manifest/v1'),
  model: z.string().refine(isModelName, 'not a model name'),
  version: z.string().refine(isVersion, 'not SemVer'),
  components: z
    .array(
      z.strictObject({
        name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/),
        kind: z.enum(COMPONENT_KINDS),
        version: z.string().refine(isVersion, 'not SemVer'),
        files: z.array(pathSchema).min(1),
      }),
    )
    .min(1)
    .max(256),
  files: z
    .array(z.strictObject({ path: pathSchema, size: z.int().min(0), sha256: digestSchema }))
    .min(1)
    .max(MAX_FILES),
  serving: z.strictObject({
    protocol: z.enum(PROTOCOLS),
    command: z.array(z.string().min(1).max(1024)).min(1).max(64),
  }),
});

/** The form in which a file system that passes over case compares names. */
function folded(path: string): string {
  return path.toUpperCase().toLowerCase();
}

/** Twins are names that some file system would take for one: equal but for case. */
export function findTwins(paths: readonly string[]): readonly [string, string] | null {
  const seen = new Map<string, string>();
  for (const path of paths) {
    const name = folded(path);
    const twin = seen.get(name);
    if (twin !== undefined) return [twin, path];
    seen.set(name, path);
  }
  return null;
}

/** A path that is a file, and for another file a folder. */
function fileAndFolder(paths: readonly string[]): string | null {
  const files = new Set(paths.map(folded));
  const isInFile = (path: string): boolean =>
    [...path.matchAll(/\//g)].some(({ index }) => files.has(folded(path.slice(0, index))));
  return paths.find(isInFile) ?? null;
}

/** Reads `custody.json`: canonical JSON whose every file belongs to exactly one component. `MALFORMED` otherwise. */
export function parseManifest(bytes: Buffer): Manifest {
  const manifest = checkShape<Manifest>(
    schema,
    parseJson(bytes, MANIFEST_FILE, { maxBytes: MAX_MANIFEST_BYTES, maxValues: 1_000_000 }),
    MANIFEST_FILE,
  );
  const malformed = (reason: string): CustodyError => new CustodyError('MALFORMED', `${MANIFEST_FILE}: ${reason}`);
  if (!canonicalBytes(manifest).equals(bytes))
    throw malformed('it is not in canonical form (RFC 8785): write it with `custody pack`');

  const paths = manifest.files.map((file) => file.path);
  const twins = findTwins([...paths, MANIFEST_FILE]);
  if (twins !== null) throw malformed(`${quote(twins[0])} and ${quote(twins[1])} are the same name but for case`);
  const nested = fileAndFolder([...paths, MANIFEST_FILE]);
  if (nested !== null) throw malformed(`${quote(nested)} lies in what is both a file and a folder`);
  const listed = manifest.components.flatMap((component) => component.files);
  const owned = new Set(listed);
  if (listed.length !== owned.size) throw malformed('a file belongs to two components');
  const present = new Set(paths);
  const orphan = paths.find((path) => !owned.has(path)) ?? listed.find((path) => !present.has(path));
  if (orphan !== undefined) throw malformed(`${quote(orphan)} must be listed once in files and in one component`);
  return manifest;
}

export function manifestBytes(manifest: Manifest): Buffer {
  return canonicalBytes(manifest);
}

/** What an OMS signature over the release covers: its files and the manifest itself, so it binds the release digest. */
export function omsResources(manifest: Manifest, bytes: Buffer): OmsResource[] {
  return [
    ...manifest.files.map((file) => ({ name: file.path, sha256: file.sha256 })),
    { name: MANIFEST_FILE, sha256: sha256(bytes) },
  ];
}
