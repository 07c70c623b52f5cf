import { CustodyError } from '../../domain/errors.js';
import type { Checkpoint } from '../../formats/checkpoint.js';
import { TILE_WIDTH } from '../../formats/tlog-tiles.js';
import type { Bucket, Lock } from '../object-store/port.js';
import { batchKey, encodeBatch, type FoundBatch } from './batch.js';
import { readBundle } from './bundle.js';
import { Chain, restoreChain, type Derived } from './chain.js';
import { invalidFrom } from './invalid.js';
import { recordId } from './record.js';

export interface Submission {
  readonly id: string;
  readonly entry: Buffer;
}

/** A batch is one small object. */
const MAX_BATCH_BYTES = 4 * 1024 * 1024;
const PARALLEL_READS = 8;
const PARALLEL_WRITES = 8;

export interface WriterDeps {
  readonly audit: Bucket;
  readonly lock: () => Promise<Lock>;
  /** What the store says was signed last. */
  readonly lastSigned: () => Promise<Checkpoint | null>;
}

/** Claims places in the log. What it has not read and checked up to, it does not write after. */
export class Writer {
  private readonly audit: Bucket;
  private readonly deps: WriterDeps;
  private readonly chain: Chain;
  private readonly due: Derived[];
  private readonly ids = new Map<string, number>();

  private constructor(deps: WriterDeps, chain: Chain, due: Derived[]) {
    this.audit = deps.audit;
    this.deps = deps;
    this.chain = chain;
    this.due = due;
  }

  /** A writer that knows every id of the log, as far as it was signed. */
  static async open(deps: WriterDeps): Promise<Writer> {
    const signed = await deps.lastSigned();
    const due: Derived[] = [];
    const restored =
      signed === null ? new Chain(deps.audit) : await restoreChain(deps.audit, signed, (one) => due.push(one));
    const writer = new Writer(deps, restored, due);
    await writer.learnAll();
    return writer;
  }

  get size(): number {
    return this.chain.size;
  }

  root(): Buffer {
    return this.chain.root();
  }

  indexOf(id: string): number {
    const index = this.ids.get(id);
    if (index === undefined) throw new CustodyError('INTERNAL', `the record ${id} was not written`);
    return index;
  }

  /** Reads what others have claimed. Answers the damaged batch at the tip, if there is one. */
  async catchUp(): Promise<Extract<FoundBatch, { kind: 'unfit' }> | null> {
    for (;;) {
      const found = await this.chain.next();
      if (found.kind === 'absent') return null;
      if (found.kind === 'unfit') return found;
      await this.adopt(batchKey(found.batch.first), found.versionId);
      this.take(found.batch.entries, found.batch.entries.map(recordId));
    }
  }

  /** Claims a place for each entry whose id is new, in order. */
  async write(submissions: readonly Submission[]): Promise<void> {
    const lock = await this.deps.lock();
    let left = this.unknown(submissions);
    while (left.length > 0) {
      const batch = this.nextBatch(left);
      const entries = batch.map(({ entry }) => entry);
      const body = encodeBatch({ first: this.size, previousRoot: this.root(), entries });
      if (await this.claim(body, lock)) {
        this.take(
          entries,
          batch.map(({ id }) => id),
        );
        left = left.slice(batch.length);
        // What others have written meanwhile may be among the rest.
      } else left = this.unknown(left);
    }
  }

  /** Writes the tiles and bundles that are due. */
  async derive(): Promise<void> {
    while (this.due.length > 0) {
      const next = this.due.slice(0, PARALLEL_WRITES);
      await Promise.all(next.map((derived) => this.keepDerived(derived)));
      this.due.splice(0, next.length);
    }
  }

  private async keepDerived({ key, body, size }: Derived): Promise<void> {
    try {
      await this.audit.createOnce(key, body);
    } catch (error) {
      if (!(error instanceof CustodyError) || error.code !== 'STORE_CONFLICT') throw error;
      throw invalidFrom(Math.max(0, size - TILE_WIDTH), `${key} does not follow from the batches`, error);
    }
  }

  private unknown(submissions: readonly Submission[]): Submission[] {
    const news = new Map<string, Submission>();
    for (const submission of submissions)
      if (!this.ids.has(submission.id) && !news.has(submission.id)) news.set(submission.id, submission);
    return [...news.values()];
  }

  private nextBatch(submissions: readonly Submission[]): Submission[] {
    const batch: Submission[] = [];
    let bytes = 0;
    for (const submission of submissions.slice(0, TILE_WIDTH - (this.size % TILE_WIDTH))) {
      bytes += submission.entry.length;
      if (bytes > MAX_BATCH_BYTES) break;
      batch.push(submission);
    }
    return batch;
  }

  /** True when the batch is now the one at the tip; false when others' were, and have been taken in. */
  private async claim(body: Buffer, lock: Lock): Promise<boolean> {
    const tip = this.size;
    const key = batchKey(tip);
    try {
      await this.audit.createOnce(key, body, lock);
      return true;
    } catch (error) {
      if (!(error instanceof CustodyError) || error.code !== 'STORE_CONFLICT') throw error;
      const damaged = await this.catchUp();
      if (this.size > tip) return false;
      if (damaged !== null && (await this.isSigned(tip)))
        throw invalidFrom(tip, 'the batch was signed and is damaged', damaged.why);
      if (damaged !== null) return this.replaceDamaged(key, body, damaged.etag, lock);
      throw new CustodyError('WORM_VIOLATED', `${key} can neither be read nor written: somebody has deleted it`, {
        details: { key },
        cause: error,
      });
    }
  }

  /** Nobody was told of what a damaged batch at the tip held: the checkpoint would cover it, and reading would fail. */
  private async replaceDamaged(key: string, body: Buffer, etag: string, lock: Lock): Promise<boolean> {
    const replaced = await this.audit.compareAndSet(key, body, etag);
    if (replaced === null) return false;
    const written = (await this.audit.versions(key)).find((version) => version.etag === replaced.etag);
    if (written === undefined) throw new CustodyError('WORM_VIOLATED', `${key} was written and is gone`);
    await this.audit.extendLock(key, written.versionId, lock);
    return true;
  }

  private async isSigned(index: number): Promise<boolean> {
    return ((await this.deps.lastSigned())?.size ?? 0) > index;
  }

  /** A store may show a batch before its lock; whoever relies on it sees to it that it is locked. */
  private async adopt(key: string, versionId: string | null): Promise<void> {
    const head = await this.audit.head(key, versionId);
    if (head?.lock?.mode === 'COMPLIANCE') return;
    await this.audit.extendLock(key, versionId, await this.deps.lock());
  }

  private take(entries: readonly Buffer[], ids: readonly string[]): void {
    this.learn(ids, this.size);
    this.due.push(...this.chain.integrate({ entries }));
  }

  private async learnAll(): Promise<void> {
    const bundles = this.chain.bundleRoots.length;
    for (let first = 0; first < bundles; first += PARALLEL_READS) {
      const indexes = Array.from({ length: Math.min(PARALLEL_READS, bundles - first) }, (_, at) => first + at);
      const read = await Promise.all(indexes.map((index) => readBundle(this.audit, this.chain, index)));
      read.forEach((entries, at) => this.learn(entries.map(recordId), (first + at) * TILE_WIDTH));
    }
    this.learn(this.chain.tail.map(recordId), bundles * TILE_WIDTH);
  }

  private learn(ids: readonly string[], first: number): void {
    ids.forEach((id, at) => {
      if (!this.ids.has(id)) this.ids.set(id, first + at);
    });
  }
}
