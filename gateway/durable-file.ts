import { existsSync, readFileSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { z } from 'zod';
import { CustodyError } from '../domain/errors.js';
import { checkShape, parseJson } from '../formats/json.js';

const MAX_BYTES = 256 * 1024 * 1024;

/** What the last process left; `null` where there was none. CONFIG_INVALID when it cannot be read. */
export function readDurable<T>(folder: string, name: string, schema: z.ZodType<T>): T | null {
  const file = join(folder, name);
  if (!existsSync(file)) return null;
  try {
    return checkShape(schema, parseJson(readFileSync(file), file, { maxBytes: MAX_BYTES }), file);
  } catch (cause) {
    throw new CustodyError('CONFIG_INVALID', `${file} is damaged: remove it, and control delivers everything again`, {
      cause,
    });
  }
}

/** One file, replaced whole: after SIGKILL at any moment it holds what the last answered change left. */
export class DurableFile {
  readonly #folder: string;
  readonly #name: string;
  readonly #text: () => string;
  #running: Promise<void> = Promise.resolve();
  #queued: Promise<void> | null = null;

  /** `text` is everything of this moment, as JSON. */
  constructor(folder: string, name: string, text: () => string) {
    this.#folder = folder;
    this.#name = name;
    this.#text = text;
  }

  /** Everything of this moment is on disk once it resolves. Calls while a write is under way share the next one. */
  save(): Promise<void> {
    if (this.#queued !== null) return this.#queued;
    const turn = this.#running.then(() => {
      this.#queued = null;
      return this.#write();
    });
    this.#queued = turn;
    this.#running = turn.catch(() => undefined);
    return turn;
  }

  async #write(): Promise<void> {
    const text = this.#text();
    const partial = join(this.#folder, `${this.#name}.partial`);
    const file = await open(partial, 'w', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(partial, join(this.#folder, this.#name));
    const folder = await open(this.#folder, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }
}
