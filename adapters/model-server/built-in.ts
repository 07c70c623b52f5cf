import { existsSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Digest } from '../../domain/digest.js';
import { CustodyError } from '../../domain/errors.js';
import { sha256 } from '../../formats/sha256.js';
import type { Records } from '../records.js';
import { readSmall } from '../source/file.js';

const FOLDER = 'suites';
const MARK = 'README.md';
const MAX_BYTES = 8 * 1024 * 1024;

/** The suites that come with Custody: the same folder whether the code runs compiled, under `dist/`, or from its source. */
export function builtInFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, FOLDER, MARK))) {
    const parent = dirname(folder);
    if (parent === folder) throw new CustodyError('INPUT_MISSING', `found no ${FOLDER}/${MARK} above this program`);
    folder = parent;
  }
  return join(folder, FOLDER);
}

/**
 * A suite, or what one names, by its digest: from WORM, or else from a folder, and then into WORM. What a file is called
 * counts for nothing. INPUT_MISSING says where it can be put.
 */
export async function findDocument(records: Records, folders: readonly string[], digest: Digest): Promise<Buffer> {
  try {
    return await records.getBytes(digest);
  } catch (error) {
    if (!(error instanceof CustodyError) || error.code !== 'PENDING') throw error;
  }
  for (const folder of folders)
    for (const file of await filesIn(folder)) {
      const bytes = await readSmall(file, MAX_BYTES);
      if (sha256(bytes) !== digest) continue;
      await records.keepBytes(bytes);
      return bytes;
    }
  throw new CustodyError(
    'INPUT_MISSING',
    `the policy names a document with the SHA-256 ${digest}, and nobody has it: put it into ${folders.at(-1) ?? 'the store'}`,
  );
}

async function filesIn(folder: string): Promise<readonly string[]> {
  if (!existsSync(folder)) return [];
  const found: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const file = join(folder, entry.name);
    // What is too large to be asked for may lie there, too.
    if (entry.isFile() && (await stat(file)).size <= MAX_BYTES) found.push(file);
  }
  return found.sort();
}
