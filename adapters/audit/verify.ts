import { CustodyError } from '../../domain/errors.js';
import type { Checkpoint } from '../../formats/checkpoint.js';
import type { LogVerifier } from '../../formats/signed-note.js';
import { TILE_WIDTH, decodeBundle, hashesOfTile, parseTilePath, tilePath } from '../../formats/tlog-tiles.js';
import { EMPTY_ROOT, leafHash } from '../../formats/tlog.js';
import type { Bucket } from '../object-store/port.js';
import { BATCHES, batchKey, decodeBatch, parseBatchKey, type Batch } from './batch.js';
import { Chain, type Derived } from './chain.js';
import { lockedCheckpoints, readPublished } from './checkpoints.js';
import { invalidFrom } from './invalid.js';
import { readAhead } from './prefetch.js';
import { recordId } from './record.js';

export interface LogState {
  /** Entries under the checkpoint. */
  readonly size: number;
  readonly root: string;
  /** Distinct ids among them. */
  readonly records: number;
}

/**
 * Recomputes the whole log from its batches: their chain, every record, tiles and bundles that exist, the locked
 * checkpoints and the published one. LOG_INVALID names the first bad index in `details.index`.
 */
export async function verifyLog(audit: Bucket, log: Bucket, verifier: LogVerifier): Promise<LogState> {
  // In this order, because a live writer makes batch, checkpoint and locked copy in the other.
  const signed: Checkpoint[] = [];
  for await (const copy of lockedCheckpoints(audit, verifier)) signed.push(copy);
  const { checkpoint } = await readPublished(log, verifier);
  const { indexes, strange } = await listBatches(audit);
  const last = signed.at(-1)?.size ?? 0;
  if (checkpoint === null) {
    if (indexes.length === 0 && signed.length === 0) return { size: 0, root: EMPTY_ROOT.toString('hex'), records: 0 };
    throw invalidFrom(last, 'there is no checkpoint of this log');
  }
  if (checkpoint.size < last)
    throw invalidFrom(checkpoint.size, `the checkpoint is older than the locked one of ${last} entries`);
  const walk = new Walk(audit, [...signed, checkpoint], indexes);
  const records = await walk.run();
  if (strange !== null) throw invalidFrom(checkpoint.size, `${strange} is no batch of this log`);
  return { size: checkpoint.size, root: checkpoint.root, records };
}

async function listBatches(audit: Bucket): Promise<{ indexes: number[]; strange: string | null }> {
  const indexes: number[] = [];
  let strange: string | null = null;
  for await (const key of audit.list(BATCHES)) {
    const index = parseBatchKey(key);
    if (index === null) strange ??= key;
    else indexes.push(index);
  }
  return { indexes: indexes.sort((a, b) => a - b), strange };
}

class Walk {
  private readonly audit: Bucket;
  /** By size; the published checkpoint is the last. */
  private readonly signed: readonly Checkpoint[];
  private readonly indexes: readonly number[];
  private readonly chain: Chain;
  private readonly ids = new Set<string>();
  private checked = 0;
  private previousFirst = 0;

  constructor(audit: Bucket, signed: readonly Checkpoint[], indexes: readonly number[]) {
    this.audit = audit;
    this.signed = signed;
    this.indexes = indexes;
    this.chain = new Chain({
      read: readAhead((key) => audit.read(key), indexes.map(batchKey)),
      versions: (key) => audit.versions(key),
      readStream: (key, versionId) => audit.readStream(key, versionId),
    });
  }

  private get end(): number {
    return this.signed.at(-1)?.size ?? 0;
  }

  /** Answers the number of records. */
  async run(): Promise<number> {
    this.checkSigned();
    for (const [at, first] of this.indexes.entries()) {
      if (first > this.chain.size) throw invalidFrom(this.chain.size, 'the batch is gone');
      if (first < this.chain.size) throw invalidFrom(first, `${batchKey(first)} lies inside another batch`);
      const found = await this.chain.next();
      if (found.kind === 'absent') throw invalidFrom(first, 'the batch is gone');
      if (found.kind === 'unfit') {
        // What was claimed last and never acknowledged may be damaged: the next writer replaces it.
        if (first >= this.end && at === this.indexes.length - 1) break;
        throw await this.reasonOf(first, at, found.why);
      }
      await this.take(found.batch);
    }
    if (this.chain.size < this.end)
      throw invalidFrom(this.chain.size, `the batches end there, but the checkpoint covers ${this.end} entries`);
    return this.ids.size;
  }

