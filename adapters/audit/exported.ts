import { createWriteStream, existsSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Checkpoint } from '../../formats/checkpoint.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { CHECKPOINT } from './checkpoints.js';
import { invalidFrom } from './invalid.js';
import { PublishedLog, type TileSource } from './published.js';

const RECORDS = 'records.jsonl';

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

async function* recordLines(log: PublishedLog): AsyncGenerator<string> {
  for await (const { record } of log.records()) yield `${canonicalBytes(record).toString('utf8')}\n`;
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
