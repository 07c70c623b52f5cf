import type { Stats } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { Digest } from '../../domain/digest.js';
import { CustodyError } from '../../domain/errors.js';
import type { Checksum } from '../../domain/provenance.js';
import { quote } from '../../formats/json.js';
import { sha256 } from '../../formats/sha256.js';
import { hashOf, unsafe } from './file.js';

/**
 * The checksum of a file, or of everything in a folder: what `sha256sum` prints of its files, sorted by name, is hashed once
 * more (`dirHash`). Links to files are read as the files. INPUT_MISSING: it is not there. INPUT_EMPTY: a folder without a
 * file. INPUT_UNSAFE: linked folders, devices, pipes, and names that no line can hold.
 */
export async function checksumOf(path: string): Promise<Checksum> {
  const stats = await statOf(path);
  if (!stats.isDirectory()) return { sha256: await hashFile(path, stats) };
  const lines: string[] = [];
  for (const name of await namesIn(path)) {
    const file = join(path, name);
    lines.push(`${await hashFile(file, await statOf(file))}  ${name}\n`);
  }
  if (lines.length === 0) throw new CustodyError('INPUT_EMPTY', `there is no file in ${quote(path)}`);
  return { dirHash: sha256(Buffer.from(lines.join(''), 'utf8')) };
}

/** The paths of all files, in the order of their bytes. */
async function namesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map(({ parentPath, name }) => relative(folder, join(parentPath, name)))
    .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

async function hashFile(path: string, stats: Stats): Promise<Digest> {
  if (!stats.isFile()) throw unsafe(path, 'it is no regular file, nor a link to one');
  if (path.includes('\n')) throw unsafe(path, 'its name holds a line break');
  const handle = await open(path, 'r');
  try {
    return (await hashOf(handle)).sha256;
  } finally {
    await handle.close();
  }
}

async function statOf(path: string): Promise<Stats> {
  try {
    return await stat(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new CustodyError('INPUT_MISSING', `cannot read ${quote(path)}: ${code ?? String(cause)}`, { cause });
  }
}
