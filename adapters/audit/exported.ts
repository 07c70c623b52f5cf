import { createWriteStream, existsSync, readFileSync } from 'node:fs';
import { mkdir, open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Checkpoint } from '../../formats/checkpoint.js';
import { absent } from '../durable.js';
import { CHECKPOINT } from './checkpoints.js';
import { invalidFrom } from './invalid.js';
import { PublishedLog, type LogBundle, type TileSource } from './published.js';

const RECORDS = 'records.jsonl';
const NEWLINE = Buffer.from('\n');

/** A log that was taken along: the paths of C2SP tlog-tiles, as files. */
export function folderTiles(folder: string): TileSource {
  // Small files, thousands of them, for a reader who does nothing else: not each through the thread pool, four times.
  return async (path) => {
    try {
      return readFileSync(join(folder, path));
    } catch (error) {
      // What should be in a folder is not there either where a file is in its way.
      if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return null;
      return absent(error);
    }
  };
}

/**
 * Takes a log along into a folder that is empty, or holds an earlier export of it; then computes everything again from the
 * folder, and writes the records as JSON Lines beside it. LOG_INVALID when the folder holds another log, or does not verify.
 */
export async function exportLog(log: PublishedLog, folder: string, vkey: string): Promise<Checkpoint> {
  const here = folderTiles(folder);
  if ((await here(CHECKPOINT)) !== null) await log.follows((await PublishedLog.open(here, vkey)).checkpoint);
  for (const path of log.paths()) {
    if (path === CHECKPOINT || existsSync(join(folder, path))) continue;
    const bytes = await log.read(path);
    if (bytes === null) throw invalidFrom(0, `there is no ${path}`);
    await put(folder, path, bytes);
  }
  await put(folder, CHECKPOINT, log.note);
  await put(folder, RECORDS, recordLines(await PublishedLog.open(here, vkey)));
  return log.checkpoint;
}

async function* recordLines(log: PublishedLog): AsyncGenerator<Buffer> {
  for await (const { entries } of log.bundles()) yield linesOf(entries);
}

function linesOf(entries: readonly Buffer[]): Buffer {
  return Buffer.concat(entries.flatMap((entry) => [entry, NEWLINE]));
}

/**
 * Every entry of a log that was taken along, computed again as by `PublishedLog.bundles`; the JSON Lines beside it, where they
 * are, say the same, or it is LOG_INVALID.
 */
export async function* exportedBundles(folder: string, log: PublishedLog): AsyncGenerator<LogBundle> {
  const file = await open(join(folder, RECORDS)).catch(absent);
  const said = file === null ? null : new Said(file);
  try {
    for await (const bundle of log.bundles()) {
      await said?.expect(bundle);
      yield bundle;
    }
    await said?.expectEnd(log.checkpoint.size);
  } finally {
    await said?.close();
  }
}

/** What a file says, byte for byte: its lines are not split, since a record may have what some take for the end of one. */
class Said {
  readonly #file: FileHandle;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  async expect({ first, entries }: LogBundle): Promise<void> {
    const length = entries.reduce((sum, entry) => sum + entry.length + NEWLINE.length, 0);
    const found = await this.#next(length);
    let from = 0;
    const at = entries.findIndex((entry) => {
      const end = from + entry.length;
      const isSaid = found[end] === NEWLINE[0] && entry.compare(found, from, end) === 0;
      from = end + NEWLINE.length;
      return !isSaid;
    });
    if (at >= 0) throw invalidFrom(first + at, `${RECORDS} does not say what the log has`);
  }

  async expectEnd(size: number): Promise<void> {
    if ((await this.#next(1)).length > 0) throw invalidFrom(size, `${RECORDS} goes on after the end of the log`);
  }

  async #next(length: number): Promise<Buffer> {
    const { buffer, bytesRead } = await this.#file.read(Buffer.alloc(length));
    return buffer.subarray(0, bytesRead);
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** A file is there whole, or not at all; two who export into one folder do not meet. */
async function put(folder: string, path: string, bytes: Buffer | AsyncIterable<Buffer>): Promise<void> {
  const file = join(folder, path);
  const partial = `${file}.${process.pid}.partial`;
  await mkdir(dirname(file), { recursive: true });
  try {
    await pipeline(Buffer.isBuffer(bytes) ? [bytes] : bytes, createWriteStream(partial));
    await rename(partial, file);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}
