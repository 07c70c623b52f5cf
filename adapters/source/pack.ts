import { chmod, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { Digest } from '../../domain/digest.js';
import { CustodyError } from '../../domain/errors.js';
import {
  COMPONENT_KINDS,
  MANIFEST_FILE,
  type Component,
  type Manifest,
  type ManifestFile,
} from '../../domain/manifest.js';
import { PROTOCOLS } from '../../domain/protocol.js';
import { manifestBytes, parseManifest } from '../../formats/manifest.js';
import { sha256 } from '../../formats/sha256.js';
import { openRegular } from './file.js';
import { inByteOrder, NO_LIMITS, walkFolder, type SourceRelease } from './folder.js';
import { hashFiles } from './hashing.js';

/** What a manifest says that the files do not say themselves. Components without a version have the release's. */
export interface ReleaseDescription {
  readonly model: string;
  readonly version: string;
  readonly components: readonly (Omit<Component, 'version'> & { readonly version?: string })[];
  readonly serving: Manifest['serving'];
}

/** The same in a file that people write: the shape of each member. */
export const partsOfRelease = {
  components: z
    .array(
      z.strictObject({
        name: z.string(),
        kind: z.enum(COMPONENT_KINDS),
        version: z.string().exactOptional(),
        files: z.array(z.string()).min(1),
      }),
    )
    .min(1),
  serving: z.strictObject({ protocol: z.enum(PROTOCOLS), command: z.array(z.string()).min(1) }),
};

export interface PackedRelease extends SourceRelease {
  /** The release digest. */
  readonly release: Digest;
}

const READABLE = 0o644;

/**
 * Writes `custody.json` into a folder that is to be a release, in place of one that is already there: the same files and
 * description make the same bytes. Files become readable for other users (mode o+rX), as a sandbox needs it. MALFORMED
 * unless every file belongs to exactly one component; INPUT_* for what `walkFolder` refuses. `kept`: files of a base, which
 * are not in the folder.
 */
export async function packRelease(
  folder: string,
  description: ReleaseDescription | ((files: readonly ManifestFile[]) => ReleaseDescription),
  kept: readonly ManifestFile[] = [],
): Promise<PackedRelease> {
  const found = walkFolder(folder, NO_LIMITS).filter(({ path }) => path !== MANIFEST_FILE);
  for (const { path, mode } of found) if (mode !== READABLE) await makeFileReadable(join(folder, path));
  const own = await hashFiles(folder, found);
  const files = inByteOrder([...own, ...kept]);
  const { model, version, components, serving } = typeof description === 'function' ? description(files) : description;
  const text = manifestBytes({
    schema: 'https://custody.dev/manifest/v1',
    model,
    version,
    components: components.map((component) => ({ ...component, version: component.version ?? version })),
    files,
    serving,
  });
  const manifest = parseManifest(text);
  await writeManifest(join(folder, MANIFEST_FILE), text);
  await openFolders(folder, own);
  return { folder, manifest, text, release: sha256(text) };
}

/**
 * What a program has left becomes readable for other users, and no more than that: nobody else writes to it, and none of it runs
 * with its owner's rights. INPUT_UNSAFE for links, though `files` should be what `walkFolder` has found.
 */
export async function makeReadable(folder: string, files: readonly { readonly path: string }[]): Promise<void> {
  for (const { path } of files) await makeFileReadable(join(folder, path));
  await openFolders(folder, files);
}

async function openFolders(folder: string, files: readonly { readonly path: string }[]): Promise<void> {
  for (const parent of new Set(files.flatMap(({ path }) => parentsOf(path)))) await chmod(join(folder, parent), 0o755);
}

function parentsOf(path: string): readonly string[] {
  const parent = dirname(path);
  return parent === '.' ? ['.'] : [...parentsOf(parent), parent];
}

async function makeFileReadable(path: string): Promise<void> {
  const { handle } = await openRegular(path);
  try {
    await handle.chmod(READABLE);
  } finally {
    await handle.close();
  }
}

async function writeManifest(path: string, text: Buffer): Promise<void> {
  const handle = await open(path, 'w', 0o644);
  try {
    await handle.writeFile(text);
    await handle.chmod(0o644);
    await handle.sync();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOSPC') throw cause;
    throw new CustodyError('NO_SPACE', `no room is left for ${path}: free some and pack it again`, { cause });
  } finally {
    await handle.close();
  }
}
