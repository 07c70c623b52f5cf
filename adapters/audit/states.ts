import { readFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import { StateIndex } from '../../domain/state.js';
import { parseVerifierKeys } from '../../formats/signed-note.js';
import type { SigningKey } from '../../formats/keys.js';
import { absent, writeDurably } from '../durable.js';
import type { Bucket } from '../object-store/port.js';
import { tilesOf } from './http.js';
import { PublishedLog } from './published.js';
import { readLog } from './reader.js';
import { encodeSnapshot, openSnapshot, type Snapshot } from './state-snapshot.js';

export interface StatesDeps {
  readonly buckets: { readonly audit: Bucket; readonly log: Bucket };
  readonly key: SigningKey;
  /** What `parseVerifierKeys` reads; `key` is the first. */
  readonly vkey: string;
  /** A file of this process's own. Without it, or with another one, the log is read from its first record. */
  readonly file: string;
  readonly log: Pick<Logger, 'warn'>;
}

/** Records after which the next start would have much to read. */
const SNAPSHOT_EVERY = 4_096;

/** Every state that the log tells of, as far as it goes. The log is the truth: what is kept here can be made again from it. */
export class States {
  readonly #deps: StatesDeps;
  #index: StateIndex | null = null;
  #kept: Pick<Snapshot, 'size' | 'ids'> = { size: 0, ids: Buffer.alloc(0) };
  #busy: Promise<unknown> = Promise.resolve();

  constructor(deps: StatesDeps) {
    this.#deps = deps;
  }

  /** The index, and the log whose checkpoint covers all of it. LOG_INVALID as the log is. */
  current(): Promise<{ readonly index: StateIndex; readonly log: PublishedLog }> {
    const current = this.#busy.then(() => this.#follow());
    // Whoever asks gets the error; the next one tries again.
    this.#busy = current.catch(() => undefined);
    return current;
  }

  async #follow(): Promise<{ readonly index: StateIndex; readonly log: PublishedLog }> {
    const { buckets, vkey } = this.#deps;
    const index = (this.#index ??= await this.#begin());
    for await (const logged of readLog({ ...buckets, vkey }).records(index.size)) index.add(logged);
    const log = await this.#published();
    if (log.checkpoint.size === index.size && index.size - this.#kept.size >= SNAPSHOT_EVERY)
      await this.#keep(index, log);
    return { index, log };
  }

  async #begin(): Promise<StateIndex> {
    const kept = await this.#snapshot();
    if (kept === null) return new StateIndex();
    this.#kept = kept;
    return new StateIndex(kept);
  }

  /** The kept snapshot. LOG_INVALID: the log does not go on from it, so it has been taken back. */
  async #snapshot(): Promise<Snapshot | null> {
    const { file, key, vkey, log } = this.#deps;
    const origin = parseVerifierKeys(vkey).name;
    let snapshot: Snapshot;
    try {
      const bytes = await readFile(file).catch(absent);
      if (bytes === null) return null;
      snapshot = openSnapshot(bytes, key);
    } catch (err) {
      // A disk that fails takes no answer from an auditor: all of it can be made again.
      log.warn({ err }, `${file} is no snapshot of ours: the log is read from its first record`);
      return null;
    }
    await (await this.#published()).follows({ origin, size: snapshot.size, root: snapshot.root });
    return snapshot;
  }

  async #keep(index: StateIndex, { checkpoint }: PublishedLog): Promise<void> {
    const { file, key, log } = this.#deps;
    const bytes = encodeSnapshot(index, this.#kept.ids, checkpoint.root, key);
    try {
      await writeDurably(file, bytes);
    } catch (err) {
      log.warn({ err }, `${file} could not be written: the next start reads more of the log`);
    }
    const kept = openSnapshot(bytes, key);
    this.#kept = kept;
    this.#index = new StateIndex(kept);
  }

  #published(): Promise<PublishedLog> {
    return PublishedLog.open(tilesOf(this.#deps.buckets), this.#deps.vkey);
  }
}
