import { chmod, mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CustodyError } from '../../domain/errors.js';
import type { ManifestFile } from '../../domain/manifest.js';
import { quote } from '../../formats/json.js';
import { headerLength, readSafetensorsHeader } from '../../formats/safetensors.js';
import { expectedBytes, type ReadOptions } from './file.js';
import type { SourceRelease } from './folder.js';

const LENGTH_BYTES = 8;

/**
 * Reads every file once: each has the hash that the manifest gives (DIGEST_MISMATCH otherwise), and what is called a
 * safetensors file is one, by its content (MALFORMED).
 */
export async function inspectRelease({ folder, manifest }: SourceRelease, options: ReadOptions = {}): Promise<void> {
  for (const file of manifest.files) {
    const header = file.path.endsWith('.safetensors') ? new HeaderReader(file) : null;
    for await (const chunk of expectedBytes(join(folder, file.path), file, options)) header?.add(chunk);
    header?.check();
  }
}

/**
 * Copies a release to a new folder that its later owner can only read, its manifest included. Every byte is checked while it
 * is copied: DIGEST_MISMATCH when a file is not what the manifest says. The folder is readable for other users, as a sandbox
 * needs it; who may reach it, the folder above decides.
 */
export async function copyRelease(
  { folder, manifest, text }: SourceRelease,
  target: string,
  manifestFile: string,
  options: ReadOptions = {},
): Promise<void> {
  await mkdir(target, { mode: 0o755 });
  for (const file of manifest.files) {
    const copy = join(target, file.path);
    await mkdir(dirname(copy), { recursive: true, mode: 0o755 });
    await writeNew(copy, expectedBytes(join(folder, file.path), file, options));
  }
  await writeNew(join(target, manifestFile), [text]);
}

async function writeNew(path: string, bytes: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<void> {
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

/** Keeps the beginning of a safetensors file as it passes by, as far as its header reaches. */
class HeaderReader {
  private readonly file: ManifestFile;
  private readonly chunks: Buffer[] = [];
  private held = 0;
  private needed = LENGTH_BYTES;

  constructor(file: ManifestFile) {
    this.file = file;
  }

  add(chunk: Buffer): void {
    if (this.held >= this.needed) return;
    this.take(chunk);
    if (this.needed > LENGTH_BYTES || this.held < LENGTH_BYTES) return;
    this.needed += this.named(() => headerLength(Buffer.concat(this.chunks), this.file.size));
    this.take(chunk.subarray(this.held));
  }

  check(): void {
    this.named(() => readSafetensorsHeader(Buffer.concat(this.chunks), this.file.size));
  }

  private take(chunk: Buffer): void {
    const part = Buffer.from(chunk.subarray(0, this.needed - this.held));
    this.chunks.push(part);
    this.held += part.length;
  }

  private named<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof CustodyError) || error.code !== 'MALFORMED') throw error;
      throw new CustodyError('MALFORMED', `${quote(this.file.path)}: ${error.message}`, {
        details: { path: this.file.path },
        cause: error,
      });
    }
  }
}
