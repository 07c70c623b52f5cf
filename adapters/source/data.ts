import { constants } from 'node:fs';
import { chmod, copyFile, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CustodyError } from '../../domain/errors.js';
import type { ListedFile } from '../../formats/file-list.js';
import { quote } from '../../formats/json.js';
import { cannotOpen } from './file.js';
import { walkFolder, type FolderLimits } from './folder.js';
import { hashFiles } from './hashing.js';

/** Data sets have more files than releases. */
const LIMITS: FolderLimits = { maxFiles: 400_000, maxFileBytes: Number.MAX_SAFE_INTEGER };

/** Every file below a folder with its SHA-256, and how many bytes they are. What `walkFolder` refuses is refused. */
export async function listData(
  folder: string,
): Promise<{ readonly files: readonly ListedFile[]; readonly bytes: number }> {
  const files = await hashFiles(folder, walkFolder(folder, LIMITS));
  return {
    files: files.map(({ path, sha256 }) => ({ path, sha256 })),
    bytes: files.reduce((sum, { size }) => sum + size, 0),
  };
}

/** DIGEST_MISMATCH, naming the first file, unless a folder holds exactly these files. Answers how many bytes they are. */
export async function demandData(folder: string, expected: readonly ListedFile[]): Promise<number> {
  const { files, bytes } = await listData(folder);
  const differing = firstDifference(files, expected);
  if (differing === null) return bytes;
  const { path, why } = differing;
  throw new CustodyError('DIGEST_MISMATCH', `the data have changed since they were signed for: ${quote(path)} ${why}`, {
    details: { path },
  });
}

/**
 * Copies files of a folder, and those alone, into an empty one, and makes sure of the copies: nobody changes them between here
 * and their use. DIGEST_MISMATCH, INPUT_MISSING.
 */
export async function copyData(folder: string, files: readonly ListedFile[], target: string): Promise<number> {
  await mkdir(target, { mode: 0o755 });
  for (const { path } of files) {
    const copy = join(target, path);
    await mkdir(dirname(copy), { recursive: true, mode: 0o755 });
    try {
      await copyFile(join(folder, path), copy, constants.COPYFILE_FICLONE);
    } catch (cause) {
      throw cannotOpen(path, cause);
    }
    await chmod(copy, 0o644);
  }
  return demandData(target, files);
}

function firstDifference(
  found: readonly ListedFile[],
  expected: readonly ListedFile[],
): { readonly path: string; readonly why: string } | null {
  const digests = new Map(found.map(({ path, sha256 }) => [path, sha256]));
  for (const { path, sha256 } of expected) {
    const digest = digests.get(path);
    if (digest === undefined) return { path, why: 'is missing' };
    if (digest !== sha256) return { path, why: `has the SHA-256 ${digest}, expected ${sha256}` };
    digests.delete(path);
  }
  const [added] = digests.keys();
  return added === undefined ? null : { path: added, why: 'was added' };
}
