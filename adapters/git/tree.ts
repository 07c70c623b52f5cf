import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Digest } from '../../domain/digest.js';
import { CustodyError } from '../../domain/errors.js';
import { fileListDigest, type ListedFile } from '../../formats/file-list.js';
import { findTwins } from '../../formats/manifest.js';
import { oddPath } from '../../formats/paths.js';
import { sha256 } from '../../formats/sha256.js';
import { unsafe } from '../source/file.js';
import type { Clone } from './git.js';
import { readObjects } from './objects.js';

const MAX_FILES = 20_000;
const MAX_BYTES = 32 * 1024 * 1024;
const KINDS: Readonly<Record<string, string>> = {
  '120000': 'it is a symbolic link',
  '160000': 'it is a submodule, whose files are another repository: take them into this one',
};
const EXECUTABLE = '100755';
/** What Git LFS keeps in place of a file: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md. */
const LFS_POINTER = /^version https:\/\/git-lfs\.github\.com\/spec\//;

export interface CodeFile extends ListedFile {
  readonly bytes: Buffer;
  readonly isExecutable: boolean;
}

export interface CodeTree {
  readonly files: readonly CodeFile[];
  /** SHA-256 of the list of the files. */
  readonly digest: Digest;
}

/**
 * The files of a commit, as they are in it: no filter, no attribute and no other file has a say. INPUT_UNSAFE: links, submodules,
 * pointers to files that are kept elsewhere, names that no release could have; more or larger files than code has.
 */
export async function readTree(clone: Clone, commit: string): Promise<CodeTree> {
  const output = await clone.run(['ls-tree', '-r', '-z', '-l', '--full-tree', commit]);
  const entries = output
    .toString('utf8')
    .split('\0')
    .filter((line) => line !== '')
    .map(entryOf);
  if (entries.length === 0)
    throw new CustodyError('INPUT_EMPTY', `there is no file in the commit ${commit.slice(0, 12)}`);
  const bytes = entries.reduce((sum, { size }) => sum + size, 0);
  if (entries.length > MAX_FILES || bytes > MAX_BYTES)
    throw unsafe(
      commit,
      `it holds ${entries.length} files of ${bytes} bytes: at most ${MAX_FILES} of ${MAX_BYTES} are code`,
    );
  const twins = findTwins(entries.map(({ path }) => path));
  if (twins !== null) throw unsafe(twins[1], `${twins[0]} is the same name but for case`);
  const found = await readObjects(
    clone,
    'blob',
    entries.map(({ id }) => id),
  );
  const files = entries.map(({ path, mode }, at): CodeFile => {
    const body = found[at] ?? Buffer.alloc(0);
    if (LFS_POINTER.test(body.toString('latin1', 0, 60)))
      throw unsafe(path, 'Git LFS keeps it elsewhere: what is trained with has to be in the commit itself');
    return { path, sha256: sha256(body), bytes: body, isExecutable: mode === EXECUTABLE };
  });
  return { files, digest: fileListDigest(files) };
}

/** Writes the files to a folder that is not there yet, for everybody to read. */
export async function writeTree({ files }: CodeTree, folder: string): Promise<void> {
  await mkdir(folder, { mode: 0o755 });
  for (const { path, bytes, isExecutable } of files) {
    const file = join(folder, path);
    await mkdir(dirname(file), { recursive: true, mode: 0o755 });
    await writeFile(file, bytes, { flag: 'wx' });
    await chmod(file, isExecutable ? 0o755 : 0o644);
  }
}

interface Entry {
  readonly mode: string;
  readonly id: string;
  readonly size: number;
  readonly path: string;
}

function entryOf(line: string): Entry {
  const [, mode = '', kind = '', id = '', size = '', path = ''] =
    /^(\d{6}) (\w+) ([0-9a-f]+) +(\d+|-)\t([^]+)$/.exec(line) ?? [];
  const problem = KINDS[mode] ?? (kind === 'blob' ? oddPath(path) : `git calls it a ${kind}`);
  if (problem !== null) throw unsafe(path, problem);
  return { mode, id, size: Number(size), path };
}
