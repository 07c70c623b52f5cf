import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import type { ScannedFile } from '../../domain/artifacts.js';
import { ArtifactScan, Findings, type DirectoryAhead } from '../../formats/scan/artifact.js';
import { findDirectory, MAX_DIRECTORY_BYTES, TAIL_BYTES } from '../../formats/scan/zip-directory.js';
import { openRegular, readChunks, unsafe } from '../source/file.js';

export interface ScanFileOptions {
  readonly onBytes?: (bytes: number) => void;
  /** Whether the file belongs to a component whose code is run. */
  readonly holdsCode?: boolean;
  /** Is given the same bytes, as long as nothing speaks against the file. */
  readonly also?: { add(chunk: Buffer): void };
}

/**
 * Hashes a file and looks into it, in one pass over its bytes and in bounded memory. `path` is where it lies, `name` what it
 * is called in the release: of that name only what it claims is held against the bytes.
 */
export async function scanFile(path: string, name: string, options: ScanFileOptions = {}): Promise<ScannedFile> {
  const { handle, size } = await openRegular(path);
  try {
    const findings = new Findings(name);
    const document = { name, holdsCode: options.holdsCode ?? false };
    const scan = new ArtifactScan(findings.report, { size, directory: await directoryAhead(handle, size), document });
    const hash = createHash('sha256');
    const isCalled = /\.safetensors$/i.test(name);
    let read = 0;
    for await (const chunk of readChunks(handle, size)) {
      hash.update(chunk);
      read += chunk.length;
      options.onBytes?.(chunk.length);
      if (read > size) break;
      scan.add(chunk);
      const isOther = isCalled && scan.format() !== 'safetensors';
      if (findings.list.length === 0 && !isOther) options.also?.add(chunk);
    }
    // What grew or shrank meanwhile was not looked into as a whole, whatever its bytes are by now.
    if (read !== size) throw unsafe(path, 'it changed its size while it was read');
    scan.end();
    const format = scan.format();
    // A loader goes by the name: what another format's loader makes of the bytes is not what was looked into.
    if (isCalled && format !== 'safetensors')
      findings.report(0, 'misnamed', `it is called safetensors, and is ${format} by its content`);
    if (!isCalled && format === 'safetensors')
      findings.report(0, 'misnamed', 'it is safetensors by its content, and not called so: name it .safetensors');
    return { path: name, size: read, sha256: hash.digest('hex'), format, findings: findings.list };
  } finally {
    await handle.close();
  }
}

/** A zip's directory stands at its end, and is needed at its beginning. */
async function directoryAhead(handle: FileHandle, size: number): Promise<DirectoryAhead | null> {
  const first = await readAt(handle, 0, 4);
  if (first.toString('latin1', 0, 2) !== 'PK') return null;
  const tail = await readAt(handle, Math.max(0, size - TAIL_BYTES), Math.min(size, TAIL_BYTES));
  const place = findDirectory(tail, size);
  if (place === null || place.size > MAX_DIRECTORY_BYTES) return null;
  return { place, bytes: await readAt(handle, place.offset, place.size) };
}

async function readAt(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  let read = 0;
  while (read < length) {
    const { bytesRead } = await handle.read(bytes, read, length - read, position + read);
    if (bytesRead === 0) break;
    read += bytesRead;
  }
  return bytes.subarray(0, read);
}
