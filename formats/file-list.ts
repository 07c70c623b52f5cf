import { isDigest, type Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import { quote } from './json.js';
import { oddPath } from './paths.js';
import { sha256 } from './sha256.js';
import { decodeUtf8 } from './utf8.js';

export interface ListedFile {
  /** Relative, `/`-separated. */
  readonly path: string;
  readonly sha256: Digest;
}

/** Room for some 400,000 files. */
export const MAX_LIST_BYTES = 64 * 1024 * 1024;

/**
 * Files as `sha256sum` prints them, in the order of the bytes of their paths: what it hashes to is in-toto's dirHash of their
 * folder, and `sha256sum --check` takes it as it is.
 */
export function encodeFileList(files: readonly ListedFile[]): Buffer {
  const lines = files.map(({ path, sha256: digest }) => ({ bytes: Buffer.from(path), line: `${digest}  ${path}\n` }));
  lines.sort((a, b) => Buffer.compare(a.bytes, b.bytes));
  return Buffer.from(lines.map(({ line }) => line).join(''), 'utf8');
}

/** Reads such a list. MALFORMED: other lines, paths that leave the folder, one twice, another order. */
export function parseFileList(bytes: Uint8Array, what: string): readonly ListedFile[] {
  const malformed = (why: string): CustodyError => new CustodyError('MALFORMED', `${what}: ${why}`);
  if (bytes.length > MAX_LIST_BYTES) throw malformed(`${bytes.length} bytes, at most ${MAX_LIST_BYTES} are read`);
  const lines = decodeUtf8(bytes, what).split('\n');
  if (lines.pop() !== '' || lines.length === 0) throw malformed('it is no list of files');
  const files = lines.map((line) => {
    const [digest, path] = [line.slice(0, 64), line.slice(66)];
    if (!isDigest(digest) || line.slice(64, 66) !== '  ')
      throw malformed(`no line of it: ${quote(line.slice(0, 100))}`);
    const problem = oddPath(path);
    if (problem !== null) throw malformed(`${quote(path.slice(0, 200))}: ${problem}`);
    return { path, sha256: digest };
  });
  if (new Set(lines.map((line) => line.slice(66))).size !== files.length) throw malformed('it names a file twice');
  if (!encodeFileList(files).equals(bytes)) throw malformed('its files are not in the order of their names');
  return files;
}

export function fileListDigest(files: readonly ListedFile[]): Digest {
  return sha256(encodeFileList(files));
}
