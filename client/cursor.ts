import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { PublishedLog } from '../adapters/audit/published.js';
import { absent, writeDurably } from '../adapters/durable.js';
import type { Webhook } from '../adapters/webhook.js';
import { isDigest, type Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import { parseConfig } from '../formats/json.js';
import { sha256 } from '../formats/sha256.js';

const digest = z.string().refine(isDigest, 'not a SHA-256 in lower-case hex');
const cursorSchema = z.strictObject({
  log: z.string(),
  /** Records that were delivered, and the root of the tree of exactly those. */
  size: z.int().min(0),
  root: digest,
  webhook: digest,
});

/** How far a log was delivered to a webhook, in a file: a number alone would fit any log, and any other number would do. */
export class Cursor {
  readonly #file: string;
  readonly #webhook: Digest;
  #size: number;

  private constructor(file: string, webhook: Digest, size: number) {
    this.#file = file;
    this.#webhook = webhook;
    this.#size = size;
  }

  /**
   * At the beginning, where there is no file; one is there afterwards. CONFIG_INVALID: it is no cursor. USAGE: it is of another
   * log or webhook. LOG_INVALID: the log is not what was delivered, grown, or somebody has changed the file.
   */
  static async open(file: string, log: PublishedLog, { url }: Webhook): Promise<Cursor> {
    // Its URL may hold a secret.
    const webhook = sha256(url.href);
    const text = await readFile(file).catch(absent);
    if (text === null) {
      const cursor = new Cursor(file, webhook, 0);
      await cursor.move(log, 0);
      return cursor;
    }
    const found = parseConfig(cursorSchema, text, file);
    const { origin } = log.checkpoint;
    if (found.log !== origin)
      throw new CustodyError('USAGE', `${file} is of the log ${found.log}, not of ${origin}: name another file`);
    if (found.webhook !== webhook)
      throw new CustodyError('USAGE', `${file} is of another webhook than this: name a file of its own for each`);
    try {
      await log.follows({ origin, size: found.size, root: found.root });
    } catch (cause) {
      if (!(cause instanceof CustodyError)) throw cause;
      throw new CustodyError(cause.code, `${file}: ${cause.message}`, { details: cause.details, cause });
    }
    return new Cursor(file, webhook, found.size);
  }

  /** The index of the next record. */
  get size(): number {
    return this.#size;
  }

  /** Answers once that outlives a crash. */
  async move(log: PublishedLog, size: number): Promise<void> {
    const { origin, root } = await log.at(size);
    await writeDurably(this.#file, `${JSON.stringify({ log: origin, size, root, webhook: this.#webhook })}\n`);
    this.#size = size;
  }
}
