import { appendFileSync, cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Component } from '../../../domain/manifest.js';
import { shippedFolder } from '../../../examples/digits/ship.js';
import { sha256 } from '../../../formats/sha256.js';
import type { Bench } from '../harness.js';

/** What makes a release behave as it does. */
export const PARTS = {
  weights: 'weights.safetensors',
  config: 'config.json',
  prompt: 'prompt.txt',
  dependencies: 'dependencies.lock.json',
};

/** The component that the shipped release has not. */
const PROMPT: Pick<Component, 'name' | 'kind' | 'files'> = {
  name: 'prompt',
  kind: 'prompt',
  files: [PARTS.prompt],
};

const OTHER_TRAINING = '1.1.0';

/** Each answer says what the release's files hold at that very moment: what is put back piece by piece would be seen. */
export function tellingItsParts(folder: string, prompt = 'Which digit is this?'): void {
  editServer(
    folder,
    (text) =>
      text.replace(/return (inferResponse\(infer, .*\));/, 'return { ...$1, parameters: partsNow() };') +
      `\nimport { createHash } from 'node:crypto';\nimport { readFileSync } from 'node:fs';\nfunction partsNow() {\n` +
      `  const digest = (name) => createHash('sha256').update(readFileSync(new URL(name, import.meta.url))).digest('hex');\n` +
      `  return { parts: ${JSON.stringify(Object.values(PARTS))}.map(digest).join(' ') };\n}\n`,
    'parameters: partsNow()',
  );
  writeFileSync(join(folder, PARTS.prompt), `${prompt}\n`);
}

/** Weights and config of another training, another prompt, another runtime. */
export function allOfItOther(folder: string, prompt = 'Name the digit, and nothing else.'): void {
  for (const name of [PARTS.weights, PARTS.config])
    cpSync(join(shippedFolder(OTHER_TRAINING), name), join(folder, name));
  tellingItsParts(folder, prompt);
  const lock = join(folder, PARTS.dependencies);
  writeFileSync(lock, readFileSync(lock, 'utf8').replace('>=20.20.0', '>=20.20.1'));
}

/** What its answers say that are of it and of nothing else. */
function partsOf(folder: string): string {
  return Object.values(PARTS)
    .map((name) => sha256(readFileSync(join(folder, name))))
    .join(' ');
}

/** A release with all of its parts, and a change of its own; `parts` gets what its answers say. */
export async function sourceInParts(
  bench: Bench,
  version: string,
  change: (folder: string) => void,
  parts: Map<string, string>,
) {
  const made = await bench.source(version, {
    change: (folder) => {
      change(folder);
      appendFileSync(join(folder, 'README.md'), `\n${version}\n`);
    },
    further: [PROMPT],
  });
  parts.set(version, partsOf(made.folder));
  return made;
}

/** Changes the program that answers; `sign` is in it afterwards, or it is no longer the program that this knows. */
export function editServer(folder: string, edit: (text: string) => string, sign: string): void {
  const file = join(folder, 'serve.mjs');
  const edited = edit(readFileSync(file, 'utf8'));
  if (!edited.includes(sign)) throw new Error(`the model server has changed: there is no ${sign} to be put into it`);
  writeFileSync(file, edited);
}
