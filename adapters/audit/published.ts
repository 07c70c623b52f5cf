import type { AuditRecord } from '../../domain/audit.js';
import { CustodyError } from '../../domain/errors.js';
import { openCheckpoint, type Checkpoint } from '../../formats/checkpoint.js';
import { parseVerifierKeys, type LogVerifier } from '../../formats/signed-note.js';
import { verifyProof, type LogProof } from '../../formats/tlog-proof.js';
import {
  TILE_WIDTH,
  TiledTree,
  bundlePath,
  entriesOfBundle,
  hashesOfTile,
  tilePath,
  type Tile,
} from '../../formats/tlog-tiles.js';
import {
  leafHashes,
  proveConsistency,
  proveInclusion,
  rootAt,
  rootOfComplete,
  rootOver,
  verifyConsistency,
} from '../../formats/tlog.js';
import { CHECKPOINT } from './checkpoints.js';
import { invalidFrom } from './invalid.js';
import { readAhead } from './prefetch.js';
import { readOnce } from './read-once.js';
import { assertRecord, decodeRecord } from './record.js';

/** Reads one path of C2SP tlog-tiles; `null` when it is not there. Nobody vouches for the bytes. */
export type TileSource = (path: string) => Promise<Buffer | null>;

const TILE_HEIGHT = 8;
const DOES_NOT_COUNT: ReadonlySet<string> = new Set(['MALFORMED', 'SIGNATURE_INVALID']);

export interface LogBundle {
  readonly first: number;
  readonly entries: readonly Buffer[];
}

/**
 * A log as it is published, wherever its tiles come from: the desk, a bucket, a folder. Believed is only what the log's key has
 * signed.
 */
export class PublishedLog {
  readonly checkpoint: Checkpoint;
  readonly note: Buffer;
  readonly read: TileSource;
  /** Proofs share most of their tiles. */
  readonly #once: TileSource;
  readonly #verifier: LogVerifier;

  private constructor(read: TileSource, verifier: LogVerifier, note: Buffer) {
    this.read = read;
    this.#once = readOnce(read);
    this.#verifier = verifier;
    this.note = note;
    this.checkpoint = openCheckpoint(note, verifier);
  }

  /** `vkey`: C2SP signed note. LOG_INVALID without a checkpoint that it has signed. */
  static open(read: TileSource, vkey: string): Promise<PublishedLog> {
    return PublishedLog.#openBy(read, parseVerifierKeys(vkey));
  }

