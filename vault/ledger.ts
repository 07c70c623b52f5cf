import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { z } from 'zod';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import { ensureFolder, readJson, removeDurably, sweep, writeJson } from './files.js';
import { KEY_BYTES, type KeyStore } from './keys.js';
import {
  destructionSchema,
  entrySchema,
  holdsSchema,
  tombstoneSchema,
  type Destruction,
  type Entry,
} from './ledger-schema.js';

const FOLDERS = ['entries', 'tombstones', 'destructions', 'holds'] as const;

type Tombstone = z.infer<typeof tombstoneSchema>;

/**
 * What the vault knows, as a folder of its own: one entry a plaintext, one tombstone a destroyed key, one record a destroyed
 * release, one list of holds a release that was ever held; beside them the store of keys, one a blob. A tombstone is on disk before
 * its key goes.
 */
export class Ledger {
  readonly #state: string;
  readonly #keys: KeyStore;
  readonly #destroyed = new Set<Digest>();

  private constructor(state: string, keys: KeyStore) {
    this.#state = state;
    this.#keys = keys;
  }

  /** Opens the folder, making it where it is missing. Keys that came back from a backup after their destruction go again. */
  static async open(state: string, keys: KeyStore): Promise<Ledger> {
    const ledger = new Ledger(state, keys);
    for (const folder of FOLDERS) {
      await ensureFolder(join(state, folder));
      await sweep(join(state, folder));
    }
    for (const name of await readdir(join(state, 'destructions'))) ledger.#destroyed.add(name.replace(/\.json$/, ''));
    for (const blob of await keys.blobs()) if (await ledger.isBuried(blob)) await keys.destroy(blob);
    return ledger;
  }

  /** The entry of these bytes, even when its key has been destroyed. */
  entry(sha256: Digest): Promise<Entry | null> {
    return readJson(this.#path('entries', `${sha256}.json`), entrySchema);
  }

  /** The entry of these bytes while its key stands. */
  async living(sha256: Digest): Promise<Entry | null> {
    const entry = await this.entry(sha256);
    return entry === null || (await this.isBuried(entry.blob)) ? null : entry;
  }

  /** Replaces an entry only while it is still `before`, and answers it as written. STORE_CONFLICT otherwise. */
  async replace(before: Entry | null, after: Omit<Entry, 'generation'>): Promise<Entry> {
    const current = await this.entry(after.sha256);
    if (current?.generation !== before?.generation || current?.blob !== before?.blob)
      throw new CustodyError('STORE_CONFLICT', `the entry of ${after.sha256} has changed meanwhile: try again`);
    const entry = { ...after, generation: (before?.generation ?? 0) + 1 };
    await writeJson(this.#path('entries', `${after.sha256}.json`), entry);
    return entry;
  }

  async remove({ sha256, blob }: Pick<Entry, 'sha256' | 'blob'>): Promise<void> {
    const current = await this.entry(sha256);
    if (current?.blob === blob) await removeDurably(this.#path('entries', `${sha256}.json`));
  }

  /** The key of a claimed blob. It exists from its first use on. */
  keyForWriting(blob: string): Promise<Buffer> {
    return this.#keys.make(blob);
  }

  /** What there is of a blob's key, whatever is said of it. */
  find(blob: string): Promise<Buffer | null> {
    return this.#keys.read(blob);
  }

  /** The key of a stored blob. INTERNAL when it is lost: then the bytes are, too. */
  async key(blob: string): Promise<Buffer> {
    const key = await this.find(blob);
    if (key?.length === KEY_BYTES) return key;
    throw new CustodyError(
      'INTERNAL',
      `the key of blob ${blob} is not in the vault, and nothing here says that it was destroyed`,
    );
  }

  async isBuried(blob: string): Promise<boolean> {
    try {
      await stat(this.#path('tombstones', `${blob}.json`));
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw error;
    }
  }

  /** Destroys a key for ever: first the tombstone, so that from then on it counts as destroyed, then the bytes. */
  async bury(tombstone: Tombstone): Promise<void> {
    const path = this.#path('tombstones', `${tombstone.blob}.json`);
    if ((await readJson(path, tombstoneSchema)) === null) await writeJson(path, tombstone);
    await this.#keys.destroy(tombstone.blob);
    await this.remove(tombstone);
  }

  /** Whether a key was destroyed, and nothing of it is left. */
  async isGone(blob: string): Promise<boolean> {
    return (await this.isBuried(blob)) && !(await this.#keys.holds(blob));
  }

  isDestroyed(release: Digest): boolean {
    return this.#destroyed.has(release);
  }

  destruction(release: Digest): Promise<Destruction | null> {
    return readJson(this.#path('destructions', `${release}.json`), destructionSchema);
  }

  async recordDestruction(destruction: Destruction): Promise<void> {
    await writeJson(this.#path('destructions', `${destruction.release}.json`), destruction);
    this.#destroyed.add(destruction.release);
  }

  /** The holds of a release that nobody has lifted. */
  async openHolds(release: Digest): Promise<readonly Digest[]> {
    return (await this.#holds(release)).filter(({ lifted }) => lifted === null).map(({ hold }) => hold);
  }

  /** A hold that was lifted stays lifted, however often it is sent again. */
  async recordHold(release: Digest, hold: Digest): Promise<void> {
    const holds = await this.#holds(release);
    if (holds.some((known) => known.hold === hold)) return;
    await this.#keepHolds(release, [...holds, { hold, lifted: null }]);
  }

  /** Also of holds that have never come here: they are not to come after their end. */
  async recordLift(release: Digest, named: readonly Digest[], lifted: Digest): Promise<void> {
    const holds = await this.#holds(release);
    const others = holds.filter(({ hold, lifted: already }) => !named.includes(hold) || already !== null);
    const ended = named.filter((hold) => !others.some((known) => known.hold === hold));
    if (ended.length > 0) await this.#keepHolds(release, [...others, ...ended.map((hold) => ({ hold, lifted }))]);
  }

  async #holds(release: Digest): Promise<z.infer<typeof holdsSchema>['holds']> {
    return (await readJson(this.#path('holds', `${release}.json`), holdsSchema))?.holds ?? [];
  }

  async #keepHolds(release: Digest, holds: z.infer<typeof holdsSchema>['holds']): Promise<void> {
    await writeJson(this.#path('holds', `${release}.json`), { release, holds });
  }

  /** Destructions that were decided, and that the process did not live to carry out. */
  async unfinished(): Promise<Destruction[]> {
    const found: Destruction[] = [];
    for (const release of this.#destroyed) {
      const destruction = await this.destruction(release);
      if (destruction?.done === false) found.push(destruction);
    }
    return found;
  }

  #path(folder: (typeof FOLDERS)[number], name: string): string {
    return join(this.#state, folder, name);
  }
}
