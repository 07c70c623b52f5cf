import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { Digest } from '../../domain/digest.js';
import { CustodyError } from '../../domain/errors.js';
import { holdsRole } from '../../domain/policy.js';
import type { StatusPredicate } from '../../domain/statements.js';
import { MAX_SKEW_MS } from '../../domain/time.js';
import { digestSchema } from '../../formats/in-toto.js';
import { checkShape, parseJson } from '../../formats/json.js';
import { newestStatus } from '../dossier.js';
import type { Found, Records } from '../records.js';
import { absent, writeDurably } from '../durable.js';

const MAX_MEMORY_BYTES = 64 * 1024 * 1024;

const memorySchema = z.strictObject({ version: z.int().min(0), revoked: z.array(digestSchema) });
type Memory = z.infer<typeof memorySchema>;

/**
 * The newest status document, and the highest version and every revocation that this host has ever seen: kept on disk, so
 * that no older document counts again and no newer one takes a revocation back, however often this process is killed.
 */
export class StatusReader {
  readonly #records: Records;
  readonly #file: string;
  #memory: Memory;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(records: Records, file: string, memory: Memory) {
    this.#records = records;
    this.#file = file;
    this.#memory = memory;
  }

  static async open(records: Records, file: string): Promise<StatusReader> {
    const text = await readFile(file).catch(absent);
    const limits = { maxBytes: MAX_MEMORY_BYTES };
    const memory =
      text === null ? { version: 0, revoked: [] } : checkShape(memorySchema, parseJson(text, file, limits), file);
    return new StatusReader(records, file, memory);
  }

  /** Every release that this host has ever seen revoked. */
  get revoked(): readonly Digest[] {
    return this.#memory.revoked;
  }

  /**
   * `null` when the store holds none that can be fresh. NOT_AUTHORISED: not by control. REPLAYED: of another environment,
   * or older than one seen before. STATUS_STALE: from the future.
   */
  newest(): Promise<Found<StatusPredicate> | null> {
    const next = this.#last.then(() => this.#read());
    this.#last = next.catch(() => null);
    return next;
  }

  async #read(): Promise<Found<StatusPredicate> | null> {
    const envelope = await newestStatus(this.#records);
    if (envelope === null) return null;
    const { newest } = await this.#records.policies();
    const found = await this.#records.verify('status', envelope);
    const { signers, predicate } = found.verified;
    if (!signers.some((id) => holdsRole(newest, newest, id, 'control')))
      throw new CustodyError('NOT_AUTHORISED', `${signers.join(', ')} may not issue the status document`);
    if (predicate.environment !== this.#records.environment)
      throw new CustodyError('REPLAYED', `the status document is for environment ${predicate.environment}`);
    // Remembering a version from the future would lock out every honest one until then.
    if (Math.max(predicate.version, Date.parse(predicate.issuedAt)) > Date.now() + MAX_SKEW_MS)
      throw new CustodyError('STATUS_STALE', `status document ${predicate.version} is not yet valid: check the clocks`);
    const { version, revoked } = this.#memory;
    if (predicate.version < version)
      throw new CustodyError(
        'REPLAYED',
        `the newest status document has version ${predicate.version}, but ${version} has been seen before`,
      );
    if (predicate.version > version)
      await this.#remember({
        version: predicate.version,
        revoked: [...new Set([...revoked, ...predicate.revoked])],
      });
    return found;
  }

  async #remember(memory: Memory): Promise<void> {
    await writeDurably(this.#file, JSON.stringify(memory));
    this.#memory = memory;
  }
}
