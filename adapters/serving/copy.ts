import { createHash } from 'node:crypto';
import { constants, type BigIntStats } from 'node:fs';
import { lstat, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../../domain/digest.js';
import { CustodyError } from '../../domain/errors.js';
import { MANIFEST_FILE, type Manifest } from '../../domain/manifest.js';
import { quote } from '../../formats/json.js';
import { absent } from '../durable.js';

const CHUNK_BYTES = 1024 * 1024;
const WRITABLE = 0o222n;

/** What a materialised copy was when it was verified: it changes with whatever is written, renamed, linked or replaced. */
export type Seal = string;

interface Entry {
  /** Relative to the copy, `/`-separated; empty for the copy's own folder. */
  readonly path: string;
  readonly stat: BigIntStats;
}

/**
 * Compares a materialised copy with its manifest, every byte of it. DIGEST_MISMATCH, naming the path: other bytes, a file
 * missing or too many, a link, a second name, another owner, or anything that can be written.
 */
export async function verifyCopy(folder: string, release: Digest, manifest: Manifest): Promise<Seal> {
  const expected = new Map(manifest.files.map(({ path, sha256 }) => [path, sha256] as const));
  expected.set(MANIFEST_FILE, release);
  const folders = new Set(['', ...[...expected.keys()].flatMap(parentsOf)]);
  const entries = await walk(folder);
  for (const { path, stat } of entries) {
    assertImmutable(path, stat);
    if (stat.isDirectory()) {
      if (!folders.has(path)) throw mismatch(path, 'is not part of the release');
      continue;
    }
    const sha256 = expected.get(path);
    if (sha256 === undefined) throw mismatch(path, 'is not part of the release');
    const found = await hashFile(join(folder, path), path, stat);
    if (found !== sha256) throw mismatch(path, `has sha256 ${found}, expected ${sha256}`);
    expected.delete(path);
  }
  const [missing] = expected.keys();
  if (missing !== undefined) throw mismatch(missing, 'is missing');
  return sealFrom(entries);
}

/** To be compared with what `verifyCopy` answered, once the files have been read by whoever was to read them. */
export async function sealOf(folder: string): Promise<Seal> {
  return sealFrom(await walk(folder));
}

async function walk(folder: string, path = ''): Promise<Entry[]> {
  const own = { path, stat: await statOf(folder, path) };
  if (!own.stat.isDirectory()) throw mismatch(path, 'is not a folder');
  const entries: Entry[] = [own];
  for (const name of (await readdir(join(folder, path))).sort()) {
    const inside = path === '' ? name : `${path}/${name}`;
    const stat = await statOf(folder, inside);
    if (stat.isDirectory()) entries.push(...(await walk(folder, inside)));
    else if (stat.isFile()) entries.push({ path: inside, stat });
    else throw mismatch(inside, 'is a link or a special file');
  }
  return entries;
}

async function statOf(folder: string, path: string): Promise<BigIntStats> {
  const stat = await lstat(join(folder, path), { bigint: true }).catch(absent);
  if (stat === null) throw mismatch(path, 'is missing');
  return stat;
}

function assertImmutable(path: string, stat: BigIntStats): void {
  if (stat.isFile() && stat.nlink !== 1n) throw mismatch(path, 'has a second name');
  if ((stat.mode & WRITABLE) !== 0n) throw mismatch(path, 'can be written');
  if (stat.uid !== BigInt(process.geteuid?.() ?? 0)) throw mismatch(path, `belongs to user ${stat.uid}`);
}

async function hashFile(file: string, path: string, expected: BigIntStats): Promise<Digest> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW).catch((cause: unknown) => {
    throw mismatch(path, 'was replaced while it was read', cause);
  });
  try {
    if (identity(path, await handle.stat({ bigint: true })) !== identity(path, expected))
      throw mismatch(path, 'was replaced while it was read');
    const hash = createHash('sha256');
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, CHUNK_BYTES, null);
      if (bytesRead === 0) return hash.digest('hex');
      hash.update(buffer.subarray(0, bytesRead));
    }
  } finally {
    await handle.close();
  }
}

function sealFrom(entries: readonly Entry[]): Seal {
  return entries.map(({ path, stat }) => identity(path, stat)).join('\n');
}

// The change time cannot be set by anyone: what was put back to its old bytes and times still shows.
function identity(path: string, { dev, ino, mode, uid, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return JSON.stringify([path, ...[dev, ino, mode, uid, size, mtimeNs, ctimeNs].map(String)]);
}

function parentsOf(path: string): string[] {
  const parts = path.split('/').slice(0, -1);
  return parts.map((_, at) => parts.slice(0, at + 1).join('/'));
}

function mismatch(path: string, problem: string, cause?: unknown): CustodyError {
  const what = path === '' ? 'the folder of the materialised copy' : `${quote(path)} in the materialised copy`;
  return new CustodyError('DIGEST_MISMATCH', `${what} ${problem}`, { details: { path }, cause });
}
