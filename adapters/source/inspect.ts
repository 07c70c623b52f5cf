import { chmod, mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CustodyError } from '../../domain/errors.js';
import type { ManifestFile } from '../../domain/manifest.js';
import type { FileContent, ReleaseFacts } from '../../domain/release-facts.js';
import { releaseFacts, SafetensorsReader, TextReader, type TensorCount } from './facts.js';
import { expectedBytes, type ReadOptions } from './file.js';
import type { SourceRelease } from './folder.js';

/**
 * Reads every file once: each has the hash that the manifest gives (DIGEST_MISMATCH otherwise), and what is called a
 * safetensors file is one, by its content (MALFORMED). Answers what other releases can be compared with.
 */
export async function inspectRelease(
  { folder, manifest }: SourceRelease,
  options: ReadOptions = {},
): Promise<ReleaseFacts> {
  const kinds = new Map(manifest.components.flatMap(({ kind, files }) => files.map((path) => [path, kind] as const)));
  const contents = new Map<string, FileContent>();
  const count: TensorCount = { tensors: 0 };
  for (const file of manifest.files) {
    const reader = file.path.endsWith('.safetensors')
      ? new SafetensorsReader(file, count)
      : new TextReader(file, kinds.get(file.path) ?? 'documentation');
    for await (const chunk of expectedBytes(join(folder, file.path), file, options)) reader.add(chunk);
    contents.set(file.path, reader.content());
  }
  return releaseFacts(manifest, contents);
}

/** The bytes of a file, which are what the manifest says once they have ended. */
export type BytesOf = (file: ManifestFile) => AsyncIterable<Buffer>;

/**
 * Copies a release to a new folder that its later owner can only read, its manifest included. Every byte is checked while it
 * is copied: DIGEST_MISMATCH when a file is not what the manifest says. The folder is readable for other users, as a sandbox
 * needs it; who may reach it, the folder above decides. `bytesOf`: where they are to come from, checked there.
 */
export async function copyRelease(
  { folder, manifest, text }: SourceRelease,
  target: string,
  manifestFile: string,
  options: ReadOptions & { readonly bytesOf?: BytesOf } = {},
): Promise<void> {
  const { bytesOf = (file) => expectedBytes(join(folder, file.path), file, options) } = options;
  await mkdir(target, { mode: 0o755 });
  for (const file of manifest.files) {
    const copy = join(target, file.path);
    await mkdir(dirname(copy), { recursive: true, mode: 0o755 });
    await writeNew(copy, bytesOf(file));
  }
  await writeNew(join(target, manifestFile), [text]);
}

/** Writes a file that was not there and that nobody may write to again. NO_SPACE: there is no room for it. */
export async function writeNew(path: string, bytes: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<void> {
  const handle = await open(path, 'wx', 0o444);
  try {
    for await (const chunk of bytes) await handle.writeFile(chunk);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOSPC') throw cause;
    throw new CustodyError('NO_SPACE', `no room is left for ${path}: free some and try again`, { cause });
  } finally {
    await handle.close();
  }
  await chmod(path, 0o444);
}
