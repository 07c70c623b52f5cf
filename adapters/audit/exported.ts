import { createWriteStream, existsSync } from 'node:fs';
import { mkdir, open, readFile, rename, writeFile, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Checkpoint } from '../../formats/checkpoint.js';
import { CHECKPOINT } from './checkpoints.js';
import { invalidFrom } from './invalid.js';
import { PublishedLog, type LogEntry, type TileSource } from './published.js';

const RECORDS = 'records.jsonl';
const NEWLINE = Buffer.from('\n');
const LINES_AT_ONCE = 1024;
const CHUNK = 256 * 1024;

/** A log that was taken along: the paths of C2SP tlog-tiles, as files. */
export function folderTiles(folder: string): TileSource {
  return async (path) => {
    const file = join(folder, path);
    return existsSync(file) ? readFile(file) : null;
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
  const lines = recordLines(await PublishedLog.open(here, vkey));
  const partial = partialOf(join(folder, RECORDS));
  await pipeline(lines, createWriteStream(partial));
  await rename(partial, join(folder, RECORDS));
  return log.checkpoint;
}

async function* recordLines(log: PublishedLog): AsyncGenerator<Buffer> {
  let lines: Buffer[] = [];
  for await (const { entry } of log.records()) {
    lines.push(entry, NEWLINE);
    if (lines.length < LINES_AT_ONCE) continue;
    yield Buffer.concat(lines);
    lines = [];
  }
  yield Buffer.concat(lines);
}

/**
 * Every record of a log that was taken along, computed again as by `PublishedLog.records`; the JSON Lines beside it, where they
 * are, say the same, or it is LOG_INVALID.
 */
export async function* exportedRecords(folder: string, log: PublishedLog): AsyncGenerator<LogEntry> {
  const path = join(folder, RECORDS);
  const lines = existsSync(path) ? new Said(await open(path)) : null;
  try {
    for await (const found of log.records()) {
      await lines?.expect(found);
      yield found;
    }
    await lines?.expectEnd(log.checkpoint.size);
  } finally {
    await lines?.close();
  }
}

/** What a file says, byte for byte: its lines are not split, since a record may have what some take for the end of one. */
class Said {
  readonly #file: FileHandle;
  #read = Buffer.alloc(0);

  constructor(file: FileHandle) {
    this.#file = file;
  }

  async expect({ index, entry }: LogEntry): Promise<void> {
    const length = entry.length + NEWLINE.length;
    if (this.#read.length < length) await this.#more(length);
    const isSame = this.#read.subarray(0, entry.length).equals(entry) && this.#read[entry.length] === NEWLINE[0];
    if (!isSame) throw invalidFrom(index, `${RECORDS} does not say what the log has`);
    this.#read = this.#read.subarray(length);
  }

  async expectEnd(size: number): Promise<void> {
    await this.#more(1);
    if (this.#read.length > 0) throw invalidFrom(size, `${RECORDS} goes on after the end of the log`);
  }

  async #more(least: number): Promise<void> {
    const buffer = Buffer.alloc(Math.max(least, CHUNK));
    const { bytesRead } = await this.#file.read(buffer);
    this.#read = Buffer.concat([this.#read, buffer.subarray(0, bytesRead)]);
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

async function put(folder: string, path: string, bytes: Buffer): Promise<void> {
  const file = join(folder, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(partialOf(file), bytes);
  await rename(partialOf(file), file);
}

/** Where a file is written until it is whole; two who export into one folder do not meet there. */
function partialOf(file: string): string {
  return `${file}.${process.pid}.partial`;
}
