import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where the inputs are kept: a file for each reader, an input in base64 on each line. */
export const CORPUS = 'test/unit/fuzz/corpus';

export function keptFor(target: string, folder = CORPUS): Buffer[] {
  const path = join(folder, `${target}.txt`);
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => Buffer.from(line, 'base64'));
}

export function keep(target: string, inputs: readonly Buffer[], folder = CORPUS): void {
  mkdirSync(folder, { recursive: true });
  const lines = new Set([...inputs].sort((a, b) => a.length - b.length).map((each) => each.toString('base64')));
  writeFileSync(join(folder, `${target}.txt`), [...lines].map((line) => `${line}\n`).join(''));
}

export function targetsKept(folder = CORPUS): readonly string[] {
  return readdirSync(folder).map((name) => name.replace(/\.txt$/, ''));
}