  private async take(batch: Batch): Promise<void> {
    this.previousFirst = batch.first;
    const derived = this.chain.integrate(batch);
    if (this.checkSigned() === 'differs') {
      const proven = this.checked === 0 ? 0 : (this.signed[this.checked - 1]?.size ?? 0);
      const at = await this.refine(batch.first, batch.entries);
      throw invalidFrom(at, `the entries are not those that were signed; signatures prove the first ${proven}`);
    }
    for (const one of derived) if (one.size <= this.end) await this.compare(one);
    batch.entries.forEach((entry, at) => batch.first + at < this.end && this.ids.add(recordId(entry)));
  }

  /** Compares the roots that were signed at this size. Checkpoints are signed where batches end. */
  private checkSigned(): 'agrees' | 'differs' {
    for (let next = this.signed[this.checked]; next !== undefined; next = this.signed[this.checked]) {
      if (next.size > this.chain.size) break;
      if (next.size < this.chain.size || next.root !== this.chain.root().toString('hex')) return 'differs';
      this.checked += 1;
    }
    return 'agrees';
  }

  /**
   * Where the damage is when a batch does not fit: in itself, if what follows fits on its entries; otherwise in the batch
   * before, whose entries nothing had confirmed yet.
   */
  private async reasonOf(first: number, at: number, why: unknown): Promise<Error> {
    const batch = await this.readOldest(first);
    const root = this.chain.root();
    if (batch === null || batch.previousRoot.equals(root)) {
      const index = why instanceof CustodyError ? why.details.index : undefined;
      return invalidFrom(typeof index === 'number' ? index : first, 'the batch is damaged', why);
    }
    const previous = this.chain.tail.slice(this.previousFirst % TILE_WIDTH);
    const isSigned = this.checked > 0 && this.signed[this.checked - 1]?.size === this.chain.size;
    this.chain.integrate(batch);
    const following = this.indexes[at + 1];
    const claimed =
      following === undefined
        ? this.signed.find(({ size }) => size === this.chain.size)?.root
        : (await this.readOldest(following))?.previousRoot.toString('hex');
    if (isSigned || first === 0 || claimed === this.chain.root().toString('hex'))
      return invalidFrom(first, 'the batch belongs on another log');
    return invalidFrom(await this.refine(this.previousFirst, previous), 'the entries are not those that were chained');
  }

  /** The first of these entries that the stored tile has another hash for; `first` where no tile tells. */
  private async refine(first: number, entries: readonly Buffer[]): Promise<number> {
    const tile = await this.audit.read(tilePath(0, Math.floor(first / TILE_WIDTH)));
    if (tile === null) return first;
    const hashes = hashesOfTile(tile.body).slice(first % TILE_WIDTH);
    const at = entries.findIndex((entry, i) => hashes[i]?.equals(leafHash(entry)) === false);
    return at < 0 ? first : first + at;
  }

  private async readOldest(first: number): Promise<Batch | null> {
    const stored = await this.audit.read(batchKey(first));
    try {
      return stored === null ? null : decodeBatch(stored.body, first);
    } catch (error) {
      if (error instanceof CustodyError && error.code === 'MALFORMED') return null;
      throw error;
    }
  }

  /** A tile or bundle that exists must be what the batches say; one that is missing can be made again. */
  private async compare({ key, body }: Derived): Promise<void> {
    const stored = await this.audit.read(key);
    if (stored === null || stored.body.equals(body)) return;
    const asked = parseTilePath(key);
    if (asked === null) throw new CustodyError('INTERNAL', `not a tile: ${key}`);
    const { level, index } = asked;
    const [found, expected] =
      level === 'entries'
        ? [decodeOrNothing(stored.body, key), decodeBundle(body, key)]
        : [hashesOfTile(stored.body), hashesOfTile(body)];
    const at = expected.findIndex((part, i) => found[i]?.equals(part) !== true);
    const unit = TILE_WIDTH ** (level === 'entries' ? 0 : level);
    throw invalidFrom((index * TILE_WIDTH + Math.max(0, at)) * unit, `${key} does not follow from the batches`);
  }
}

function decodeOrNothing(bytes: Buffer, what: string): Buffer[] {
  try {
    return decodeBundle(bytes, what);
  } catch (error) {
    if (error instanceof CustodyError && error.code === 'MALFORMED') return [];
    throw error;
  }
}