  static async #openBy(read: TileSource, verifier: LogVerifier): Promise<PublishedLog> {
    const note = await read(CHECKPOINT);
    if (note === null) throw invalidFrom(0, 'there is no checkpoint');
    try {
      return new PublishedLog(read, verifier, note);
    } catch (cause) {
      if (!(cause instanceof CustodyError) || !DOES_NOT_COUNT.has(cause.code)) throw cause;
      throw invalidFrom(0, cause.message, cause);
    }
  }

  /**
   * Every entry in log order, and each is a record, while everything is computed again from them: none of them counts before
   * this has ended. LOG_INVALID names the first index that is not what was signed, as far as the tiles tell it.
   */
  async *bundles(): AsyncGenerator<LogBundle> {
    const { size, root } = this.checkpoint;
    const tree = new TiledTree();
    const unfinished = new Map<number, Tile>();
    const read = readAhead(this.read, [...this.#lowestPaths()]);
    for (let index = 0; tree.size < size; index += 1) {
      const first = tree.size;
      const width = widthOf(0, index, size);
      const entries = await this.#entries(index, width, read);
      const leaves = leafHashes(entries);
      await this.#compare({ level: 0, index, width, bytes: leaves }, read);
      entries.forEach((entry, at) => assertRecord(entry, first + at));
      const tiles =
        width === TILE_WIDTH
          ? tree.append(rootOfComplete(leaves), 1)
          : hashesOfTile(leaves).flatMap((leaf) => tree.append(leaf));
      for (const tile of tiles) {
        unfinished.delete(tile.level);
        if (tile.width < TILE_WIDTH) unfinished.set(tile.level, tile);
        else await this.#compare(tile);
      }
      yield { first, entries };
    }
    for (const tile of unfinished.values()) await this.#compare(tile);
    if (tree.root().toString('hex') !== root) throw invalidFrom(0, 'the entries do not give the root that was signed');
  }

  /** The same, record by record. */
  async *records(): AsyncGenerator<{ readonly index: number; readonly record: AuditRecord }> {
    for await (const { first, entries } of this.bundles())
      for (const [at, entry] of entries.entries()) yield { index: first + at, record: decodeRecord(entry, first + at) };
  }

  /** The same log as it is published now. LOG_INVALID as `follows`. */
  async newer(): Promise<PublishedLog> {
    const log = await PublishedLog.#openBy(this.read, this.#verifier);
    await log.follows(this.checkpoint);
    return log;
  }

  /** What it was when it had so many entries, proved. LOG_INVALID as `follows`. */
  async at(size: number): Promise<Checkpoint> {
    const root = await rootAt(size, (height, at) => this.#node(height, at));
    const earlier = { origin: this.checkpoint.origin, size, root: root.toString('hex') };
    await this.follows(earlier);
    return earlier;
  }

  /** USAGE when the checkpoint does not cover the index; LOG_INVALID when the log cannot prove it. */
  async prove(index: number): Promise<LogProof> {
    const { size } = this.checkpoint;
    const path = await proveInclusion(index, size, (height, at) => this.#node(height, at));
    const bundle = Math.floor(index / TILE_WIDTH);
    const entries = await this.#entries(bundle, widthOf(0, bundle, size));
    const entry = entries[index % TILE_WIDTH] ?? Buffer.alloc(0);
    const proof = { index, entry, path, checkpoint: this.note };
    verifyProof(proof, this.#verifier);
    return proof;
  }

  /** What shows that the log of `size` entries is the beginning of this one: RFC 6962, section 2.1.2. */
  since(size: number): Promise<Buffer[]> {
    return proveConsistency(size, this.checkpoint.size, (height, at) => this.#node(height, at));
  }

  /** LOG_INVALID unless this is the log that `earlier` was signed of, with whatever came since. */
  async follows(earlier: Checkpoint): Promise<void> {
    const isLonger = this.checkpoint.size >= earlier.size;
    assertFollows(this.checkpoint, earlier, isLonger ? await this.since(earlier.size) : []);
  }

  /** Paths of everything that the checkpoint covers. */
  *paths(): Generator<string> {
    const { size } = this.checkpoint;
    yield CHECKPOINT;
    for (let index = 0; index * TILE_WIDTH < size; index += 1) yield bundlePath(index, widthOf(0, index, size));
    for (let level = 0; size / TILE_WIDTH ** level >= 1; level += 1)
      for (let index = 0, width = widthOf(level, 0, size); width > 0; width = widthOf(level, index, size)) {
        yield tilePath(level, index, width);
        index += 1;
      }
  }

  *#lowestPaths(): Generator<string> {
    const { size } = this.checkpoint;
    for (let index = 0; index * TILE_WIDTH < size; index += 1) {
      const width = widthOf(0, index, size);
      yield bundlePath(index, width);
      yield tilePath(0, index, width);
    }
  }

  async #entries(bundle: number, width: number, read = this.#once): Promise<Buffer[]> {
    const first = bundle * TILE_WIDTH;
    const path = bundlePath(bundle, width);
    const { entries, rest } = entriesOfBundle(await this.#found(path, first, read));
    if (entries.length === width && rest === 0) return entries;
    const leaves = leafHashes(entries.slice(0, width));
    await this.#compare({ level: 0, index: bundle, width, bytes: leaves });
    throw invalidFrom(first + width - 1, `${path} goes on after its last entry`);
  }

  async #compare({ level, index, width, bytes }: Tile, read = this.#once): Promise<void> {
    const unit = TILE_WIDTH ** level;
    const path = tilePath(level, index, width);
    const stored = await this.#found(path, index * TILE_WIDTH * unit, read);
    if (stored.equals(bytes)) return;
    const found = hashesOfTile(stored);
    const expected = hashesOfTile(bytes);
    const at = expected.findIndex((hash, i) => found[i]?.equals(hash) !== true);
    throw invalidFrom(
      (index * TILE_WIDTH + (at < 0 ? Math.min(expected.length, width - 1) : at)) * unit,
      `${path} does not follow from the entries`,
    );
  }

  async #node(height: number, at: number): Promise<Buffer> {
    const level = Math.floor(height / TILE_HEIGHT);
    const count = 2 ** (height % TILE_HEIGHT);
    const index = Math.floor((at * count) / TILE_WIDTH);
    const path = tilePath(level, index, widthOf(level, index, this.checkpoint.size));
    const hashes = hashesOfTile(await this.#found(path, at * 2 ** height));
    const first = (at * count) % TILE_WIDTH;
    return rootOver(hashes.slice(first, first + count));
  }

  async #found(path: string, first: number, read = this.#once): Promise<Buffer> {
    const bytes = await read(path);
    if (bytes === null) throw invalidFrom(first, `there is no ${path}`);
    return bytes;
  }
}

/** `path` shows that the log of `earlier` is the beginning of this one; LOG_INVALID: it does not, or that one was longer. */
export function assertFollows(log: Checkpoint, earlier: Checkpoint, path: readonly Buffer[]): void {
  if (log.size < earlier.size)
    throw invalidFrom(log.size, `it ends there, and a checkpoint of ${earlier.size} entries was seen before`);
  const [from, to] = [Buffer.from(earlier.root, 'hex'), Buffer.from(log.root, 'hex')];
  if (!verifyConsistency(earlier.size, log.size, from, to, path))
    throw invalidFrom(0, `it is another one than the log of ${earlier.size} entries that was seen before`);
}

/** Hashes in a tile, or entries in the bundle under it, of a tree of this size; 0 where there is none. */
function widthOf(level: number, index: number, size: number): number {
  const hashes = Math.floor(size / TILE_WIDTH ** level);
  return Math.max(0, Math.min(TILE_WIDTH, hashes - index * TILE_WIDTH));
}
