import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CustodyError } from '../../domain/errors.js';
import { MANIFEST_FILE, type Manifest } from '../../domain/manifest.js';
import { parseJson } from '../../formats/json.js';
import type { ScanLine } from '../../formats/scan/report.js';
import { inspectFiles } from './inspect.js';

/**
 * The process that scans: it is given the folder of a release, holds nothing that is worth anything, and says what it sees,
 * a line for each file. Usage: main.js <folder>
 */
const LIMITS = { maxBytes: 16 * 1024 * 1024 };
const TELL_EVERY_BYTES = 32 * 1024 * 1024;

function say(line: ScanLine): Promise<void> {
  return new Promise((resolve, reject) =>
    process.stdout.write(`${JSON.stringify(line)}\n`, (error) => (error == null ? resolve() : reject(error))),
  );
}

try {
  const [folder = ''] = process.argv.slice(2);
  // Whoever has started this has checked it, and compares with it what is said here of each file.
  const manifest = parseJson(await readFile(join(folder, MANIFEST_FILE)), MANIFEST_FILE, LIMITS) as Manifest;
  let unsaid = 0;
  let files = 0;
  const onBytes = (bytes: number): void => {
    unsaid += bytes;
    if (unsaid < TELL_EVERY_BYTES) return;
    void say({ kind: 'read', bytes: unsaid });
    unsaid = 0;
  };
  for await (const inspected of inspectFiles(folder, manifest, onBytes)) {
    files += 1;
    await say({ kind: 'file', ...inspected });
  }
  await say({ kind: 'read', bytes: unsaid });
  await say({ kind: 'done', files });
} catch (error) {
  if (!(error instanceof CustodyError)) throw error;
  process.stderr.write(`${JSON.stringify({ code: error.code, message: error.message })}\n`);
  process.exitCode = 1;
}
