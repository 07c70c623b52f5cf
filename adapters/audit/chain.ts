import { CustodyError } from '../../domain/errors.js';
import type { Checkpoint } from '../../formats/checkpoint.js';
import { TILE_WIDTH, TiledTree, bundlePath, encodeBundle, hashesOfTile, tilePath } from '../../formats/tlog-tiles.js';
import { HASH_SIZE, leafHash } from '../../formats/tlog.js';
import type { Bucket } from '../object-store/port.js';
import { findBatch, type Batch, type FoundBatch } from './batch.js';
import { invalidFrom } from './invalid.js';
import { decodeRecord } from './record.js';

/** An object that follows from the batches: whoever makes it, its bytes are the same. */
export interface Derived {
  readonly key: string;
  readonly body: Buffer;
  /** Entries the log has when it is due. */
  readonly size: number;
}

export type Readable = Pick<Bucket, 'read' | 'versions' | 'readStream'>;

/** The log as read so far, every batch checked against the one before. */
export class Chain {
  private readonly tree = new TiledTree();
  private readonly full: Buffer[] = [];
  private open: Buffer[] = [];
  private readonly audit: Readable;

  constructor(audit: Readable, bundleRoots: readonly Buffer[] = []) {
    this.audit = audit;
    for (const root of bundleRoots) {
      this.tree.append(root, 1);
      this.full.push(root);
    }
  }

  get size(): number {
    return this.tree.size;
  }

  root(): Buffer {
    return this.tree.root();
  }

  /** Roots of the full bundles. */
  get bundleRoots(): readonly Buffer[] {
    return this.full;
  }

  /** The entries after the last full bundle. */
  get tail(): readonly Buffer[] {
    return this.open;
  }

  /** The batch that comes next. */
  async next(): Promise<FoundBatch> {
    const root = this.root();
    return findBatch(this.audit, this.size, ({ first, previousRoot, entries }) => {
      if (!previousRoot.equals(root)) throw invalidFrom(first, 'the batch belongs on another log');
      entries.forEach((entry, at) => decodeRecord(entry, first + at));
    });
  }

  /** Takes one entry in. Answers the tiles and the bundle that are now due. */
  add(entry: Buffer): Derived[] {
    this.open.push(entry);
    const tiles = this.tree.append(leafHash(entry));
    const derived = tiles.map(({ level, index, width, bytes }) => ({
      key: tilePath(level, index, width),
      body: bytes,
      size: this.size,
    }));
    if (this.open.length < TILE_WIDTH) return derived;
    const key = bundlePath(this.size / TILE_WIDTH - 1);
    const bundle = { key, body: encodeBundle(this.open), size: this.size };
    const root = tiles.find(({ level }) => level === 1)?.bytes.subarray(-HASH_SIZE);
    if (root === undefined) throw new CustodyError('INTERNAL', `the bundle ${key} is full and has no root`);
    // A copy of its own: a part of a tile would keep the whole of it in memory.
    this.full.push(Buffer.concat([root]));
    this.open = [];
    return [...derived, bundle];
  }

  integrate(batch: Pick<Batch, 'entries'>): Derived[] {
    return batch.entries.flatMap((entry) => this.add(entry));
  }
}

type Signed = Pick<Checkpoint, 'size' | 'root'>;

/**
 * The log at a signed checkpoint: from tiles where they lead to its root, else from the first batch on, and then
 * `onDerived` gets every tile and bundle again. LOG_INVALID when the batches do not lead there either.
 */
export async function restoreChain(
  audit: Readable,
  signed: Signed,
  onDerived: (derived: Derived) => void = () => undefined,
): Promise<Chain> {
  const roots = await bundleRootsFromTiles(audit, Math.floor(signed.size / TILE_WIDTH));
  const fast = roots === null ? null : new Chain(audit, roots);
  if (fast !== null && (await readUpTo(fast, signed, onDerived)) === null) return fast;
  const slow = new Chain(audit);
  const problem = await readUpTo(slow, signed, onDerived);
  if (problem !== null) throw problem;
  return slow;
}

async function readUpTo(
  chain: Chain,
  { size, root }: Signed,
  onDerived: (derived: Derived) => void,
): Promise<Error | null> {
  while (chain.size < size) {
    const first = chain.size;
    const found = await chain.next();
    if (found.kind === 'absent') return invalidFrom(first, 'the batch is gone');
    if (found.kind === 'unfit') return invalidFrom(first, 'the batch is damaged', found.why);
    // Checkpoints are signed where batches end.
    if (first + found.batch.entries.length > size)
      return invalidFrom(first, 'the batch is not the one that was signed');
    chain.integrate(found.batch).forEach(onDerived);
  }
  if (chain.root().toString('hex') === root) return null;
  return invalidFrom(0, `its ${size} entries do not have the root that was signed`);
}

async function bundleRootsFromTiles(audit: Readable, count: number): Promise<Buffer[] | null> {
  const roots: Buffer[] = [];
  while (roots.length < count) {
    const width = Math.min(TILE_WIDTH, count - roots.length);
    const tile = await audit.read(tilePath(1, roots.length / TILE_WIDTH, width));
    if (tile?.body.length !== width * HASH_SIZE) return null;
    roots.push(...hashesOfTile(tile.body));
  }
  return roots;
}
